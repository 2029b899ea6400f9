"""`HOST=localhost` where the name has two addresses: a real process with a hosts file, and a network, of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.server import ServerProcess

LISTENING = "0A"


def isolated(tmp_path: Path, *, network: bool) -> list[str]:
    """A command's prefix that gives `localhost` ::1 and 127.0.0.1, with `network` in a network without IPv6."""
    hosts = tmp_path / "hosts"
    hosts.write_text("::1 localhost\n127.0.0.1 localhost\n")
    steps = ['mount --bind "$0" /etc/hosts']
    if network:
        steps += ["ip link set lo up", "echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6"]
    prefix = ["unshare", "--mount", *(["--net"] if network else []), "sh", "-ec"]
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("a network of its own needs root, unshare and ip")
    if subprocess.run([*prefix, "; ".join(steps), str(hosts)], check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine gives no network of its own")
    return [*prefix, "; ".join([*steps, 'exec "$@"']), str(hosts)]


async def test_localhost_is_served_on_127_0_0_1_where_there_is_no_ipv6(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, *isolated(tmp_path, network=True), HOST="localhost", DEMO="true")
    try:
        await server.start()
        assert "Not listening on ::1: Cannot assign requested address" in server.log
        rows = [line.split() for line in Path(f"/proc/{server.pid}/net/tcp").read_text().splitlines()[1:]]
        assert f"0100007F:{server.port:04X}" in {row[1] for row in rows if row[3] == LISTENING}
        assert await server.stop() == 0
    finally:
        await server.close()


async def test_localhost_is_refused_where_another_program_has_the_port_on_one_address(tmp_path: Path) -> None:
    prefix = isolated(tmp_path, network=False)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        server = ServerProcess(tmp_path, *prefix, HOST="localhost", PORT=port, DEMO="true", LOG_LEVEL="error")
        try:
            with pytest.raises(AssertionError, match=rf"cannot listen on localhost:{port}: the port is in use"):
                await server.start()
        finally:
            await server.close()

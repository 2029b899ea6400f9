"""The nginx sites as they are shipped, run by a real nginx on free ports with a certificate of its own."""

from __future__ import annotations

import asyncio
import datetime
import os
import socket
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "deploy" / "nginx" / "pnl.conf"
CLUSTER_SITE = SITE.with_name("pnl-cluster.conf")
NODES = {SITE: (3000,), CLUSTER_SITE: (3001, 3002)}
"""The ports of the nodes that each site names."""
NAME = "pnl.example.com"

_AROUND = """
daemon off;
{user}
pid {here}/nginx.pid;
worker_processes 1;
error_log {here}/start.log;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {here}/body;
    proxy_temp_path {here}/proxy;
    fastcgi_temp_path {here}/fastcgi;
    uwsgi_temp_path {here}/uwsgi;
    scgi_temp_path {here}/scgi;
    include {here}/pnl.conf;
}}
"""


UNDER_A_PATH = """
server {{
    listen 127.0.0.1:{port};
    access_log off;
    location /pnl/ {{ proxy_pass http://127.0.0.1:{backend}/; }}
}}
"""


class Proxy:
    """nginx with a shipped site; only ports, paths and the addresses of the nodes differ.

    `path_port` serves the first node under /pnl/ of another site, without TLS.
    """

    def __init__(self, directory: Path, *node_ports: int, site: Path = SITE) -> None:
        self.directory = directory
        self.http_port, self.https_port = free_ports(2)
        self.url = f"https://localhost:{self.https_port}"
        self._process: subprocess.Popen[bytes] | None = None
        certificate, key = self_signed(directory)
        text = site.read_text()
        nodes = zip(NODES[site], node_ports, strict=True)
        for shipped, here in (
            *(
                (f"server 127.0.0.1:{shipped} max_fails=", f"server 127.0.0.1:{here} max_fails=")
                for shipped, here in nodes
            ),
            ("listen 80;", f"listen 127.0.0.1:{self.http_port};"),
            ("listen 443 ssl http2;", f"listen 127.0.0.1:{self.https_port} ssl http2;"),
            (f"/etc/letsencrypt/live/{NAME}/fullchain.pem", str(certificate)),
            (f"/etc/letsencrypt/live/{NAME}/privkey.pem", str(key)),
            ("/var/log/nginx/", f"{directory}/"),
        ):
            assert shipped in text, f"the site no longer says {shipped!r}"
            text = text.replace(shipped, here)
        self.path_port = free_ports(1)[0]
        text += UNDER_A_PATH.format(port=self.path_port, backend=node_ports[0])
        (directory / "pnl.conf").write_text(text)
        user = "user root;" if os.geteuid() == 0 else ""
        (directory / "nginx.conf").write_text(_AROUND.format(here=directory, user=user))

    def check(self) -> str:
        """What `nginx -t` says."""
        done = subprocess.run(self._command("-t"), capture_output=True, text=True, check=False)
        return done.stderr

    async def start(self) -> None:
        self._process = self._spawn()
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.https_port)
                except OSError:
                    assert self._process.poll() is None, self.check()
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return

    async def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait)

    def logs(self) -> str:
        return "".join(path.read_text(errors="replace") for path in self.directory.glob("*.log"))

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _command(self, *more: str) -> list[str]:
        return ["nginx", "-p", str(self.directory), "-c", str(self.directory / "nginx.conf"), *more]


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def self_signed(directory: Path) -> tuple[Path, Path]:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate_path, key_path = directory / "fullchain.pem", directory / "privkey.pem"
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate_path, key_path

"""What `check` says of a ledger that cannot be written now: a service that runs it first must start all the same."""

from pathlib import Path

import pytest

from tests.faults.disks import fill
from tests.support.server import command


@pytest.mark.parametrize("exists", [False, True])
async def test_a_full_disk_is_a_warning_of_check_for_the_server_starts_on_it(
    tmp_path: Path, small_disk: Path, exists: bool
) -> None:
    settings = {"DEMO": "true", "DB_PATH": str(small_disk / "pnl.db")}
    if exists:
        assert (await command(tmp_path, "check", **settings))[0] == 0
    with pytest.raises(OSError, match="No space"):
        fill(small_disk / "ballast")
    code, output = await command(tmp_path, "check", **settings)
    assert (code, "warning  database" in output) == (0, True), output
    assert "the server starts and stores nothing until it can" in output
    assert (await command(tmp_path, "check", "--strict", **settings))[0] == 1

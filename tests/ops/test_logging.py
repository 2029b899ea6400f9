"""Logs as an operator reads them: a process of its own writes, and its console and files are read back."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from pnl_backend.ops.logging import Repeated
from pnl_backend.ops.redaction import MASK, Redactor


@dataclass
class Written:
    console: str
    combined: str
    error: str

    @property
    def everything(self) -> str:
        return self.console + self.combined + self.error


def write(
    directory: Path,
    body: str,
    *,
    level: str = "info",
    json_lines: bool = False,
    secrets: tuple[str, ...] = (),
    exit_code: int = 0,
) -> Written:
    """Run `body` in a fresh interpreter after setup_logging; `secrets` is in its scope."""
    program = (
        "import asyncio, logging, sys, threading, warnings\n"
        "from pathlib import Path\n"
        "from loguru import logger\n"
        "from pnl_backend.ops.logging import setup_logging\n"
        f"secrets = {secrets!r}\n"
        f"setup_logging(level={level!r}, directory=Path({str(directory)!r}), json_lines={json_lines},"
        " secrets=secrets)\n" + textwrap.dedent(body)
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == exit_code, done.stderr
    assert done.stdout == ""
    return Written(done.stderr, _read(directory / "combined.log"), _read(directory / "error.log"))


def _read(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""


def test_each_line_goes_where_its_level_belongs(tmp_path: Path) -> None:
    written = write(
        tmp_path / "logs",
        """
        logger.debug("a detail")
        logger.info("a fact")
        logger.error("a fault")
        """,
    )
    for text in (written.console, written.combined):
        assert "a detail" not in text
        assert "a fact" in text
        assert "a fault" in text
    assert "a fact" not in written.error
    assert "a fault" in written.error


def test_the_standard_librarys_loggers_are_included_under_their_own_name(tmp_path: Path) -> None:
    written = write(
        tmp_path / "logs",
        """
        early = logging.getLogger("aiohttp.server")
        early.error("from %s", "aiohttp")
        logging.getLogger("somebody").warning("wrong arguments %d", "x")
        logging.getLogger("aiosqlite").debug("SELECT everything")
        warnings.warn("old ways")
        async def leak():
            asyncio.get_running_loop().create_task(fail())
            await asyncio.sleep(0.01)
        async def fail():
            raise RuntimeError("never retrieved")
        asyncio.run(leak())
        """,
        level="debug",
    )
    assert "aiohttp.server:" in written.combined
    assert "from aiohttp" in written.error
    assert "wrong arguments" in written.combined
    assert "SELECT everything" not in written.combined
    assert "old ways" in written.combined
    assert "never retrieved" in written.error


def test_json_lines_are_whole_objects_with_their_ids(tmp_path: Path) -> None:
    written = write(
        tmp_path / "logs",
        r"""
        with logger.contextualize(request_id="r-1", sid="abc"):
            logger.info("two\nlines \udcff and {} braces", "{}")
            try:
                1 / 0
            except ZeroDivisionError:
                logger.exception("failed")
        """,
        json_lines=True,
    )
    for text in (written.console, written.combined):
        first, second = [json.loads(line) for line in text.splitlines()]
        assert first["message"].startswith("two\nlines")
        assert (first["request_id"], first["sid"], first["level"]) == ("r-1", "abc", "info")
        assert first["timestamp"].endswith("Z")
        assert "ZeroDivisionError" in second["exception"]
    assert [json.loads(line)["message"] for line in written.error.splitlines()] == ["failed"]


def test_no_text_can_imitate_a_line_of_the_log(tmp_path: Path) -> None:
    written = write(
        tmp_path / "logs",
        r"""
        with logger.contextualize(request_id="r\n2026-01-01T00:00:00.000+0000 INFO     fake:1 - forged"):
            logger.info("name\r\n2026-01-01T00:00:00.000+0000 INFO     fake:1 - forged \x1b[2J \x00")
        """,
    )
    assert not [line for line in written.combined.splitlines() if line.startswith("2026-01-01")]
    assert "\x1b" not in written.everything
    assert "\x00" not in written.everything


def _pem(private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


RSA_PEM = _pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
ED_PEM = _pem(ed25519.Ed25519PrivateKey.generate())
PLAIN = 'pl"ain/secret+with ümlaut&more='


@pytest.mark.parametrize("json_lines", [False, True])
def test_no_secret_is_found_anywhere(tmp_path: Path, json_lines: bool) -> None:
    written = write(
        tmp_path / "logs",
        r"""
        import base64, json, urllib.parse
        unknown = "sk-ant-admin01-" + "Q" * 40
        for secret in secrets:
            logger.info("plain {}", secret)
            logger.info("repr {!r} bytes {!r}", secret, secret.encode())
            logger.bind(key=secret, nested={"deep": [secret]}).info("extra")
            with logger.contextualize(api_key=secret):
                logger.warning("context")
            logger.info("json {}", json.dumps({"apiKey": secret}))
            logger.info("url {}", "http://h/?apiKey=" + urllib.parse.quote(secret))
            logger.info("base64 {}", base64.b64encode(secret.encode()).decode())
            for line in secret.splitlines():
                logger.info("line {}", line)
            logging.getLogger("x").error("stdlib %s", {"token": secret})
            try:
                try:
                    local_with_a_key = secret
                    raise ValueError(secret)
                except ValueError as error:
                    raise RuntimeError("while handling " + secret) from error
            except RuntimeError:
                logger.exception("trace of {}", secret)
                logger.opt(exception=True).error("trace")
        logger.info("header Authorization: Bearer UNKNOWNUNKNOWN")
        logger.info("header X-API-Key: UNKNOWNUNKNOWN and {}", {"X-API-Key": "UNKNOWNUNKNOWN"})
        logger.info("GET /api/pnl/current?apiKey=UNKNOWNUNKNOWN&limit=1")
        logger.info("redis://user:UNKNOWNUNKNOWN@localhost:6379/0")
        logger.info("using {}", unknown)
        logger.info("-----BEGIN RSA PRIVATE KEY-----\nUNKNOWNUNKNOWN\n-----END RSA PRIVATE KEY----- after")
        def thread():
            raise OSError("thread " + secrets[0])
        runner = threading.Thread(target=thread)
        runner.start()
        runner.join()
        raise SystemError("crash " + secrets[0])
        """,
        json_lines=json_lines,
        secrets=(PLAIN, RSA_PEM, ED_PEM),
        exit_code=1,
    )
    found = written.everything
    needles = [PLAIN, quote(PLAIN), json.dumps(PLAIN)[1:-1], repr(PLAIN)[1:-1]]
    needles += [base64.b64encode(PLAIN.encode()).decode().rstrip("="), "UNKNOWNUNKNOWN", "Q" * 12]
    needles += [line for pem in (RSA_PEM, ED_PEM) for line in pem.splitlines() if not line.startswith("-----")]
    assert [needle for needle in needles if needle in found] == []
    # What surrounds the secrets is still there to be read.
    for kept in ("plain ***", "RuntimeError", "limit=1", "after", "The process ends: SystemError", "ended: OSError"):
        assert kept in found, kept


def test_secrets_added_later_are_redacted_too(tmp_path: Path) -> None:
    written = write(
        tmp_path / "logs",
        """
        from pnl_backend.ops.logging import learn_secrets
        learn_secrets(["a-new-key"])
        logger.info("old {} new {}", "an-old-key", "a-new-key")
        """,
        secrets=("an-old-key",),
    )
    assert "old *** new ***" in written.combined


def test_files_turn_over_at_their_size_and_five_old_ones_stay(tmp_path: Path) -> None:
    written = write(
        tmp_path,
        """
        import random
        for number in range(45):
            logger.info("{} {}", number, "x" * 1_000_000)
        """,
    )
    names = sorted(path.name for path in tmp_path.glob("combined*"))
    assert len(names) == 6
    for path in tmp_path.glob("combined*"):
        assert path.stat().st_size <= 6_100_000
        assert path.stat().st_mode & 0o007 == 0
    assert "44 xxx" in written.combined


def test_a_directory_that_cannot_be_written_costs_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    written = write(tmp_path / "file" / "logs", 'logger.info("goes on")')
    assert written.console.count("cannot be written") == 1
    assert "goes on" in written.console
    assert written.combined == ""


def test_too_many_log_lines_are_counted_and_not_written(tmp_path: Path) -> None:
    written = write(
        tmp_path / "logs",
        """
        for number in range(1000):
            logger.warning("Redis is down")
            logger.info("request {}", number % 2)
        """,
    )
    assert written.combined.count("Redis is down") == 1
    assert written.combined.count("request 0") == 500


def test_the_number_of_suppressed_lines_is_logged_with_the_next_one() -> None:
    now = [0.0]
    repeated = Repeated(window=60, clock=lambda: now[0])
    assert repeated.seen("a") == (True, 0)
    assert [repeated.seen("a") for _ in range(41)] == [(False, 0)] * 41
    assert repeated.seen("b") == (True, 0)
    now[0] = 60.0
    assert repeated.seen("a") == (True, 41)
    assert repeated.seen("a") == (False, 0)


def test_endlessly_new_lines_do_not_fill_the_memory() -> None:
    repeated = Repeated(most=100)
    for number in range(10_000):
        assert repeated.seen(number) == (True, 0)
    assert len(repeated._seen) <= 100


@given(secret=st.text(min_size=4, max_size=60), before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_known_secret_is_always_redacted(secret: str, before: str, after: str) -> None:
    held = secret.strip()
    text = Redactor([secret])(f"{before}{held}{after}")
    if len(held) >= 4 and held not in (before + after) and held not in MASK:
        # Joined with what stood around it, the mask may spell a secret of asterisks; nothing else may.
        assert held not in text or "*" in held


@pytest.mark.parametrize(
    "harmless",
    [
        "no API_KEY: every program on this machine may read",
        "ADMIN_API_KEY: given 'x', allowed 32 characters or more",
        "kalshi: recovered after 3 failures",
        "GET /api/pnl/history?limit=100 200 5120B 3.1ms",
        "http://localhost:5000/api/revenue",
        "token bucket of 10.0.0.1 is empty",
    ],
)
def test_harmless_lines_stay_as_they_are(harmless: str) -> None:
    assert Redactor(["a secret of ours"])(harmless) == harmless

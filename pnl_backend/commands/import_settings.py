"""Converts an older `.env`: settings with the same meaning are written, the others are reported with the reason.

No value is ever printed. The new file can be read by its owner only, and never replaces another one.
"""

from __future__ import annotations

import io
import os
import re
import secrets
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path

from dotenv import dotenv_values

from pnl_backend.errors import ImportFileError, OutputError
from pnl_backend.settings import text as config_text
from pnl_backend.settings.fields import weakness_of
from pnl_backend.settings.model import settings_class
from pnl_backend.settings.names import FOREIGN
from pnl_backend.sources.kalshi.settings import ENDED_HOST
from pnl_backend.sources.revenue.settings import PATH as JOHNS_PATH

ADDITIONS = ".import"
"""Suffix of the file that is written beside an existing `.env`."""

_PLACEHOLDER = re.compile(r"your[-_ ].*|x{3,}|<.*>|change-?me", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9_./:@,+=*?&%-]*")

OnLine = Callable[[str], None]


def import_settings(file: Path, target: Path, *, on_line: OnLine) -> int:
    """Write `target`, or beside it the names that it lacks, and report every name of `file`."""
    given = _read(file)
    taken: dict[str, str] = {}
    on_line(f"{file}: settings of the Node server")
    for name, value in given.items():
        reason, setting = _setting_of(name, value)
        if setting is None:
            on_line(f"  {name}: not taken: {reason}")
        elif setting[0] in taken:
            on_line(f"  {name}: not taken: another name of {setting[0]}, which is there")
        else:
            taken[setting[0]] = setting[1]
            on_line(f"  {name}: taken" + ("" if setting[0] == name else f" as {setting[0]}"))
    if target.exists() and file.samefile(target):
        on_line(f"{target} is that file itself: nothing is written, what was not taken is yours to change")
        return 0
    there = _names_in(target) if target.exists() else set()
    for line in _new_key(taken, there):
        on_line(f"  {line}")
    _write({name: value for name, value in taken.items() if name not in there}, target, on_line)
    return 0


def _read(file: Path) -> dict[str, str]:
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeError:
        raise ImportFileError(f"{file} is damaged: not UTF-8") from None
    return {
        name.upper(): value or "" for name, value in dotenv_values(stream=io.StringIO(text), interpolate=False).items()
    }


def _setting_of(name: str, value: str) -> tuple[str, tuple[str, str] | None]:
    """Why a name is not taken, or the name and the value of its setting here."""
    fields = {known: field for field in settings_class().model_fields for known in config_text.names(field)}
    field = fields.get(name)
    if field is None:
        built = name.startswith(FOREIGN)
        return ("read when a dashboard is built, not by the server" if built else "nothing here has this name"), None
    if reason := _invalid(field, value):
        return reason, None
    if field == "john_api_base_url":
        return "", ("JOHNS_REVENUE_URL", value.rstrip("/") + JOHNS_PATH)
    return "", (config_text.names(field)[0], value)


def _invalid(field: str, value: str) -> str | None:
    """Why a value is not valid here; None if it is."""
    if not value.strip():
        return "it is empty"
    if _PLACEHOLDER.fullmatch(value.strip()):
        return "a placeholder, no value"
    if "${" in value:
        return "it refers to another name by ${...}; write it down yourself"
    return _changed_meaning(field, value) or config_text.problem_of(field, value)


def _changed_meaning(field: str, value: str) -> str | None:
    """Why a value that was valid for the Node server is not valid here."""
    if field == "db_path":
        return f"that file is the Node server's; take it over with: pnl-backend import {value}"
    if field == "kalshi_api_url" and ENDED_HOST in value:
        return "that API has ended, the default is used"
    if field == "kalshi_private_key" and "PRIVATE KEY" not in value:
        return "no PEM text; Kalshi needs the key's PEM file, see KALSHI_PRIVATE_KEY_PATH"
    return None


def _new_key(taken: dict[str, str], there: Container[str]) -> Iterator[str]:
    """In production, replace a missing or refused key by a new one."""
    if taken.get("NODE_ENV", "").strip().lower() != "production" or "API_KEY" in there:
        return
    old = taken.get("API_KEY")
    if old is None or any(weakness_of(key.strip()) for key in old.split(",")):
        taken["API_KEY"] = secrets.token_urlsafe(32)
        why = "production needs one" if old is None else "production refuses the old one"
        yield f"API_KEY: made anew, {why}; give it to the clients"


def _write(lacking: Mapping[str, str], target: Path, on_line: OnLine) -> None:
    there = target.exists()
    if not lacking:
        on_line(f"{target} is there and lacks nothing of it" if there else "there is nothing to write")
        return
    written = target.with_name(target.name + ADDITIONS) if there else target
    try:
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if set(lacking) <= _names_in(written):
            on_line(f"{target} stays as it is; what it lacks is in {written} already: {', '.join(lacking)}")
            return
        raise OutputError(f"{written} is there already, of an earlier import: move it away first") from None
    except OSError as error:
        raise OutputError(f"cannot write {written}: {(error.strerror or str(error)).lower()}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.writelines(f"{name}={_quoted(value)}\n" for name, value in lacking.items())
    if there:
        on_line(f"{target} stays as it is; what it lacks is in {written}: {', '.join(lacking)}")
    else:
        on_line(f"{target} is written, for its owner alone; look at it and run: pnl-backend check")


def _names_in(target: Path) -> set[str]:
    """Every name that a file sets, and the other names of the same settings."""
    set_there = set(_read(target))
    alike = [config_text.names(field) for field in settings_class().model_fields]
    alike.append(["JOHNS_REVENUE_URL", "JOHN_API_BASE_URL"])
    return set_there | {name for group in alike if set_there.intersection(group) for name in group}


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

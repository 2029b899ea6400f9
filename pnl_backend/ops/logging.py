"""Logging to the console, combined.log and error.log: secrets are redacted, repeated lines are counted."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from datetime import UTC
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import orjson
from loguru import logger

from pnl_backend.ops.health import Part
from pnl_backend.ops.logfile import LogFile
from pnl_backend.ops.redaction import Redactor

if TYPE_CHECKING:
    from loguru import Record

FLOOD_WINDOW = 60.0
_LINE = "_line"
_SHOWN = "_shown"
_ORIGIN = "_origin"
_CONSOLE_ONLY = "_console_only"
# Loggers with a level of their own: aiosqlite logs every statement, and the access log is written elsewhere.
_FLOORS = {
    "aiosqlite": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.INFO,
    "engineio": logging.WARNING,
    "socketio": logging.WARNING,
}


def setup_logging(*, level: str, directory: Path | None, json_lines: bool, secrets: Collection[str]) -> None:
    """Send every log line of this process, the standard library's too, to the console and to files in `directory`.

    `level` is a loguru level in upper or lower case. With `json_lines` the files, and a console that is no terminal,
    get one JSON object a line. While a file cannot be written its lines go to the console only; it is tried again.
    """
    level = level.upper()
    learn_secrets(secrets)
    logger.remove()
    _files.clear()
    logger.configure(patcher=_Render(_redact, json_lines=json_lines))
    as_json = json_lines and not sys.stderr.isatty()
    logger.add(
        sys.stderr,
        level=level,
        format=_line("json")
        if as_json
        else _line("text", "<dim>{time:HH:mm:ss.SSS}</dim> <level>{level: <8}</level> "),
        filter=_is_shown,
        backtrace=False,
        diagnose=False,
    )
    _take_in_standard_logging(level)
    _take_in_crashes()
    if directory is not None:
        _add_files(directory, level, json_lines)


def learn_secrets(secrets: Collection[str]) -> None:
    """Redact these too from now on, for keys that are rotated while the server runs."""
    _redact.learn(secrets)


_redact = Redactor()
_files: list[LogFile] = []
# A file's failure is logged to the console only: the lock of that file is held here.
_console = logger.bind(**{_CONSOLE_ONLY: True})


def logs_part() -> Part:
    """The log files as a part of the health report: degraded while one of them cannot be written."""
    for file in _files:
        file.retry()
    problems = [f"{file.baseFilename} cannot be written ({file.problem})" for file in _files if file.problem]
    if problems:
        return Part("failing", ok=False, detail=", ".join(problems))
    return Part("written" if _files else "disabled")


def _add_files(directory: Path, level: str, json_lines: bool) -> None:
    form = _line("json") if json_lines else _line("text", "{time:YYYY-MM-DDTHH:mm:ss.SSSZZ} {level: <8} ")
    for name, least in (("combined.log", level), ("error.log", "ERROR")):
        file = LogFile(
            directory / name,
            on_problem=partial(_say_failed, directory),
            on_recovery=partial(_say_written, directory),
        )
        logger.add(file, level=least, format=form, filter=_is_for_files, backtrace=False, diagnose=False)
        _files.append(file)


def _say_failed(directory: Path, problem: str) -> None:
    _console.warning("Log files in {} cannot be written ({}): lines go to the console only", directory, problem)


def _say_written(directory: Path) -> None:
    _console.warning("Log files in {} can be written again", directory)


class _Render:
    """Called once for each record: redacts it, counts repetitions, and formats the line for every sink."""

    def __init__(self, redact: Redactor, *, json_lines: bool) -> None:
        self._redact = redact
        self._json_lines = json_lines
        self._repeated = Repeated()

    def __call__(self, record: Record) -> None:
        extra = record["extra"]
        if _ORIGIN in extra:
            record["name"], record["function"], record["line"] = extra.pop(_ORIGIN)
        message = self._redact(record["message"])
        passes, suppressed = True, 0
        if record["level"].no >= logging.WARNING:
            passes, suppressed = self._repeated.seen((record["name"], record["line"], message))
        if suppressed:
            message = f"{message} ({suppressed} more times since the last such line)"
        record["message"] = message
        context = {key: self._redact(str(value)) for key, value in extra.items() if not key.startswith("_")}
        extra.update(context)
        trace = self._redact(_trace(record)) if passes else ""
        extra[_SHOWN] = passes
        extra[_LINE] = {
            "text": _text(record, context, trace),
            "json": _json(record, context, trace) if self._json_lines else "",
        }


class Repeated:
    """Suppresses repeated lines: prints the first, then one in each `window` (s) with the count."""

    def __init__(
        self, *, window: float = FLOOD_WINDOW, most: int = 1000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._window = window
        self._most = most
        self._clock = clock
        self._seen: dict[object, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def seen(self, what: object) -> tuple[bool, int]:
        """Whether to print `what` now, and how often it was suppressed since it was last printed."""
        now = self._clock()
        with self._lock:
            if len(self._seen) >= self._most:
                self._seen = {key: held for key, held in self._seen.items() if now - held[0] < self._window}
            if len(self._seen) >= self._most:
                self._seen.clear()
            printed, kept_back = self._seen.get(what, (float("-inf"), 0))
            if now - printed < self._window:
                self._seen[what] = (printed, kept_back + 1)
                return False, 0
            self._seen[what] = (now, 0)
            return True, kept_back


class _FromStandardLogging(logging.Handler):
    """Passes the standard library's records to loguru with their own name and line."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = f"{record.msg} {record.args!r}"
        level: str | int = record.levelname if record.levelname in _LEVELS else record.levelno

        origin = (record.name, record.funcName, record.lineno)
        logger.bind(**{_ORIGIN: origin}).opt(exception=record.exc_info).log(level, message)


_LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})


def _take_in_standard_logging(level: str) -> None:
    lowest = logger.level(level).no
    for name in list(logging.root.manager.loggerDict):
        held = logging.getLogger(name)
        held.handlers.clear()
        held.propagate = True
    for name, floor in _FLOORS.items():
        logging.getLogger(name).setLevel(max(floor, lowest))
    logging.basicConfig(handlers=[_FromStandardLogging()], level=lowest, force=True)
    logging.captureWarnings(capture=True)


def _take_in_crashes() -> None:
    """Log uncaught exceptions of threads and of the process, so that they are redacted too."""

    def crashed(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, where)
        else:
            logger.opt(exception=(kind, error, where)).critical("The process ends: {}", kind.__name__)

    def thread_crashed(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            name = args.thread.name if args.thread else "?"
            logger.opt(exception=args.exc_value).error("The thread {} ended: {}", name, args.exc_type.__name__)

    sys.excepthook = crashed
    threading.excepthook = thread_crashed


def _line(form: str, before: str = "") -> Callable[[Record], str]:
    """A loguru format that prints the line as `Record` formatted it, so that nothing bypasses the redaction."""
    template = f"{before}{{extra[{_LINE}][{form}]}}\n"
    return lambda _record: template


def _is_shown(record: Record) -> bool:
    return bool(record["extra"].get(_SHOWN, True))


def _is_for_files(record: Record) -> bool:
    return _is_shown(record) and _CONSOLE_ONLY not in record["extra"]


def _text(record: Record, context: Mapping[str, str], trace: str) -> str:
    ids = "".join(f" {key}={_one_line(value)}" for key, value in context.items())
    line = f"{record['name']}:{record['line']}{ids} - {_indented(record['message'])}"
    return f"{line}\n  {_indented(trace, '  ')}" if trace else line


def _json(record: Record, context: Mapping[str, str], trace: str) -> str:
    fields: dict[str, Any] = {
        "timestamp": record["time"].astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record["level"].name.lower(),
        "message": record["message"],
        "logger": record["name"],
        "function": record["function"],
        "line": record["line"],
        **{key: value for key, value in context.items() if key not in ("timestamp", "level", "message")},
    }
    if trace:
        fields["exception"] = trace
    try:
        return orjson.dumps(fields).decode()
    except orjson.JSONEncodeError:
        # A lone surrogate from a file name or a client cannot be encoded: it is escaped.
        return orjson.dumps({key: _utf8(value) for key, value in fields.items()}).decode()


def _trace(record: Record) -> str:
    """The traceback without local variables, because they may hold keys."""
    held = record["exception"]
    if held is None or held.value is None:
        return ""
    return "".join(traceback.format_exception(held.type, held.value, held.traceback, limit=30)).rstrip()


def _indented(text: str, by: str = "    ") -> str:
    """Further lines are indented and control characters escaped, so that no text can imitate a log line."""
    if text.replace("\n", "").isprintable():
        return text.replace("\n", f"\n{by}")
    return f"\n{by}".join(_one_line(line) for line in text.split("\n"))


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\t" else ascii(character)[1:-1] for character in text
    )


def _utf8(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value

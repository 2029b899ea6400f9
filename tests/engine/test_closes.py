"""Each close, refusal and limit is defined in one module, and used from there."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pnl_backend
from pnl_backend.engine import EngineConfig, closes, refusals
from pnl_backend.engine.closes import Close

PACKAGE = Path(str(pnl_backend.__file__)).parent
ROOT = PACKAGE.parent
HOMES = {"engine/closes.py", "engine/refusals.py", "engine/limits.py"}
SIMULATED = "simulator"
"""Its closes are those that an upstream would choose."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in HOMES and not name.startswith(SIMULATED):
            yield name, ast.parse(path.read_text())


def literals(call: ast.Call) -> list[object]:
    given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg in ("code", "reason", "status"))]
    return [
        value.value for value in given if isinstance(value, ast.Constant) and value.value not in (True, False, None)
    ]


def called(call: ast.Call) -> str:
    function = call.func
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


CLOSING = {"close", "end", "depart", "lost", "close_frame", "FrameError", "Close", "Refusal"}


def test_nothing_is_closed_or_refused_with_a_literal() -> None:
    """The sockets of websockets and sessions alike: a number or a text where an object of the home is due."""
    found = [
        f"{name}:{node.lineno}"
        for name, tree in modules()
        if name.startswith(("engine/", "stream/", "assembly/"))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and called(node) in CLOSING and literals(node)
    ]
    assert found == []


def test_no_close_code_is_written_anywhere_else() -> None:
    codes = {close.code for close in closes.ALL} - {1000}  # which is also the number of ms in a second
    found = [
        f"{name}:{node.lineno}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value in codes
    ]
    assert found == []


def test_every_close_has_a_code_that_a_server_may_send() -> None:
    for close in closes.ALL:
        assert close.code in {1000, 1001, 1002, 1007, 1008, 1009} or 4000 <= close.code <= 4999
        assert len(close.reason.encode()) <= 123
        assert close.advice.endswith(".")


def test_reasons_and_refusals_have_distinct_texts() -> None:
    reasons = [close.reason for close in closes.ALL]
    assert len(reasons) == len(set(reasons))
    assert len({(kind.status, kind.message) for kind in refusals.ALL}) == len(refusals.ALL)


@pytest.mark.parametrize("module", [closes, refusals])
def test_every_defined_close_and_refusal_is_used(module: object) -> None:
    source = "\n".join(
        path.read_text() for path in PACKAGE.rglob("*.py") if path.name not in {"closes.py", "refusals.py"}
    )
    names = {name for name, value in vars(module).items() if isinstance(value, Close | refusals.RefusalKind)}
    home = Path(str(inspect.getsourcefile(module))).stem  # type: ignore[arg-type]
    unused = {name for name in names if not re.search(rf"\b(?:{home}\.{name}|import .*\b{name})\b", source)}
    assert unused == set()


def test_the_dashboard_waits_for_another_key_where_the_server_refuses_one() -> None:
    """The one failure after which the client package does not connect again: it looks for `api key` in the text."""
    source = (ROOT / "client/packages/pnl-client/src/transports/socketio.ts").read_text()
    (pattern,) = re.findall(r"/([^/]+)/i\.test\(error\.message\) \? 'auth'", source)
    final = [close.reason for close in closes.ALL if re.search(pattern, close.reason, re.IGNORECASE)]
    assert set(final) == {closes.MISSING_KEY.reason, closes.WRONG_KEY.reason, closes.WRONG_KEYS_LIMITED.reason}
    assert not any(close.reconnect for close in closes.ALL if close.reason in final)
    assert re.search(pattern, EngineConfig.refusal, re.IGNORECASE), "what a CONNECT with a wrong key is answered"
    others = [close.reason for close in closes.ALL if close.reconnect] + [kind.message for kind in refusals.ALL]
    assert not any(re.search(pattern, text, re.IGNORECASE) for text in others)

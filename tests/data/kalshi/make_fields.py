"""Writes the field lists of Kalshi's official Python client, read from its source, which is never imported.

    python -m tests.data.kalshi.make_fields

The client is no dependency of anything here. Its wheel is downloaded with the version and the hash of
`official-client.txt`; for a newer version change both there, run this, and look at what the tests of the field lists
report.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PINNED = HERE / "official-client.txt"
FIELDS = HERE / "fields-3.34.json"
PACKAGE = "kalshi_python_async"

ANSWERS = {
    "/portfolio/balance": "GetBalanceResponse",
    "/portfolio/positions": "GetPositionsResponse",
    "/portfolio/fills": "GetFillsResponse",
    "/portfolio/settlements": "GetSettlementsResponse",
    "/portfolio/deposits": "GetDepositsResponse",
    "/portfolio/withdrawals": "GetWithdrawalsResponse",
    "/portfolio/subaccounts/balances": "GetSubaccountBalancesResponse",
    "/portfolio/subaccounts/transfers": "GetSubaccountTransfersResponse",
    "/markets": "GetMarketsResponse",
    "/exchange/status": "ExchangeStatus",
    "/exchange/user_data_timestamp": "GetUserDataTimestampResponse",
    "/historical/cutoff": "GetHistoricalCutoffResponse",
    "/historical/positions": "GetPositionsResponse",
    "/historical/fills": "GetFillsResponse",
    "/historical/markets": "GetMarketsResponse",
    "/historical/markets/{ticker}": "GetMarketResponse",
}
"""The model of each route's answer."""

Model = dict[str, Any]


class Unavailable(Exception):
    """The client cannot be downloaded from the package index."""


class NoIndex(Unavailable):
    """No package index can be reached from here."""


def download(into: Path) -> Path:
    """The pinned wheel; NoIndex without a package index, Unavailable where it lacks the wheel or the hash differs."""
    # The client needs a newer Python than this project does; it is only read.
    done = _pip_download(into, "--python-version", "3.13", "--require-hashes", "--requirement", str(PINNED))
    wheels = list(into.glob("*.whl"))
    if not done.returncode and wheels:
        return wheels[0]
    reason = done.stderr.strip() or "pip gave no wheel"
    with tempfile.TemporaryDirectory() as folder:
        # Of a missing package and a missing index pip says the same; pip itself is on every index.
        reached = not _pip_download(Path(folder), "pip").returncode
    raise Unavailable(reason) if reached else NoIndex(reason)


def _pip_download(into: Path, *what: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-cache-dir", "--retries", "0", "--timeout", "20", "--only-binary", ":all:", "--dest", str(into)]
    return subprocess.run([*command, *what], capture_output=True, text=True, check=False)


def read(wheel: Path) -> dict[str, Model]:
    """The models that the answers are made of, by name: of each field its type, and whether it must be there."""
    with zipfile.ZipFile(wheel) as archive:
        sources = [
            archive.read(name).decode()
            for name in archive.namelist()
            if name.startswith(f"{PACKAGE}/models/") and name.endswith(".py")
        ]
    classes = {node.name: node for text in sources for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    found: dict[str, Model] = {}
    wanted = sorted(set(ANSWERS.values()))
    while wanted:
        name = wanted.pop()
        if name in found or name not in classes:
            continue
        found[name] = _model(classes[name])
        for field in found[name].get("fields", {}).values():
            wanted += re.findall(r"\w+", field["type"])
    return dict(sorted(found.items()))


def _model(node: ast.ClassDef) -> Model:
    if any(isinstance(base, ast.Name) and base.id == "Enum" for base in node.bases):
        values = [item.value for item in node.body if isinstance(item, ast.Assign)]
        return {"enum": sorted(value.value for value in values if isinstance(value, ast.Constant))}
    fields: dict[str, Any] = {}
    for item in node.body:
        if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name):
            continue
        name, kind = item.target.id, ast.unparse(item.annotation)
        if not name.startswith("_") and not kind.startswith("ClassVar"):
            fields[_alias(item.value) or name] = {"type": kind, "required": not kind.startswith("Optional[")}
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name.endswith("_validate_enum"):
            fields[item.name.removesuffix("_validate_enum")]["values"] = _values(item)
    return {"fields": fields}


def _alias(value: ast.expr | None) -> str | None:
    for keyword in value.keywords if isinstance(value, ast.Call) else ():
        if keyword.arg == "alias" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return None


def _values(check: ast.FunctionDef) -> list[str]:
    """What `value not in set([...])` allows."""
    for node in ast.walk(check):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "set":
            return sorted(ast.literal_eval(node.args[0]))
    return []


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        models = read(download(Path(folder)))
    FIELDS.write_text(json.dumps(models, indent=1) + "\n", "utf-8")
    print(f"{FIELDS.name}: {len(models)} models")


if __name__ == "__main__":
    main()

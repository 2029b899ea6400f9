"""The samples of the older documents, read from them where they are available, and our own versions of them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.server import ROOT

_BESIDE = (parent / "shared" / "seeds" for parent in ROOT.parents)
SEEDS = next((folder for folder in _BESIDE if folder.is_dir()), None)
"""The older documents, where they lie beside the repository."""

BACKEND = """
# Server
PORT=3000
NODE_ENV=development
LOG_LEVEL=info

API_KEY=some-key-of-a-developer
CORS_ORIGIN=*
ALLOWED_ORIGINS=http://localhost:3000,http://localhost:5173

KALSHI_API_URL=https://api.kalshi.com/v1
KALSHI_API_KEY=some-kalshi-key
ANTHROPIC_API_KEY=some-anthropic-key
JOHNS_REVENUE_URL=http://localhost:5000/api/revenue

REDIS_URL=redis://localhost:6379
CACHE_TTL=300000
CIRCUIT_BREAKER_FAILURE_THRESHOLD=5
CIRCUIT_BREAKER_RESET_TIMEOUT=60000
"""

GUIDE = """
KALSHI_API_KEY=some_kalshi_key
KALSHI_API_SECRET=some_kalshi_secret
ANTHROPIC_API_KEY=some_anthropic_key
JOHN_API_BASE_URL=https://john.invalid

PORT=8080
NODE_ENV=production
USE_REDIS=true
DB_PATH=./data/company.db
AGGREGATION_INTERVAL_MS=10000  # ten seconds
"""

RESEARCH = """
KALSHI_API_KEY=some_key
ANTHROPIC_API_KEY=some_key
JOHN_API_BASE_URL=https://john.invalid
REDIS_URL=redis://localhost:6379
DB_PATH=./data/company.db
PORT=8080
AGGREGATION_INTERVAL_MS=10000
"""

DASHBOARD = """
VITE_WS_URL=ws://pnl.invalid/pnl-stream
VITE_WS_SECURE=true  # with TLS
VITE_API_URL=https://pnl.invalid/api
"""

OURS = {"backend": BACKEND, "guide": GUIDE, "research": RESEARCH, "dashboard": DASHBOARD}


def printed() -> dict[str, str]:
    """Every settings file that the older documents print, by its document; nothing where they are not at hand."""
    return {
        f"{document.stem}-{number}": block
        for document in (sorted(SEEDS.glob("*.md")) if SEEDS else ())
        for number, block in enumerate(_blocks(document))
    }


def printed_queries() -> list[str]:
    """Every SELECT that the older documents print, in SQL or in a command."""
    found = []
    for document in sorted(SEEDS.glob("*.md")) if SEEDS else ():
        text = document.read_text(encoding="utf-8", errors="replace")
        found += re.findall(r"\bSELECT\b[^;\"`]+", text)
    return found


def given_names(text: str) -> list[str]:
    """The names that a settings file sets."""
    return re.findall(r"^(?:export )?([A-Z][A-Z0-9_]*)=", text, re.MULTILINE)


def _blocks(document: Path) -> list[str]:
    text = document.read_text(encoding="utf-8", errors="replace")
    fenced = re.findall(r"^\s*```\w*\n(.*?)^\s*```", text, re.MULTILINE | re.DOTALL)
    heredocs = [
        inner for block in fenced for inner in re.findall(r"<< EOF\n(.*?)^EOF", block, re.MULTILINE | re.DOTALL)
    ]
    whole = [block for block in fenced if _is_settings(block)]
    return [block for block in (*whole, *heredocs) if len(given_names(block)) >= 3]


def _is_settings(block: str) -> bool:
    lines = [line for line in block.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return all(re.match(r"[A-Z][A-Z0-9_]*=", line) for line in lines)  # `export` stands before values left open

"""The fixtures of the sources (a session, the simulator, a server of one's own answers) and of the guards."""

from tests.ingest.script import cache, guard, lines, mono, outcomes, script, wall
from tests.sources.conftest import client, serve, session, simulator

__all__ = [
    "cache", "client", "guard", "lines", "mono", "outcomes", "script", "serve", "session", "simulator", "wall",
]  # fmt: skip

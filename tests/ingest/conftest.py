"""The fixtures of the sources: a session, the simulator, a server for answers that nobody sends on purpose."""

from tests.sources.conftest import client, serve, session, simulator

__all__ = ["client", "serve", "session", "simulator"]

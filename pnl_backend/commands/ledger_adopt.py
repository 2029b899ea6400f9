"""`pnl-backend ledger adopt NAME`: takes the account that is set up now as the one whose facts the ledger holds."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from pnl_backend.assembly.ledger_start import location_of
from pnl_backend.commands.common import Subparsers, load_settings, run_async
from pnl_backend.errors import FetchError, StoreError
from pnl_backend.settings.model import Settings
from pnl_backend.wire.refusals import NotFound


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "adopt",
        help="take the account that is set up now as the ledger's, after its key or its address has changed",
        description="Take the account that is set up now as the one whose facts the ledger holds, after its key or its"
        " address has changed. It must know facts of the ledger: fills, deals or daily costs.",
    )
    parser.add_argument("name", metavar="NAME", help="the source: kalshi, anthropic, johns or a further one")
    parser.add_argument(
        "--force", action="store_true", help="also an account that knows none; the former account's facts are set aside"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what was done. AccountChanged if the account knows none of the ledger's facts."""
    return run_async(_adopt(load_settings(arguments), arguments.name, force=arguments.force))


async def _adopt(settings: Settings, name: str, *, force: bool) -> int:
    import aiohttp

    from pnl_backend.assembly.adoption import adopt
    from pnl_backend.assembly.guards import shown_sources
    from pnl_backend.sources.base import NoClosedDays, UpstreamClient, describe_problem
    from pnl_backend.sources.source_type import Setup

    sources = {source.name: source for source in shown_sources(settings)}
    if name not in sources:
        raise NotFound(f"no source is called {name[:64]!r}; there are {', '.join(sources)}")
    if settings.demo_mode:
        raise StoreError("the demo has a new account at every start: there is nothing to adopt")
    store = await location_of(settings).open_existing(origin="live", timezone=settings.business_timezone)
    try:
        async with aiohttp.ClientSession() as session:
            client = UpstreamClient(session, timeout=settings.fetch_timeout_ms / 1000)
            setup = Setup(client, since=datetime.now(UTC).date(), closed_days=NoClosedDays())
            print(await adopt(store, sources[name], setup, force=force))
    except FetchError as error:
        raise type(error)(describe_problem(error)) from error
    finally:
        await store.close()
    return 0

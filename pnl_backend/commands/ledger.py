"""`pnl-backend ledger`: what a person books or decides in the ledger."""

from __future__ import annotations

from pnl_backend.commands import ledger_adjust, ledger_adopt, ledger_move
from pnl_backend.commands.common import Subparsers

ACTIONS = (ledger_adjust, ledger_adopt, ledger_move)


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("ledger", help="book or decide something in the ledger; the server must be stopped")
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    for action in ACTIONS:
        action.add(actions)

"""The control route's commands about Anthropic's organisations and their usage.

{"action": "usage", "model": "claude-fable-5-2", "output_tokens": 50000, "days_ago": 3}   revises a day
{"action": "forget_usage", "days_ago": 3}  that day's rows go away; with "model" only that one's
{"action": "credit", "amount": "12.50", "model": "claude-opus-5-5", "days_ago": 0}   a cost row below 0, in USD
{"action": "add_organization"}             one without usage; the answer names its organization_id
{"action": "anthropic_key"}                another key of the first one, or of "organization_id"; "kind": "analytics"
{"action": "revoke_anthropic_key", "key": "..."}
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pnl_backend.sources.simulated.simulation import Action

from .api import DEFAULT_WORKSPACE
from .organizations import Organizations
from .usage import Usage

Command = dict[str, Any]


class AnthropicControl:
    """Runs each command; what it returns is added to the answer. Usage is that of the first organisation."""

    def __init__(self, usage: Usage, organizations: Organizations) -> None:
        self._usage = usage
        self._organizations = organizations
        self.actions: dict[str, Action] = {
            "usage": self._use,
            "forget_usage": self._forget,
            "credit": self._credit,
            "add_organization": lambda _: {"organization_id": organizations.add()},
            "anthropic_key": self._key,
            "revoke_anthropic_key": lambda command: organizations.revoke(command["key"]),
        }

    def _use(self, command: Command) -> None:
        self._usage.use_model(
            command["model"],
            input_tokens=int(command.get("input_tokens", 0)),
            output_tokens=int(command.get("output_tokens", 0)),
            days_ago=int(command.get("days_ago", 0)),
            workspace_id=command.get("workspace_id", DEFAULT_WORKSPACE),
        )

    def _forget(self, command: Command) -> None:
        self._usage.forget_usage(days_ago=int(command.get("days_ago", 0)), model=command.get("model"))

    def _credit(self, command: Command) -> None:
        self._usage.credit_usage(
            Decimal(str(command["amount"])),
            model=command.get("model"),
            days_ago=int(command.get("days_ago", 0)),
            workspace_id=command.get("workspace_id", DEFAULT_WORKSPACE),
        )

    def _key(self, command: Command) -> Command:
        organization_id = command.get("organization_id")
        return {"key": self._organizations.new_key(organization_id, kind=command.get("kind", "admin"))}

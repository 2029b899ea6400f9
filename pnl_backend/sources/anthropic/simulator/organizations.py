"""Anthropic's organisations: each has its keys and its own usage."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from typing import Literal, get_args

from .spend import Spend

KeyKind = Literal["admin", "analytics", "plain", "admin-legacy"]
Area = Literal["analytics", "legacy"]
FIRST_ORGANIZATION = str(uuid.UUID(int=0xA17, version=4))
_MAY: dict[KeyKind, tuple[Area, ...]] = {
    "admin": ("analytics", "legacy"),
    "analytics": ("analytics",),
    "admin-legacy": ("legacy",),
    "plain": (),
}


@dataclass(frozen=True, slots=True)
class OrganizationKey:
    """What a key is good for, and whose it is."""

    kind: KeyKind
    organization_id: str

    def may_read(self, area: Area) -> bool:
        return area in _MAY[self.kind]


class Organizations:
    """The first organisation has the usage that the simulation adds; further ones change by command only."""

    def __init__(self, spend: Spend) -> None:
        self._spend = {FIRST_ORGANIZATION: spend}
        self._keys: dict[str, OrganizationKey] = {}

    def add(self, spend: Spend | None = None) -> str:
        """Another organisation, without usage unless some is given; its id."""
        organization_id = str(uuid.uuid4())
        self._spend[organization_id] = Spend() if spend is None else spend
        return organization_id

    def spend(self, organization_id: str | None = None) -> Spend:
        """The usage of an organisation, the first one if none is named; ValueError if there is none such."""
        name = FIRST_ORGANIZATION if organization_id is None else organization_id
        if name not in self._spend:
            raise ValueError(f"no organisation {name!r}")
        return self._spend[name]

    def admit(self, key: str, kind: KeyKind, organization_id: str | None = None) -> None:
        """Accept a key; ValueError for a kind or an organisation that there is not."""
        if kind not in get_args(KeyKind):
            raise ValueError(f"no such kind of key: {kind}; there are {', '.join(get_args(KeyKind))}")
        self.spend(organization_id)
        self._keys[key] = OrganizationKey(kind, organization_id or FIRST_ORGANIZATION)

    def new_key(self, organization_id: str | None = None, *, kind: KeyKind = "admin") -> str:
        """Another key of an organisation; those that it has go on working until they are revoked."""
        prefix = "sk-ant-api03" if kind == "plain" else "sk-ant-admin01"
        key = f"{prefix}-{secrets.token_urlsafe(24)}"
        self.admit(key, kind, organization_id)
        return key

    def revoke(self, key: str) -> None:
        """Refuse a key from now on; ValueError if it is not known."""
        if self._keys.pop(key, None) is None:
            raise ValueError("no such key")

    def of(self, key: str) -> OrganizationKey | None:
        """What a key is good for; None for an unknown one."""
        return self._keys.get(key)

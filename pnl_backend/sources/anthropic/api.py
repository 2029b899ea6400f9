"""Anthropic's organisation reports over HTTP: headers, pages, and error messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pnl_backend.errors import FetchError, InvalidResponse, UpstreamAuthError
from pnl_backend.sources.account import AccountIdentity, Recognise
from pnl_backend.sources.base import Refusal, Upstream, UpstreamClient, quoted, refused
from pnl_backend.sources.fields import Object, an_object, inside, moment, objects, refuse, text

ANTHROPIC = Upstream("Anthropic", "ANTHROPIC_API_URL", "ANTHROPIC_API_KEY")

ANALYTICS_COST = "/v1/organizations/analytics/cost"
COST_REPORT = "/v1/organizations/cost_report"
USAGE_REPORT = "/v1/organizations/usage_report/messages"

ORGANIZATION = "anthropic-organization-id"
"""The header with the id of the organisation that answered."""

_VERSION = "2023-06-01"
_BETA = {ANALYTICS_COST: "analytics-usage-cost-2026-08-24"}

Params = Sequence[tuple[str, str]]
Row = tuple[Object, str]


class EndpointRefused(UpstreamAuthError):
    """This key may not read this report (403), or there is no such report here (404): another one may do."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report's rows from all its pages, each with its path for messages; when its data was refreshed (ms)."""

    rows: list[Row]
    refreshed_at: int | None


class AnthropicApi:
    """The reports of the organisation whose costs the ledger holds; AccountChanged before any of another one."""

    def __init__(self, pages: ReportPages, identity: AccountIdentity, recognise: Recognise) -> None:
        self._pages = pages
        self._identity = identity
        self._recognise = recognise

    async def report(self, path: str, params: Params) -> Report:
        """Every page of a report, as `ReportPages.report`."""
        report = await self._pages.report(path, params)
        await self._identity.confirm(self._pages.organization, self._recognise)
        return report


class ReportPages:
    """GETs below `base_url` with an Admin key, or one that may read analytics.

    `organization` is the id of the organisation that answered last; None where the answer had no id.
    """

    def __init__(self, client: UpstreamClient, *, base_url: str, api_key: str) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self.organization: str | None = None

    async def report(self, path: str, params: Params) -> Report:
        """Every page of a report, however many: the caller's deadline ends it. A page that comes twice is refused."""
        rows: list[Row] = []
        refreshed: list[int] = []
        seen: set[str] = set()
        page = ""
        while True:
            answer = await self._get(path, [*params, *([("page", page)] if page else [])])
            root = where(path)
            rows += [(row, f"{root}data[{index}]") for index, row in enumerate(objects(answer, "data", root))]
            if answer.get("data_refreshed_at") is not None:
                refreshed.append(moment(answer, "data_refreshed_at", root))
            if not _has_more(answer, root):
                return Report(rows, min(refreshed, default=None))
            page = text(answer, "next_page", root)
            if page in seen:
                raise InvalidResponse(f"{inside(root, 'next_page')} {quoted(page, 40)!r} came twice")
            seen.add(page)

    async def _get(self, path: str, params: Params) -> Object:
        headers = {"x-api-key": self._api_key, "anthropic-version": _VERSION}
        if path in _BETA:
            headers["anthropic-beta"] = _BETA[path]
        answer = await self._client.get_json(
            ANTHROPIC,
            self._base_url + path,
            params=params,
            headers=headers,
            explain=self._explain,
            on_headers=self._note,
        )
        return an_object(answer, where(path))

    def _note(self, headers: Mapping[str, str]) -> None:
        self.organization = headers.get(ORGANIZATION) or None

    def _explain(self, refusal: Refusal) -> FetchError:
        """`{"type": "error", "error": {"type", "message"}}`, and which key is needed where the key is the matter."""
        error = refusal.body.get("error") if isinstance(refusal.body, dict) else None
        parts = [error.get("type"), error.get("message")] if isinstance(error, dict) else []
        reason = quoted(": ".join(part for part in parts if isinstance(part, str)))
        if refusal.status in {403, 404}:
            message = f"Anthropic answered {refusal.status}" + (f": {reason}" if reason else "")
            return EndpointRefused(message, hint=self._key_hint())
        return refused(ANTHROPIC, refusal, reason, self._key_hint() if refusal.status == 401 else None)

    def _key_hint(self) -> str:
        needed = (
            "the cost API needs an Admin key (sk-ant-admin...) or a key scoped read:analytics, "
            "which an organisation's admin makes in the Console"
        )
        if self._api_key.startswith("sk-ant-api"):
            return f"ANTHROPIC_API_KEY is an API key (sk-ant-api...): {needed}."
        return f"Check ANTHROPIC_API_KEY and ANTHROPIC_API_URL: {needed}."


def where(path: str) -> str:
    """How messages name a report's root."""
    return f"Anthropic {path.removeprefix('/v1/organizations')}: "


def _has_more(answer: Object, root: str) -> bool:
    value = answer.get("has_more")
    if not isinstance(value, bool):
        refuse(root, "has_more", "is missing" if value is None else "is not a boolean", value)
    return value

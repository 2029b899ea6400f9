"""The settings of John's revenue endpoint."""

from __future__ import annotations

from pydantic import SecretStr

from pnl_backend.sources.setting import HttpUrl, Millis, SourceSettings, poll_setting, setting

REST = "http://localhost:5000/api/revenue"
PATH = "/api/revenue"


class RevenueSettings(SourceSettings):
    johns_revenue_url: HttpUrl = setting(REST, "URL of John's revenue endpoint", allowed="an http or https URL")
    john_api_base_url: HttpUrl | None = setting(
        None,
        f"the same without its path: {PATH} is added; JOHNS_REVENUE_URL has precedence",
        allowed="an http or https URL",
    )
    johns_revenue_token: SecretStr | None = setting(None, "sent as Authorization: Bearer", allowed="the token")
    johns_poll_ms: Millis = poll_setting(15000, "John's endpoint")

    @property
    def revenue_url(self) -> str:
        """John's endpoint, by its whole address or by its base."""
        if self.john_api_base_url is None or "johns_revenue_url" in self.model_fields_set:
            return self.johns_revenue_url
        return self.john_api_base_url + PATH

    def notices(self) -> list[str]:
        if {"johns_revenue_url", "john_api_base_url"} <= self.model_fields_set:
            return ["JOHN_API_BASE_URL: has no effect, JOHNS_REVENUE_URL has precedence"]
        return []

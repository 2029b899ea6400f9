"""The settings of the Anthropic organisation."""

from __future__ import annotations

from pydantic import SecretStr

from pnl_backend.sources.setting import HttpUrl, Millis, SourceSettings, names_of, poll_setting, setting

REST = "https://api.anthropic.com"


class AnthropicSettings(SourceSettings):
    anthropic_api_key: SecretStr | None = setting(
        None,
        "an Admin key (sk-ant-admin...) or one with the read:analytics scope; Anthropic refuses a plain API key here",
        allowed="the key",
        also="ANTHROPIC_ADMIN_KEY",
        validation_alias=names_of("ANTHROPIC_API_KEY", "ANTHROPIC_ADMIN_KEY"),
    )
    anthropic_api_url: HttpUrl = setting(REST, "base URL of Anthropic's API", allowed="an http or https URL")
    anthropic_poll_ms: Millis = poll_setting(60000, "Anthropic")

"""Settings as people read them: values with secrets masked, the text of `.env.example`, one line a problem."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import AliasChoices, SecretStr, ValidationError

from pnl_backend.config import Settings
from pnl_backend.domain.attribution import AgentRules
from pnl_backend.errors import ConfigError


def load(**overrides: Any) -> Settings:
    """The effective settings; raises `ConfigError` with a line for each that is wrong."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigError(sorted({_line(problem) for problem in error.errors()})) from None


def names(field: str) -> list[str]:
    """The environment names of a field, the preferred one first."""
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [field.upper()]


def describe(settings: Settings) -> list[tuple[str, str]]:
    """Every setting by name with its effective value, secrets masked."""
    shown = {field: _shown(getattr(settings, field)) for field in Settings.model_fields}
    if settings.kalshi_api_key:
        shown["kalshi_api_key"] = f"{settings.kalshi_api_key[:4]}****"
    if settings.redis_url and urlsplit(settings.redis_url).password:
        shown["redis_url"] = settings.redis_url.replace(f":{urlsplit(settings.redis_url).password}@", ":********@")
    return [(names(field)[0], text) for field, text in shown.items()]


def example() -> str:
    """The text of `.env.example`: every setting with its help, commented out at its default."""
    lines = [
        "# Copy to .env and change what you need; everything is optional. Written by `pnl-backend settings --example`."
    ]
    for field, info in Settings.model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        also = f" (also {extra['also']})" if extra.get("also") else ""
        lines += ["", f"# {info.description}{also}", f"# allowed: {extra.get('allowed')}"]
        lines.append(f"# {names(field)[0]}={_plain(info.get_default())}")
    return "\n".join(lines) + "\n"


def _plain(value: object) -> str:
    if value is None or value == [] or isinstance(value, AgentRules):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "********"
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value) or "-"
    if value is None:
        return "-"
    return _plain(value) or "-"


def _line(problem: Any) -> str:
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):
        return str(cause)
    field = str(problem["loc"][0]) if problem["loc"] else "settings"
    by_name = {name.lower(): field for field in Settings.model_fields for name in names(field)}
    field = by_name.get(field.lower(), field)
    info = Settings.model_fields.get(field)
    extra = info.json_schema_extra if info and isinstance(info.json_schema_extra, dict) else {}
    given = problem["input"]
    shown = "********" if info and "Secret" in str(info.annotation) else repr(given)
    return f"{names(field)[0] if info else field}: given {shown}, allowed: {extra.get('allowed', problem['msg'])}"

"""Settings as people read them: values with secrets masked, the text of `.env.example`, one line a problem."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AliasChoices, SecretStr, TypeAdapter, ValidationError
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from pnl_backend.domain.attribution import AgentRules
from pnl_backend.errors import ConfigError
from pnl_backend.settings.dotenv import faulty_lines
from pnl_backend.settings.model import KALSHI_REST, Settings
from pnl_backend.settings.names import misspelt, without_effect


def load(**overrides: Any) -> Settings:
    """The effective settings, `overrides` by field before all else; ConfigError with a line for each that is wrong."""
    problems = set(
        misspelt(
            _known(),
            in_file=map(str.upper, _dotenv()),
            in_environment=map(str.upper, EnvSettingsSource(Settings).env_vars),
        )
    )
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        problems.update(line for problem in error.errors() for line in _lines(problem))
    except ConfigError as error:
        problems.update(error.problems)
    if problems:
        raise ConfigError(sorted(problems))
    return settings


ENDED_KALSHI_HOST = "api.kalshi.com"
"""Where the first API of Kalshi was, which the Node server spoke."""


def notices(settings: Settings) -> list[str]:
    """One line for each setting that is given and cannot do what it says, though the server starts with it."""
    in_environment = {name.upper() for name in EnvSettingsSource(Settings).env_vars}
    in_file = {name.upper() for name in _dotenv()}
    fields = [names(field) for field in Settings.model_fields]
    lines = list(without_effect(fields, in_file=in_file, in_environment=in_environment))
    if {"johns_revenue_url", "john_api_base_url"} <= settings.model_fields_set:
        lines.append("JOHN_API_BASE_URL: has no effect, JOHNS_REVENUE_URL goes before it")
    if urlsplit(settings.kalshi_api_url).hostname == ENDED_KALSHI_HOST:
        lines.append(f"KALSHI_API_URL: {ENDED_KALSHI_HOST} answers no longer; leave the name out for {KALSHI_REST}")
    return lines


def _known() -> set[str]:
    return {name for field in Settings.model_fields for name in names(field)}


def _dotenv() -> Mapping[str, str | None]:
    """What `.env` holds, by name in lower case; ConfigError for a file or a line that cannot be read."""
    file = Path(str(Settings.model_config.get("env_file")))
    try:
        text = file.read_text(Settings.model_config.get("env_file_encoding")) if file.is_file() else ""
        faults = [f"{file} line {number}: {what}" for number, what in faulty_lines(text, _known())]
        if faults:
            raise ConfigError(faults)
        return DotEnvSettingsSource(Settings).env_vars
    except UnicodeError:
        raise ConfigError([f"{file}: not UTF-8, allowed: a text file in UTF-8"]) from None
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read ({error.strerror})"]) from None


_URL = re.compile(r"([a-z][a-z0-9+.-]*://)([^\s'\"]*@)?([^\s'\"?]*)(\?[^\s'\"]*)?", re.IGNORECASE)


def mask_urls(text: str) -> str:
    """The text with user, password and query of every URL in it masked; one with neither stays as it is."""
    return _URL.sub(lambda url: f"{url[1]}{(url[2] and '****@') or ''}{url[3]}{(url[4] and '?****') or ''}", text)


def names(field: str) -> list[str]:
    """The environment names of a field, the preferred one first."""
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [field.upper()]


def problem_of(field: str, text: str) -> str | None:
    """What is allowed for a field that `text` is no value of; None where it is one."""
    info = Settings.model_fields[field]
    annotation: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    try:
        TypeAdapter(annotation).validate_python(text)
    except ValidationError:
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        return f"allowed: {extra.get('allowed')}"
    return None


def describe(settings: Settings) -> list[tuple[str, str]]:
    """Every setting by name with its effective value, secrets masked."""
    shown = {field: _shown(getattr(settings, field)) for field in Settings.model_fields}
    if settings.kalshi_api_key:
        shown["kalshi_api_key"] = f"{settings.kalshi_api_key[:4]}****"
    return [(names(field)[0], mask_urls(text)) for field, text in shown.items()]


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


def _lines(problem: Any) -> list[str]:
    cause = problem.get("ctx", {}).get("error")
    return cause.problems if isinstance(cause, ConfigError) else [_line(problem)]


def _line(problem: Any) -> str:
    field = str(problem["loc"][0]) if problem["loc"] else "settings"
    by_name = {name.lower(): field for field in Settings.model_fields for name in names(field)}
    field = by_name.get(field.lower(), field)
    info = Settings.model_fields.get(field)
    extra = info.json_schema_extra if info and isinstance(info.json_schema_extra, dict) else {}
    given = problem["input"]
    shown = mask_urls(repr(given))
    if info and ("Secret" in str(info.annotation) or (field.endswith("_url") and shown == repr(given))):
        shown = "********" if re.search(r"[@?]|Secret", f"{given}{info.annotation}") else shown
    return f"{names(field)[0] if info else field}: given {shown}, allowed: {extra.get('allowed', problem['msg'])}"

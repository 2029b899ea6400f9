"""Texts about settings: values with secrets masked, the text of `.env.example`, one line for each problem."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import AliasChoices, SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from pnl_backend.domain.attribution import AgentRules
from pnl_backend.errors import ConfigError
from pnl_backend.settings.dotenv import faulty_lines
from pnl_backend.settings.model import Settings, settings_class
from pnl_backend.settings.names import misspelt, without_effect
from pnl_backend.sources import registry
from pnl_backend.sources.setting import SourceSettings


def load(**overrides: Any) -> Settings:
    """The effective settings; `overrides`, by field, have precedence. ConfigError with a line for each wrong one."""
    problems = set(
        misspelt(
            _known(),
            in_file=map(str.upper, _dotenv()),
            in_environment=map(str.upper, EnvSettingsSource(settings_class()).env_vars),
        )
    )
    try:
        settings = settings_class()(**overrides)
    except ValidationError as error:
        problems.update(line for problem in error.errors() for line in _lines(problem))
    except ConfigError as error:
        problems.update(error.problems)
    if problems:
        raise ConfigError(sorted(problems))
    return settings


def notices(settings: Settings) -> list[str]:
    """One line for each given setting that has no effect or cannot work, though the server starts with it."""
    in_environment = {name.upper() for name in EnvSettingsSource(settings_class()).env_vars}
    in_file = {name.upper() for name in _dotenv()}
    fields = [names(field) for field in settings_class().model_fields]
    lines = list(without_effect(fields, in_file=in_file, in_environment=in_environment))
    if settings.database_url is not None and settings.backup_dir is not None:
        lines.append("BACKUP_DIR has no effect with DATABASE_URL: a PostgreSQL database is backed up by its own tools")
    for declared in registry.types():
        lines += declared.settings.notices(cast(SourceSettings, settings))
    return lines


def _known() -> set[str]:
    return {name for field in settings_class().model_fields for name in names(field)}


def _dotenv() -> Mapping[str, str | None]:
    """What `.env` holds, by name in lower case; ConfigError for a file or a line that cannot be read."""
    file = Path(str(settings_class().model_config.get("env_file")))
    try:
        text = file.read_text(settings_class().model_config.get("env_file_encoding")) if file.is_file() else ""
        faults = [f"{file} line {number}: {what}" for number, what in faulty_lines(text, _known())]
        if faults:
            raise ConfigError(faults)
        return DotEnvSettingsSource(settings_class()).env_vars
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
    alias = settings_class().model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [field.upper()]


def problem_of(field: str, text: str) -> str | None:
    """What is allowed for a field, if `text` is not a valid value of it; else None."""
    info = settings_class().model_fields[field]
    annotation: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    try:
        TypeAdapter(annotation).validate_python(text)
    except ValidationError:
        extra = _extra(info)
        return f"allowed: {extra.get('allowed')}"
    return None


def describe(settings: Settings) -> list[tuple[str, str]]:
    """Every setting by name with its effective value, secrets masked."""
    shown = {field: _shown(getattr(settings, field)) for field in settings_class().model_fields}
    for field, info in settings_class().model_fields.items():
        if _extra(info).get("shown_in_part") and getattr(settings, field):
            shown[field] = f"{getattr(settings, field)[:4]}****"
    return [(names(field)[0], mask_urls(text)) for field, text in shown.items()]


def example(*, further: bool = True) -> str:
    """Every setting with its help, commented out at its default; without `further` the text of `.env.example`.

    Only with `further` the settings of the source types beside the classic three are in it: the file is the same
    whichever of them a server has.
    """
    left_out = frozenset[str]() if further else _of_further_types()
    lines = [
        "# Copy to .env and change what you need; everything is optional. `pnl-backend settings --example` writes this",
        "# file, and adds the settings of further source types.",
    ]
    for field, info in settings_class().model_fields.items():
        if field in left_out:
            continue
        extra = _extra(info)
        also = f" (also {extra['also']})" if extra.get("also") else ""
        lines += ["", f"# {info.description}{also}", f"# allowed: {extra.get('allowed')}"]
        lines.append(f"# {names(field)[0]}={_plain(info.get_default())}")
    return "\n".join(lines) + "\n"


def _of_further_types() -> frozenset[str]:
    further = (declared for declared in registry.types() if not declared.always_shown)
    return frozenset(field for declared in further for field in declared.settings.model_fields)


def _extra(info: FieldInfo) -> Mapping[str, Any]:
    """What `setting(...)` declares for a field besides its default and help."""
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


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
    by_name = {name.lower(): field for field in settings_class().model_fields for name in names(field)}
    field = by_name.get(field.lower(), field)
    info = settings_class().model_fields.get(field)
    extra = _extra(info) if info else {}
    given = problem["input"]
    shown = mask_urls(repr(given))
    if info and ("Secret" in str(info.annotation) or (field.endswith("_url") and shown == repr(given))):
        shown = "********" if re.search(r"[@?]|Secret", f"{given}{info.annotation}") else shown
    return f"{names(field)[0] if info else field}: given {shown}, allowed: {extra.get('allowed', problem['msg'])}"

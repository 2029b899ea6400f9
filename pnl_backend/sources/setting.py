"""What settings are made of: fields with their help, and the forms that sources and the server share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict


class SourceSettings(BaseModel):
    """The settings that one type of source reads: each field is an environment variable of the same name.

    The names of a type's fields begin with its own name: `hosting_url`, `hosting_token`.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")

    def notices(self) -> list[str]:
        """One line for each given setting that has no effect or cannot work, though the server starts with it."""
        return []


def setting(
    default: Any, help_text: str, *, allowed: str, also: str = "", shown_in_part: bool = False, **checks: Any
) -> Any:
    """A field with its help, what is allowed in words, and an older or alternative name.

    Of a value that is `shown_in_part`, such as a key's id, only the first four characters are ever printed.
    """
    extra: JsonDict = {"allowed": allowed, "also": also, "shown_in_part": shown_in_part}
    return Field(default, description=help_text, json_schema_extra=extra, **checks)


def names_of(name: str, *also: str) -> AliasChoices:
    return AliasChoices(name, *also)


def url_of(*schemes: str) -> AfterValidator:
    """A URL with a host, or with a path where the scheme is `unix`; `urlsplit` raises ValueError for a bad port."""

    def check(value: str) -> str:
        parts = urlsplit(value)
        place = parts.path if parts.scheme == "unix" else parts.hostname
        if parts.scheme not in schemes or not place or parts.port == 0:
            raise ValueError("not a URL of an allowed scheme")
        return value.rstrip("/")

    return AfterValidator(check)


def pem_file(value: Path) -> Path:
    """A text file that can be read now; its content is checked where the key is built."""
    try:
        value.read_text("utf-8")
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    except ValueError:
        raise ValueError("not text") from None
    return value


Millis = Annotated[int, Field(ge=1)]
HttpUrl = Annotated[str, url_of("http", "https")]

MS = "whole milliseconds"
POLL_ALLOWED = f"{MS}, 1 or more"


def poll_setting(default_ms: int, who: str) -> Any:
    """Time between two requests to an upstream."""
    return setting(default_ms, f"time between two requests to {who}, in ms", allowed=POLL_ALLOWED)

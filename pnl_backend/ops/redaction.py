"""Removes secrets from text: the configured values in every encoding, and text that has the form of a secret."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterator
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST = 4
"""Shorter values are not redacted: they occur in ordinary text."""

_NAMES = r"(?:api[_-]?key|access[_-]?key|secret|token|password|passwd|signature)"
_VALUE = r"""[^\s"'&,;)}\]]+"""
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A key block, whole or cut off, with real or written-out line ends.
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        f"-----BEGIN PRIVATE KEY----- {MASK}",
    ),
    (re.compile(r"sk-ant-[\w-]+"), f"sk-ant-{MASK}"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{4,}", re.IGNORECASE), rf"\1 {MASK}"),
    # apiKey=..., password='...'
    (re.compile(rf"""({_NAMES}\s*=\s*["']?){_VALUE}""", re.IGNORECASE), rf"\1{MASK}"),
    # "apiKey": "...", 'X-API-Key': '...'
    (re.compile(rf"""(["'][\w-]*{_NAMES}[\w-]*["']\s*:\s*b?["'])[^"']*""", re.IGNORECASE), rf"\1{MASK}"),
    # X-API-Key: ...
    (re.compile(rf"(\b(?:x-[\w-]+|kalshi-access)-(?:key|signature)\s*:\s*){_VALUE}", re.IGNORECASE), rf"\1{MASK}"),
    # redis://user:password@host
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]+@", re.IGNORECASE), rf"\1{MASK}@"),
)


# Every pattern needs one of these: a line without any is not searched further.
_HINTS = ("key", "secret", "token", "passw", "signature", "bearer", "basic", "sk-ant-", "@")


class Redactor:
    """Callable: text in, the same text without secrets out."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._known: list[str] = []
        self.learn(secrets)

    def learn(self, secrets: Collection[str]) -> None:
        """Redact these too; earlier secrets stay redacted."""
        spellings = {form for secret in secrets for form in _spellings(secret)}
        # The longest first: a secret that is part of another would leave the rest of the other.
        self._known = sorted(spellings.union(self._known), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for spelling in self._known:
            if spelling in text:
                text = text.replace(spelling, MASK)
        folded = text.lower()
        if any(hint in folded for hint in _HINTS):
            for pattern, instead in _PATTERNS:
                text = pattern.sub(instead, text)
        return text


def _spellings(secret: str) -> Iterator[str]:
    """The value as it is, URL-quoted, escaped for JSON and `repr`, in base64, and each of its lines."""
    whole = secret.strip()
    if len(whole) < SHORTEST:
        return
    yield from {
        whole,
        quote(whole, safe=""),
        quote_plus(whole),
        json.dumps(whole)[1:-1],
        repr(whole)[1:-1],
        repr(whole.encode())[2:-1],
        base64.b64encode(whole.encode()).decode().rstrip("="),
    }
    # The first and last line of a PEM block are no secret, and short lines occur in ordinary text.
    for line in whole.splitlines() if "\n" in whole else ():
        if len(line) >= 16 and not line.startswith("-----"):
            yield line

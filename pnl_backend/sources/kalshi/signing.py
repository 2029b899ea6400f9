"""Kalshi's request signatures: RSA-PSS or Ed25519, by the kind of the key."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pnl_backend.errors import ConfigError

_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)


class Signer:
    """Signs `{timestamp}{METHOD}{path}`; `clock` gives seconds since the epoch."""

    def __init__(
        self, key_id: str, key: RSAPrivateKey | Ed25519PrivateKey, clock: Callable[[], float] = time.time
    ) -> None:
        self.clock = clock
        self._key_id = key_id
        self._key = key

    @classmethod
    def from_pem(cls, key_id: str, pem: str | bytes, clock: Callable[[], float] = time.time) -> Signer:
        """Read a private key from PEM text (a `.env` value may write its line breaks as `\\n`).

        Raises ConfigError saying in plain words what is wrong with it.
        """
        if not key_id.strip():
            raise ConfigError(["The Kalshi key id is empty: it is the UUID that Kalshi shows beside the key."])
        return cls(key_id.strip(), _load(pem), clock)

    def __repr__(self) -> str:
        kind = "RSA" if isinstance(self._key, RSAPrivateKey) else "Ed25519"
        return f"Signer({kind})"

    def headers(self, method: str, path: str) -> dict[str, str]:
        """The three headers of one request; `path` starts at the host's root and has no query string."""
        timestamp = str(int(self.clock() * 1000))
        signature = self._sign(f"{timestamp}{method}{path}".encode())
        return {
            "KALSHI-ACCESS-KEY": self._key_id,
            "KALSHI-ACCESS-TIMESTAMP": timestamp,
            "KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode(),
        }

    def _sign(self, message: bytes) -> bytes:
        if isinstance(self._key, RSAPrivateKey):
            return self._key.sign(message, _PSS, hashes.SHA256())
        return self._key.sign(message)


def _load(pem: str | bytes) -> RSAPrivateKey | Ed25519PrivateKey:
    text = pem.decode("ascii", "replace") if isinstance(pem, bytes) else pem
    text = text.strip().strip("\"'").replace("\\n", "\n").strip()
    problem = _visible_problem(text)
    if problem:
        raise ConfigError([problem])
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError as error:
        raise ConfigError(
            ["The Kalshi private key is protected by a password: give the key as Kalshi issued it."]
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            ["The Kalshi private key is damaged: copy the whole PEM again, with its BEGIN and END lines."]
        ) from error
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        kind = type(key).__name__.removesuffix("PrivateKey").strip("_")
        raise ConfigError([f"The Kalshi private key is of the kind {kind}: Kalshi issues RSA and Ed25519 keys."])
    return key


def _visible_problem(text: str) -> str | None:
    """What can be seen from the outside of the text, before any parsing."""
    if not text:
        return "The Kalshi private key is empty."
    if "-----BEGIN" not in text:
        return "The Kalshi private key is not PEM: it must begin with a line like -----BEGIN PRIVATE KEY-----."
    if "PRIVATE KEY-----" not in text:
        return (
            "The Kalshi private key is something else, a public key or a certificate perhaps: "
            "it must begin with -----BEGIN PRIVATE KEY----- or -----BEGIN RSA PRIVATE KEY-----."
        )
    return None

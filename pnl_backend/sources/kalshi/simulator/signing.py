"""Checks the signature on a Kalshi request, and makes key pairs for a demonstration."""

from __future__ import annotations

import base64
import binascii
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

PublicKey = rsa.RSAPublicKey | ed25519.Ed25519PublicKey
KeyKind = Literal["ed25519", "rsa"]


def load_public_key(pem: str) -> PublicKey:
    """A PEM public key; ValueError if it is neither RSA nor Ed25519."""
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise ValueError("a Kalshi key is RSA or Ed25519")
    return key


def verify(key: PublicKey, signature: str, message: str) -> bool:
    """Whether the base64 signature is the key's over `{timestamp}{METHOD}{path}`."""
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(key, rsa.RSAPublicKey):
            # The salt is as long as the digest, not as long as it could be.
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256().digest_size)
            key.verify(raw, message.encode(), pss, hashes.SHA256())
        else:
            key.verify(raw, message.encode())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def generate(kind: KeyKind) -> tuple[str, str]:
    """A fresh key pair in PEM: private (PKCS #8), public."""
    private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    if kind == "rsa":
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    else:
        private = ed25519.Ed25519PrivateKey.generate()
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return secret.decode(), public.decode()

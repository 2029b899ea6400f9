"""Signatures are checked with the public key, as Kalshi does; errors of a key have plain texts."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from pnl_backend.errors import ConfigError
from pnl_backend.sources.kalshi.signing import Signer

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ED_KEY = ed25519.Ed25519PrivateKey.generate()
PATH = "/trade-api/v2/portfolio/balance"


def pem(key, form=serialization.PrivateFormat.PKCS8, password: bytes | None = None) -> str:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, encryption).decode()


def signed(text: str, clock=lambda: 1_772_058_240.123) -> tuple[bytes, bytes]:
    headers = Signer.from_pem("key-1", text, clock).headers("GET", PATH)
    assert headers["KALSHI-ACCESS-KEY"] == "key-1"
    assert headers["KALSHI-ACCESS-TIMESTAMP"] == "1772058240123"
    return base64.b64decode(headers["KALSHI-ACCESS-SIGNATURE"]), f"1772058240123GET{PATH}".encode()


@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_rsa_is_pss_with_sha256_and_a_salt_as_long_as_the_digest(form):
    signature, message = signed(pem(RSA_KEY, form))
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    RSA_KEY.public_key().verify(signature, message, pss, hashes.SHA256())


def test_ed25519_is_plain():
    signature, message = signed(pem(ED_KEY))
    ED_KEY.public_key().verify(signature, message)


@pytest.mark.parametrize("wrap", [lambda t: t.replace("\n", "\\n"), lambda t: f'"{t}"', lambda t: f"\n  {t}\n"])
def test_a_key_from_an_env_file_is_read_as_it_is_written_there(wrap):
    signature, message = signed(wrap(pem(ED_KEY)))
    ED_KEY.public_key().verify(signature, message)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("4f9c8b7e", "is not PEM"),
        (pem(RSA_KEY, password=b"secret"), "protected by a password"),
        (pem(RSA_KEY, serialization.PrivateFormat.TraditionalOpenSSL, b"secret"), "protected by a password"),
        (pem(RSA_KEY)[:400] + "\n-----END PRIVATE KEY-----\n", "is damaged"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "Kalshi issues RSA and Ed25519"),
        (
            RSA_KEY.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode(),
            "a public key",
        ),
    ],
)
def test_a_key_that_cannot_sign_is_refused_in_plain_words(text, said):
    with pytest.raises(ConfigError, match=said) as caught:
        Signer.from_pem("key-1", text)
    for line in filter(None, text.splitlines()[1:-1]):
        assert line not in str(caught.value)


def test_an_empty_key_id_is_refused():
    with pytest.raises(ConfigError, match="key id is empty"):
        Signer.from_pem(" ", pem(ED_KEY))


def test_a_signer_does_not_show_its_key():
    assert repr(Signer.from_pem("key-1", pem(ED_KEY))) == "Signer(Ed25519)"

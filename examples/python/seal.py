"""Encrypts who gets what for codeferry's workers alone: docs/wire.md, "Sealing"."""

import base64
import hashlib
import hmac
import json
import os
import re

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

OPEN = ("id", "type", "createdAt", "expiresAt")
SECRET = ("to", "payload", "ip")


def parse_public_key(text: str) -> X25519PublicKey:
    """Reads a public key, as `codeferry keygen` prints it."""
    found = re.fullmatch(r"codeferry-public-([A-Za-z0-9_-]{43})", text.strip())
    if not found:
        raise ValueError("this is no public key such as codeferry keygen prints")
    return X25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(found[1] + "="))


def seal(recipient: X25519PublicKey, subject: str, message: dict) -> dict:
    """Returns the message with all that is private in a box that only the workers can open."""
    if not message.get("id"):
        raise ValueError("a message that is sealed needs an id")
    secret = {name: message[name] for name in SECRET if name in message}
    secret["extra"] = {name: value for name, value in message.items() if name not in OPEN + SECRET}

    ephemeral = X25519PrivateKey.generate()
    enc = raw(ephemeral.public_key())
    key = message_key(ephemeral.exchange(recipient), enc, raw(recipient))
    nonce = os.urandom(12)
    text = AESGCM(key).encrypt(nonce, json.dumps(secret).encode(), additional_data(subject, message["id"]))

    sealed = {name: message[name] for name in OPEN if name in message}
    sealed["sealed"] = {"key": key_id(recipient), "box": base64.b64encode(enc + nonce + text).decode()}
    return sealed


def additional_data(subject: str, id: str) -> bytes:
    """A box that is moved to another subject or id does not open."""
    return f"{subject}\0{id}".encode()


def key_id(key: X25519PublicKey) -> str:
    """Names a public key."""
    return hashlib.sha256(raw(key)).hexdigest()[:16]


def raw(key: X25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


# HPKE in base mode (RFC 9180) with X25519, HKDF-SHA256 and AES-256-GCM. Only its exported
# key is used, and each value fits into one block of HKDF: so both steps are one HMAC.
KEM = b"KEM\x00\x20"
HPKE = b"HPKE\x00\x20\x00\x01\x00\x02"


def extract(suite: bytes, salt: bytes, label: bytes, value: bytes) -> bytes:
    return hmac.digest(salt, b"HPKE-v1" + suite + label + value, "sha256")


def expand(suite: bytes, key: bytes, label: bytes, info: bytes) -> bytes:
    return hmac.digest(key, b"\x00\x20HPKE-v1" + suite + label + info + b"\x01", "sha256")


def message_key(shared: bytes, enc: bytes, recipient: bytes) -> bytes:
    """The key of one message, from the X25519 secret that both sides share."""
    kem = expand(KEM, extract(KEM, b"", b"eae_prk", shared), b"shared_secret", enc + recipient)
    context = b"\x00" + extract(HPKE, b"", b"psk_id_hash", b"") + extract(HPKE, b"", b"info_hash", b"codeferry sealed message v1")
    exporter = expand(HPKE, extract(HPKE, kem, b"secret", b""), b"exp", context)
    return expand(HPKE, exporter, b"sec", b"message key")

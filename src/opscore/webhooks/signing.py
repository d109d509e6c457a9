"""Secrets and signatures of webhooks, as Standard Webhooks 1.0.0 has them (section "Signature scheme").

A secret is 32 random bytes, shown as `whsec_` and base64. The database holds it sealed: AES-256-GCM (NIST SP 800-38D)
under a key derived from the master key, with the webhook's id as associated data.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Iterable
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from opscore.log.personal import WrongMasterKey, derive

PREFIX = "whsec_"
SECRET_BYTES = 32
_NONCE_BYTES = 12


def shown(secret: bytes) -> str:
    """Return a secret as people pass it on."""
    return PREFIX + base64.b64encode(secret).decode()


def signature(secrets: Iterable[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature`: one `v1,` signature per secret, so that a receiver may hold any of them.

    message_id: without a full stop, which parts what is signed. timestamp: Unix seconds of this very attempt.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(
        "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() for secret in secrets
    )


class Safe:
    """Seals and opens the secrets of webhooks."""

    def __init__(self, master_key: bytes) -> None:
        self._cipher = AESGCM(derive(master_key, "webhook secrets"))

    def seal(self, webhook_id: UUID, secret: bytes) -> bytes:
        """Return a secret as it is stored."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, webhook_id.bytes)

    def open(self, webhook_id: UUID, sealed: bytes) -> bytes:
        """Return a secret; raises WrongMasterKey."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], webhook_id.bytes)
        except InvalidTag as error:
            raise WrongMasterKey(str(WrongMasterKey.__doc__)) from error

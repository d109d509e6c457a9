"""Personal data that can be forgotten: each subject has a key, and the log holds only ciphertext under it.

AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce and the subject's id as associated data. Subject keys are
wrapped by keys derived (HKDF, RFC 5869) from a master key that never enters the database. Erasing a subject destroys
its wrapped key; the ciphertext stays where it is and the hash chain over it stays valid.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from psycopg import Connection, sql

_NONCE_BYTES = 12
_PREFIX = "v1."


class SubjectErased(Exception):
    """This person's data has been erased; nothing more can be stored or read under this id."""


class WrongMasterKey(Exception):
    """The master key does not open the stored keys; set OPSCORE_MASTER_KEY to the one this database was made with."""


def derive(master_key: bytes, purpose: str) -> bytes:
    """Return a key of 32 bytes for one purpose; from one purpose's key nothing follows about another's."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"opscore {purpose}".encode()).derive(master_key)


class Keyring:
    """Makes, finds and destroys subject keys in `<schema>_keys.subject_keys`.

    Methods take the connection to work on, so that a key is made in the same transaction as the ciphertext under it.
    """

    def __init__(self, master_key: bytes, schema: str) -> None:
        if len(master_key) < 32:
            raise ValueError("the master key must have at least 32 bytes; make one with `openssl rand -base64 32`")
        self._wrapping = AESGCM(derive(master_key, "key wrapping"))
        self._hashing = derive(master_key, "keyed hash")
        self._table = sql.Identifier(f"{schema}_keys", "subject_keys")

    def keyed_hash(self, value: str) -> str:
        """Return HMAC-SHA-256 of a value, for look-ups that reveal nothing to who lacks the master key."""
        return hmac.new(self._hashing, value.encode(), hashlib.sha256).hexdigest()

    def seal(self, connection: Connection[Any], subject_id: UUID, plaintext: str) -> str:
        """Return ciphertext of `plaintext`; makes the subject's key when there is none.

        Raises SubjectErased when the key has been destroyed.
        """
        return self.seal_with(self._key(connection, subject_id, make=True), subject_id, plaintext)

    def open(self, connection: Connection[Any], subject_id: UUID, sealed: str) -> str:
        """Return the plaintext.

        Raises SubjectErased when the key is gone.
        """
        return self.open_with(self._key(connection, subject_id, make=False), subject_id, sealed)

    def open_all(self, connection: Connection[Any], sealed: Sequence[tuple[UUID, str]]) -> list[str | None]:
        """Return the plaintexts of what is sealed of subjects, None where the key is gone; in one statement."""
        rows = connection.execute(
            sql.SQL("SELECT subject_id, wrapped_key FROM {} WHERE subject_id = ANY (%s)").format(self._table),
            ([subject_id for subject_id, _ in sealed],),
        )
        keys = {subject_id: self._unwrapped(subject_id, wrapped) for subject_id, wrapped in rows if wrapped is not None}
        return [
            self.open_with(keys[subject_id], subject_id, text) if subject_id in keys else None
            for subject_id, text in sealed
        ]

    def erase(self, connection: Connection[Any], subject_id: UUID) -> None:
        """Destroy the subject's key, now and for ever: a new one is never made for this id."""
        connection.execute(
            sql.SQL(
                "INSERT INTO {} AS keys (subject_id, wrapped_key, erased_at) VALUES (%s, NULL, now()) "
                "ON CONFLICT (subject_id) DO UPDATE SET wrapped_key = NULL, erased_at = COALESCE(keys.erased_at, now())"
            ).format(self._table),
            (subject_id,),
        )

    def erased_again(self, connection: Connection[Any]) -> int:
        """Destroy the keys of everyone whom the log says was erased; return how many had come back.

        Run after a restore: an older backup of the keys must not bring anyone back.
        """
        cursor = connection.execute(
            sql.SQL(
                "UPDATE {} AS keys SET wrapped_key = NULL, erased_at = now() FROM events "
                "WHERE events.type IN ('CustomerErased', 'GuestErased') AND keys.subject_id = events.stream_id "
                "AND keys.wrapped_key IS NOT NULL"
            ).format(self._table)
        )
        return cursor.rowcount

    @staticmethod
    def seal_with(key: bytes, subject_id: UUID, plaintext: str) -> str:
        """Encrypt under a subject key."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(key).encrypt(nonce, plaintext.encode(), subject_id.bytes)
        return _PREFIX + base64.b64encode(nonce + sealed).decode()

    @staticmethod
    def open_with(key: bytes, subject_id: UUID, sealed: str) -> str:
        """Decrypt under a subject key."""
        raw = base64.b64decode(sealed.removeprefix(_PREFIX))
        return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], subject_id.bytes).decode()

    def _key(self, connection: Connection[Any], subject_id: UUID, *, make: bool) -> bytes:
        select = sql.SQL("SELECT wrapped_key FROM {} WHERE subject_id = %s").format(self._table)
        row = connection.execute(select, (subject_id,)).fetchone()
        if row is None:
            if not make:
                raise SubjectErased(f"no key for subject {subject_id}")
            key = AESGCM.generate_key(256)
            nonce = os.urandom(_NONCE_BYTES)
            wrapped = nonce + self._wrapping.encrypt(nonce, key, subject_id.bytes)
            inserted = connection.execute(
                sql.SQL(
                    "INSERT INTO {} (subject_id, wrapped_key) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING 1"
                ).format(self._table),
                (subject_id, wrapped),
            ).fetchone()
            if inserted is not None:
                return key
            row = connection.execute(select, (subject_id,)).fetchone()
        if row is None or row[0] is None:
            raise SubjectErased(f"the personal data of {subject_id} has been erased")
        return self._unwrapped(subject_id, row[0])

    def _unwrapped(self, subject_id: UUID, wrapped: bytes) -> bytes:
        raw = bytes(wrapped)
        try:
            return self._wrapping.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], subject_id.bytes)
        except InvalidTag as error:
            raise WrongMasterKey(str(WrongMasterKey.__doc__)) from error

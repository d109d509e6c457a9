"""Idempotency keys of mutations that record no event: sent again under its key, one does nothing and is answered alike.

A key is scoped to whoever sends it, and kept in the transaction of what is done under it: what is refused keeps none.
It stands for the operation, its input, and the role and stores that it was sent with; anything else is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from opscore.domain.command import Actor
from opscore.domain.refusals import IdempotencyKeyReused
from opscore.sqlfiles import load

SQL = load(__file__, "retries.sql")

ResultT = TypeVar("ResultT")
Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request under a key, or under none: then it is always a first one. asked: the operation and its input."""

    actor: Actor
    key: str | None
    asked: tuple[Any, ...]

    def begin(self, connection: Connection, kind: type[ResultT]) -> ResultT | Attempt | None:
        """Take the key. Return itself when it was free; else what it was answered with, None if nobody knows.

        Refuses: IdempotencyKeyReused.
        """
        if self.key is None or connection.execute(SQL["claim"], {**self._named, "request_hash": self._hash}).rowcount:
            return self
        [(request_hash, answer)] = connection.execute(SQL["known"], self._named).fetchall()
        if bytes(request_hash) != self._hash:
            raise IdempotencyKeyReused(path=("idempotency_key",))
        return None if answer is None else msgspec.convert(answer, kind)

    def end(self, connection: Connection, result: Any) -> None:
        """Keep the answer, if there is a key to keep it under."""
        if self.key is not None:
            connection.execute(SQL["answer"], {**self._named, "answer": Jsonb(msgspec.to_builtins(result))})

    def once(self, connection: Connection, kind: type[ResultT], work: Callable[[], ResultT]) -> tuple[ResultT, bool]:
        """Do the work unless the key was answered before; return its result and whether it was done before.

        Refuses: IdempotencyKeyReused, and what the work refuses.
        """
        known = self.begin(connection, kind)
        if known is not self:
            assert known is not None and not isinstance(known, Attempt), "key and answer are of one transaction"
            return known, True
        result = work()
        self.end(connection, result)
        return result, False

    @property
    def _named(self) -> dict[str, Any]:
        return {"actor": self.actor.id, "key": self.key}

    @property
    def _hash(self) -> bytes:
        stores = None if self.actor.stores is None else sorted(self.actor.stores)
        return hashlib.sha256(msgspec.json.encode((self.actor.role, stores, self.asked))).digest()

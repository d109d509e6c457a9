"""The one byte form of an event, and the chain of hashes over it (written down for others in schema/events/HASH.md)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encoder = msgspec.json.Encoder(order="sorted", decimal_format="string", uuid_format="canonical")

GENESIS = bytes(32)
"""The hash before position 1."""

HASHED_COLUMNS = (
    "position",
    "stream_id",
    "version",
    "stream_type",
    "type",
    "schema_version",
    "store_id",
    "occurred_at",
    "recorded_at",
    "time_zone",
    "actor",
    "origin",
    "idempotency_key",
    "correlation_id",
    "causation_position",
)
"""Columns that the hash covers, in this order, before `data`; behind them `role`, of events that have one."""


def canonical(value: Any) -> bytes:
    """Return JSON with keys sorted by code point, no white space, UTF-8, only mandatory escapes."""
    return _encoder.encode(value)


def microseconds(at: datetime) -> int:
    """Return whole microseconds since 1970-01-01T00:00:00Z."""
    return (at - _EPOCH) // _MICROSECOND


def with_role(columns: tuple[Any, ...], role: str | None) -> tuple[Any, ...]:
    """Return the values that the hash covers: of events from before roles were recorded, the columns alone."""
    return columns if role is None else (*columns, role)


def event_hash(previous: bytes, columns: tuple[Any, ...], data: bytes) -> bytes:
    """Return the SHA-256 of one event in its place.

    previous: hash of the event before it (32 bytes; `GENESIS` before position 1).
    columns: values of `HASHED_COLUMNS`, times as microseconds since the epoch, ids as UUID; see `with_role`.
    data: the canonical form of the event's data.
    """
    return hashlib.sha256(b"".join((previous, _encoder.encode(columns), data))).digest()

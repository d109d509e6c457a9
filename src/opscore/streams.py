"""The life of one aggregate, event by event, with its state after each; personal fields stay sealed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import dict_row

from opscore.api.errors import BadId
from opscore.api.ids import parse_global_id
from opscore.database import Database
from opscore.log.mapper import EventMapper, RecordedEvent
from opscore.log.snapshots import state_bytes
from opscore.sqlfiles import load

SQL = load(__file__, "streams.sql")
PAGE = 500


class StreamUnknown(LookupError):
    """No stream, or more than one, goes by what was given; the message says what to give instead."""


@dataclass(frozen=True, slots=True)
class Moment:
    """An event of a stream and the aggregate's state after it, as plain JSON; ciphertext where it is personal."""

    position: int
    version: int
    type: str
    occurred_at: datetime
    recorded_at: datetime
    time_zone: str
    actor: str
    origin: str
    stream_type: str
    data: dict[str, Any]
    state: dict[str, Any]


def find(database: Database, given: str) -> UUID:
    """Return the stream that a UUID, a global id or a unique name (a SKU's code, an order's reference) stands for.

    Raises StreamUnknown.
    """
    try:
        return parse_global_id(given)[1]
    except BadId:
        pass
    try:
        return UUID(given)
    except ValueError:
        pass
    with database.pool.connection() as connection:
        found = connection.execute(SQL["holders"], {"value": given}).fetchall()
    streams = {stream_id for _, _, stream_id in found}
    if not streams:
        raise StreamUnknown(
            f"Nothing goes by {given!r}: give an id, or a code or reference as it was registered (personal names are"
            " kept as hashes and cannot be looked up)."
        )
    if len(streams) > 1:
        listed = "; ".join(f"{kind} {stream_id}" for kind, _, stream_id in found[:10])
        raise StreamUnknown(f"Several go by {given!r}; give the id of one: {listed}")
    return UUID(str(streams.pop()))


def life(database: Database, stream_id: UUID, *, until: int | None = None) -> Iterator[Moment]:
    """Yield the events of a stream up to a position (None: all), oldest first, each with the state after it.

    Raises StreamUnknown for a stream without events by then.
    """
    mapper = EventMapper()
    aggregate: Any = None
    version = 0
    # The largest position there can be stands for no bound.
    bound = until if until is not None else 2**62
    while True:
        with database.pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                SQL["events"],
                {"stream_id": stream_id, "after": version, "until": bound, "limit": PAGE},
                binary=True,
            ).fetchall()
        for row in rows:
            event: Any = mapper.to_domain_event(
                RecordedEvent(
                    stream_id, row["version"], row["type"], row["data"], row["schema_version"], row["occurred_at"],
                    row["recorded_at"],
                )
            )  # fmt: skip
            aggregate = event.mutate(aggregate)
            version = row["version"]
            yield Moment(
                position=row["position"],
                version=version,
                type=row["type"],
                occurred_at=row["occurred_at"],
                recorded_at=row["recorded_at"],
                time_zone=row["time_zone"],
                actor=row["actor"],
                origin=row["origin"],
                stream_type=row["stream_type"],
                data=msgspec.json.decode(row["data"]),
                state=msgspec.json.decode(state_bytes(aggregate)),
            )
        if len(rows) < PAGE:
            break
    if version == 0:
        by_then = "" if until is None else f" up to position {until}"
        raise StreamUnknown(f"There is no event of {stream_id}{by_then}.")


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return what differs in a state after an event, by field; inside an object by the field of the object."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            found |= {f"{name}.{inner}": value for inner, value in changes(old, new).items()}
        else:
            found[name] = new
    return found

"""Many aggregates of one kind at once, in one statement however many they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from opscore.domain.aggregate import Aggregate
from opscore.log.mapper import EventMapper, RecordedEvent
from opscore.log.recorder import ConnectionSource, SnapshotRow
from opscore.log.snapshots import SnapshotMapper, fold_digest

AggregateT = TypeVar("AggregateT", bound=Aggregate)

_SNAPSHOTS, _EVENTS = SnapshotMapper(), EventMapper()
# The newest snapshot of each stream, if one fits this code, and the events behind it.
_LOAD = """
WITH known AS MATERIALIZED (
    SELECT DISTINCT ON (snapshot.stream_id) snapshot.stream_id, snapshot.version, snapshot.stream_type,
        snapshot.state, snapshot.fold_digest, snapshot.started_at, snapshot.recorded_at
    FROM snapshots AS snapshot
    WHERE snapshot.stream_id = ANY(%(stream_ids)s) AND snapshot.fold_digest = %(digest)s
    ORDER BY snapshot.stream_id, snapshot.version DESC
)
SELECT known.stream_id, known.version, known.stream_type, convert_to(known.state::text, 'UTF8'), NULL::smallint,
    known.fold_digest, known.started_at, known.recorded_at
FROM known
UNION ALL
SELECT event.stream_id, event.version, event.type, convert_to(event.data::text, 'UTF8'), event.schema_version,
    NULL, event.occurred_at, event.recorded_at
FROM unnest(%(stream_ids)s) AS wanted(stream_id)
LEFT JOIN known ON known.stream_id = wanted.stream_id
JOIN events AS event ON event.stream_id = wanted.stream_id AND event.version > coalesce(known.version, 0)
WHERE %(kind)s::text IS NULL OR event.stream_type = %(kind)s
ORDER BY 1, 2
"""


def load_many(
    connections: ConnectionSource, kind: type[AggregateT], stream_ids: Iterable[UUID]
) -> dict[UUID, AggregateT]:
    """Return the aggregates of these streams as of the head of the log; those that are not there are left out.

    kind: Aggregate itself for streams of any kind.
    """
    wanted = list(dict.fromkeys(stream_ids))
    if not wanted:
        return {}
    found: dict[UUID, Any] = {}
    asked = {"stream_ids": wanted, "digest": fold_digest(), "kind": getattr(kind, "STREAM_TYPE", None)}
    with connections() as connection:
        rows = connection.execute(_LOAD, asked, binary=True).fetchall()
    for stream_id, version, type_, data, schema_version, digest, began_at, recorded_at in rows:
        stored: Any
        if schema_version is None:
            stored = _SNAPSHOTS.to_domain_event(
                SnapshotRow(stream_id, version, type_, data, digest, began_at, recorded_at)
            )
        else:
            stored = _EVENTS.to_domain_event(
                RecordedEvent(stream_id, version, type_, data, schema_version, began_at, recorded_at)
            )
        found[stream_id] = stored.mutate(found.get(stream_id))
    return {stream_id: aggregate for stream_id, aggregate in found.items() if isinstance(aggregate, kind)}

"""Many aggregates of one kind at once, in one statement however many they are."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from opscore.domain.aggregate import Aggregate
from opscore.log.mapper import EventMapper, RecordedEvent
from opscore.log.recorder import ConnectionSource, SnapshotRow
from opscore.log.snapshots import SnapshotMapper, fold_digest

AggregateT = TypeVar("AggregateT", bound=Aggregate)

_SNAPSHOTS, _EVENTS = SnapshotMapper(), EventMapper()
# Of streams with an event that whoever asks has not seen: the newest snapshot that fits this code, if there is one, and
# the events behind it.
_LOAD = """
WITH wanted AS MATERIALIZED (
    SELECT stream.stream_id
    FROM unnest(%(stream_ids)s::uuid[], %(versions)s::bigint[]) AS stream(stream_id, version)
    WHERE stream.version = 0 OR EXISTS (
        SELECT FROM events AS event
        WHERE event.stream_id = stream.stream_id AND event.version > stream.version
    )
), known AS MATERIALIZED (
    SELECT DISTINCT ON (snapshot.stream_id) snapshot.stream_id, snapshot.version, snapshot.stream_type,
        snapshot.state, snapshot.fold_digest, snapshot.started_at, snapshot.recorded_at
    FROM wanted JOIN snapshots AS snapshot ON snapshot.stream_id = wanted.stream_id
    WHERE snapshot.fold_digest = %(digest)s
    ORDER BY snapshot.stream_id, snapshot.version DESC
)
SELECT known.stream_id, known.version, known.stream_type, convert_to(known.state::text, 'UTF8'), NULL::smallint,
    known.fold_digest, known.started_at, known.recorded_at, first.position
FROM known JOIN events AS first ON first.stream_id = known.stream_id AND first.version = 1
UNION ALL
SELECT event.stream_id, event.version, event.type, convert_to(event.data::text, 'UTF8'), event.schema_version,
    NULL, event.occurred_at, event.recorded_at, event.position
FROM wanted
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
    found = _newer(connections, kind, dict.fromkeys(stream_ids, 0))
    return {stream_id: aggregate for stream_id, aggregate in found.items() if isinstance(aggregate, kind)}


class FoldedAggregates:
    """Aggregates for many readers: one that was folded before is folded again only when its stream has a newer event.

    What is returned is shared, so nobody may change it. Personal data in it are as in the log, sealed.
    """

    def __init__(self, connections: ConnectionSource, most: int) -> None:
        """most: aggregates that are kept, those that were asked for last."""
        self._connections = connections
        self._most = most
        self._kept: OrderedDict[UUID, Aggregate] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, kind: type[AggregateT], stream_ids: Iterable[UUID]) -> dict[UUID, AggregateT]:
        """Return what `load_many` would, in one statement too."""
        wanted = dict.fromkeys(stream_ids, 0)
        with self._lock:
            found = {stream_id: self._kept[stream_id] for stream_id in wanted if stream_id in self._kept}
        wanted.update({stream_id: aggregate.version for stream_id, aggregate in found.items()})
        newer = _newer(self._connections, kind, wanted)
        found.update(newer)
        with self._lock:
            for stream_id, aggregate in found.items():
                kept = self._kept.get(stream_id)
                # Another reader may have come later and put its own there first.
                if kept is None or kept.version < aggregate.version:
                    self._kept[stream_id] = aggregate
                self._kept.move_to_end(stream_id)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return {stream_id: aggregate for stream_id, aggregate in found.items() if isinstance(aggregate, kind)}


def _newer(connections: ConnectionSource, kind: type[Aggregate], versions: Mapping[UUID, int]) -> dict[UUID, Aggregate]:
    """Return the aggregates of those streams that have an event behind the version that is given; 0: any event."""
    if not versions:
        return {}
    asked = {
        "stream_ids": list(versions),
        "versions": list(versions.values()),
        "digest": fold_digest(),
        "kind": getattr(kind, "STREAM_TYPE", None),
    }
    found: dict[UUID, Any] = {}
    with connections() as connection:
        rows = connection.execute(_LOAD, asked, binary=True).fetchall()
    for stream_id, version, type_, data, schema_version, digest, began_at, recorded_at, position in rows:
        stored: Any
        if schema_version is None:
            stored = _SNAPSHOTS.to_domain_event(
                SnapshotRow(stream_id, version, type_, data, digest, began_at, recorded_at, position)
            )
        else:
            stored = _EVENTS.to_domain_event(
                RecordedEvent(stream_id, version, type_, data, schema_version, began_at, recorded_at, position)
            )
        found[stream_id] = stored.mutate(found.get(stream_id))
    return found

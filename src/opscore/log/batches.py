"""Many aggregates of one kind at once, in two statements however many they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from opscore.domain.aggregate import Aggregate
from opscore.log.mapper import EventMapper, RecordedEvent
from opscore.log.recorder import ConnectionSource, SnapshotRow
from opscore.log.snapshots import SnapshotMapper, fold_digest

AggregateT = TypeVar("AggregateT", bound=Aggregate)

_SNAPSHOTS = (
    "SELECT DISTINCT ON (stream_id) stream_id, version, stream_type, convert_to(state::text, 'UTF8'), fold_digest,"
    " started_at, recorded_at FROM snapshots WHERE stream_id = ANY(%s) AND fold_digest = %s"
    " ORDER BY stream_id, version DESC"
)
_EVENTS = (
    "SELECT event.stream_id, event.version, event.type, convert_to(event.data::text, 'UTF8'), event.schema_version,"
    " event.occurred_at, event.recorded_at"
    " FROM unnest(%s::uuid[], %s::int[]) AS known(stream_id, version)"
    " JOIN events AS event ON event.stream_id = known.stream_id AND event.version > known.version"
    " WHERE event.stream_type = %s ORDER BY event.stream_id, event.version"
)


def load_many(
    connections: ConnectionSource, kind: type[AggregateT], stream_ids: Iterable[UUID]
) -> dict[UUID, AggregateT]:
    """Return the aggregates of these streams as of the head of the log; those that are not there are left out."""
    wanted = list(dict.fromkeys(stream_ids))
    if not wanted:
        return {}
    found: dict[UUID, Any] = {}
    snapshots, events = SnapshotMapper(), EventMapper()
    with connections() as connection:
        for row in connection.execute(_SNAPSHOTS, (wanted, fold_digest()), binary=True):
            snapshot = snapshots.to_domain_event(SnapshotRow(*row))
            found[snapshot.originator_id] = snapshot.mutate(None)
        versions = [found[each].version if each in found else 0 for each in wanted]
        for row in connection.execute(_EVENTS, (wanted, versions, kind.STREAM_TYPE), binary=True):
            event: Any = events.to_domain_event(RecordedEvent(*row))
            found[event.originator_id] = event.mutate(found.get(event.originator_id))
    return {stream_id: aggregate for stream_id, aggregate in found.items() if isinstance(aggregate, kind)}

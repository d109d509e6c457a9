"""Events to stored rows and back: our names, plain JSON, old versions upcast on the way in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from opscore.domain.aggregate import Event
from opscore.log.canonical import canonical
from opscore.log.event_types import event_type, event_types
from opscore.log.upcasts import upcast


@dataclass(frozen=True)
class RecordedEvent(StoredEvent):
    """A row of the log as the mapper reads and writes it: the library's four fields and our columns of time."""

    schema_version: int
    occurred_at: datetime
    recorded_at: datetime
    position: int | None = None
    """Its place in the log, where it was asked for."""


class EventMapper(Mapper[UUID]):
    """Converts between events and rows. The topic is the event's own name, the state canonical JSON."""

    def __init__(self) -> None:
        super().__init__(JSONTranscoder())

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> RecordedEvent:
        """Return the row of an event."""
        event = cast(Event, domain_event)
        stored = event_types()[type(event).__name__]
        return RecordedEvent(
            originator_id=event.originator_id,
            originator_version=event.originator_version,
            topic=stored.name,
            state=canonical(stored.data_of(event)),
            schema_version=stored.version,
            occurred_at=event.occurred_at,
            recorded_at=event.timestamp,
        )

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """Return the event of a row.

        Raises UnknownEventType for a name or version this program does not know.
        """
        row = cast(RecordedEvent, stored_event)
        stored = event_type(row.topic, row.schema_version)
        fields: dict[str, Any]
        if row.schema_version == stored.version:
            shaped = stored.decoder.decode(row.state)
        else:
            data = upcast(msgspec.json.decode(row.state), row.schema_version, stored.upcasts)
            shaped = msgspec.convert(data, stored.shape)
        fields = msgspec.structs.asdict(shaped)
        fields["originator_id"] = row.originator_id
        fields["originator_version"] = row.originator_version
        fields["timestamp"] = row.recorded_at
        fields["occurred_at"] = row.occurred_at
        if row.originator_version == 1 and row.position is not None:
            fields["position"] = row.position
        event = object.__new__(stored.cls)
        # A frozen dataclass is filled through its dictionary, as the library's own mapper does.
        object.__setattr__(event, "__dict__", fields)
        return cast(DomainEventProtocol[UUID], event)

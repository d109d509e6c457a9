"""States kept so that a long stream need not be folded from its start; an optimisation that may always be thrown away.

A snapshot carries the digest of the domain's source at the time. After any change of it the digest differs and the
snapshot is ignored: better one folded too often than one that an older rule made.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import typing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, cast, get_origin
from uuid import UUID

import eventsourcing.domain as library
import msgspec
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from opscore import domain
from opscore.domain import catalogue as _every_module  # noqa: F401  (so that the digest is over all of them)
from opscore.domain.aggregate import AGGREGATE_CLASSES, Aggregate
from opscore.log.recorder import SnapshotRow


@functools.cache
def fold_digest() -> str:
    """Return the SHA-256 (hex) of the source of the domain: every module that events or state are made of."""
    digest = hashlib.sha256()
    for name in sorted(name for name in sys.modules if name.startswith(f"{domain.__name__}.")):
        digest.update(inspect.getsource(sys.modules[name]).encode())
    return digest.hexdigest()


@functools.cache
def state_shape(kind: type[Aggregate]) -> type[msgspec.Struct]:
    """Return a struct with the aggregate's declared attributes: what a snapshot's state decodes to."""
    hints = typing.get_type_hints(kind, include_extras=True)
    declared = {
        name: hint
        for cls in reversed(kind.__mro__)
        if issubclass(cls, Aggregate)
        for name in inspect.get_annotations(cls)
        if get_origin(hint := hints[name]) is not ClassVar
    }
    # The aggregate may leave a declared attribute unset until an event sets it.
    fields = [(name, hint | msgspec.UnsetType, msgspec.UNSET) for name, hint in declared.items()]
    return msgspec.defstruct(f"{kind.__name__}State", fields, kw_only=True, forbid_unknown_fields=True)


def state_bytes(aggregate: Aggregate) -> bytes:
    """Return the aggregate's state as JSON (no id, version or times), keys in the order in which they came.

    The order is part of the state: which location an order is picked from goes by it.
    """
    state = vars(aggregate)
    names = state_shape(type(aggregate)).__struct_fields__
    return msgspec.json.encode({name: state[name] for name in names if name in state})


@dataclass(frozen=True)
class StateSnapshot(library.DomainEvent, library.CanSnapshotAggregate[UUID]):
    """The state of an aggregate at a version, as the library's repository takes and restores it."""

    topic: str
    state: Any
    digest: str
    started_at: datetime
    first_position: int | None = None

    @classmethod
    def take(cls, aggregate: Any) -> StateSnapshot:
        """Return a snapshot of the aggregate; its state is encoded at once, so later events do not reach it."""
        return cls(
            originator_id=aggregate.id,
            originator_version=aggregate.version,
            timestamp=aggregate.modified_on,
            topic=aggregate.STREAM_TYPE,
            state=state_bytes(aggregate),
            digest=fold_digest(),
            started_at=aggregate.created_on,
        )

    def mutate(self, _: None) -> Any:
        """Return the aggregate that was snapshotted."""
        kind = AGGREGATE_CLASSES[self.topic]
        restored = kind.__new__(kind)
        restored.__base_init__(self.originator_id, self.originator_version, self.started_at)
        vars(restored)["_first_position"] = self.first_position
        restored.modified_on = self.timestamp
        state = msgspec.json.decode(self.state, type=state_shape(kind))
        for name in state.__struct_fields__:
            value = getattr(state, name)
            if value is not msgspec.UNSET:
                setattr(restored, name, value)
        return restored


class SnapshotMapper(Mapper[UUID]):
    """Converts between snapshots and rows of `snapshots`."""

    def __init__(self) -> None:
        super().__init__(JSONTranscoder())

    def to_stored_event(self, domain_event: Any) -> SnapshotRow:
        """Return the row of a snapshot."""
        taken = cast(StateSnapshot, domain_event)
        return SnapshotRow(
            originator_id=taken.originator_id,
            originator_version=taken.originator_version,
            topic=taken.topic,
            state=taken.state,
            digest=taken.digest,
            started_at=taken.started_at,
            recorded_at=taken.timestamp,
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """Return the snapshot of a row."""
        row = cast(SnapshotRow, stored_event)
        return StateSnapshot(
            originator_id=cast(UUID, row.originator_id),
            originator_version=row.originator_version,
            timestamp=row.recorded_at,
            topic=row.topic,
            state=row.state,
            digest=row.digest,
            started_at=row.started_at,
            first_position=row.first_position,
        )

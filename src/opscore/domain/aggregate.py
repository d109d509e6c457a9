"""What every aggregate and every event has in common.

An event is a fact in the past; an aggregate is what its events add up to. Both are the
classes of the `eventsourcing` library with three differences, each for a reason:

- an event carries `occurred_at` (when it happened) beside the library's `timestamp`
  (when we recorded it), because every figure can be asked as of either;
- the fold of an event is a method of its aggregate marked `@folds(EventClass)`, looked up
  by exact type, so that nothing on the way can refuse: guards run in decisions only;
- an event's stored name is its class name and its fields are declared types, so that the
  log, the JSON Schemas and the SQL relations of the projections come from one place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, TypeVar
from uuid import UUID

import eventsourcing.domain as library

_ONE_MICROSECOND = timedelta(microseconds=1)

EVENT_CLASSES: dict[str, type[Event]] = {}
"""Every event class that an aggregate folds, by stored name."""

AGGREGATE_CLASSES: dict[str, type[Aggregate]] = {}
"""Every aggregate class, by stream type."""


FIELDS_ADDED: Final[tuple[tuple[()], ...]] = ((),)
"""The upcasts of an event whose second version only adds fields that may be absent: absent, each is its default."""


class RecordingClock:
    """Gives every event of this process its own recording time, strictly increasing.

    One microsecond apart at the least, so that a time maps to exactly one position.
    """

    def __init__(self) -> None:
        self._last = datetime(1970, 1, 1, tzinfo=UTC)
        self._lock = threading.Lock()

    def tick(self) -> datetime:
        """Return the next recording time (UTC)."""
        with self._lock:
            self._last = max(datetime.now(UTC), self._last + _ONE_MICROSECOND)
            return self._last

    def not_before(self, recorded_at: datetime) -> None:
        """Take over the last recording time of the log: another process may have a faster clock."""
        with self._lock:
            self._last = max(self._last, recorded_at)


recording_clock = RecordingClock()


class Event(library.AggregateEvent):
    """A fact that an aggregate recorded. Fields of subclasses are the stored `data`.

    `originator_id`, `originator_version` and `timestamp` (the recording time, UTC) come from the
    library; `occurred_at` (UTC) says when it happened. All four are columns of the log, not data.
    """

    VERSION: ClassVar[int] = 1
    """Version of the stored shape; a changed shape raises it and adds an upcast."""
    AGGREGATE: ClassVar[type[Aggregate]]
    """The aggregate that folds it; set when that class is defined."""

    occurred_at: datetime

    def apply(self, aggregate: Any) -> None:
        """Fold this event into `aggregate`."""
        aggregate.fold(self)


class FirstEvent(Event):
    """An event that starts a stream. Its fold sets every attribute of the aggregate."""

    position: ClassVar[int | None] = None
    """Its place in the log, where it was read from there."""

    def mutate(self, aggregate: Any) -> Any:
        """Return the new aggregate that this event starts.

        Raises `OriginatorVersionError` when the stream has begun already.
        """
        if aggregate is not None:
            raise library.OriginatorVersionError(self.originator_version, aggregate.version + 1)
        cls = type(self).AGGREGATE
        started = cls.__new__(cls)
        started.__base_init__(self.originator_id, self.originator_version, self.timestamp)
        vars(started)["_first_position"] = self.position
        started.fold(self)
        return started


FoldT = TypeVar("FoldT", bound=Callable[..., None])


def folds(*event_classes: type[Event]) -> Callable[[FoldT], FoldT]:
    """Mark a method of an aggregate as the fold of these events."""

    def mark(method: FoldT) -> FoldT:
        method.__folds__ = event_classes  # type: ignore[attr-defined]
        return method

    return mark


AggregateT = TypeVar("AggregateT", bound="Aggregate")


class Aggregate(library.Aggregate):
    """State that a stream of events adds up to, and the decisions that extend the stream.

    Every attribute of a subclass is declared with its type in the class body (snapshots are decoded by it)
    and set by the fold of its first event.
    """

    STREAM_TYPE: ClassVar[str]
    _folds: ClassVar[dict[type[Event], Callable[[Any, Any], None]]]

    store_id: UUID
    """The store that owns this stream; access is decided by it."""

    @property
    def first_position(self) -> int | None:
        """Position of its first event in the log; None where it was not read from there. No part of the state."""
        position: int | None = vars(self).get("_first_position")
        return position

    @property
    def seen_in(self) -> Collection[UUID]:
        """The stores whose staff may see it: its own, and where it is on offer besides."""
        return (self.store_id,)

    @property
    def offered_in(self) -> Collection[UUID]:
        """The stores whose buyers see it now."""
        return self.seen_in

    @property
    def once_offered_in(self) -> Collection[UUID]:
        """The stores whose buyers see it or have seen it; naming it, they are told what became of it."""
        return self.seen_in

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.STREAM_TYPE = cls.__name__
        cls._folds = {}
        AGGREGATE_CLASSES[cls.STREAM_TYPE] = cls
        for member in vars(cls).values():
            for event_class in getattr(member, "__folds__", ()):
                if EVENT_CLASSES.setdefault(event_class.__name__, event_class) is not event_class:
                    raise TypeError(f"two event classes are named {event_class.__name__}; stored names must be unique")
                event_class.AGGREGATE = cls
                cls._folds[event_class] = member

    def fold(self, event: Event) -> None:
        """Take `event` into the state. Never refuses: what is in the log has happened."""
        self._folds[type(event)](self, event)

    @classmethod
    def start(cls: type[AggregateT], event_class: type[FirstEvent], stream_id: UUID, **fields: Any) -> AggregateT:
        """Record the first event of a new stream and return the aggregate.

        `fields` are the event's own fields and `occurred_at`.
        """
        event = event_class(originator_id=stream_id, originator_version=1, timestamp=recording_clock.tick(), **fields)
        started: AggregateT = event.mutate(None)
        started._pending_events.append(event)
        return started

    def trigger_event(self, event_class: type[Any], **fields: Any) -> None:
        """Record what has been decided: build the event, fold it, keep it for the append.

        Same contract as the library's method, without its per-call look-ups.
        """
        event = event_class(
            originator_id=self._id,
            originator_version=self._version + 1,
            timestamp=recording_clock.tick(),
            **fields,
        )
        # Made for this aggregate, at its next version: there is nothing that `mutate` would have to check.
        self.fold(event)
        self._version = event.originator_version
        self._modified_on = event.timestamp
        self._pending_events.append(event)

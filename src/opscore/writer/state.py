"""What the writer decides on: aggregates and held names as the log leaves them and the batch under way changes them."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from opscore.domain.aggregate import Aggregate, Event
from opscore.domain.command import Claim
from opscore.domain.order_events import OrderPlaced
from opscore.log.event_log import EventLog, lend
from opscore.log.event_types import UnknownEventType
from opscore.log.mapper import EventMapper, RecordedEvent
from opscore.log.recorder import Head

logger = logging.getLogger(__name__)

TAIL_LIMIT = 5000
"""More foreign events than this since the last batch, and the cache starts afresh instead of taking them in."""
SNAPSHOT_EVERY = 500
"""A stream is snapshotted each time it has grown by this many events."""

ClaimKey = tuple[str, str, str]
"""Kind, scope and value of a name that is held."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a batch had come."""

    lengths: Mapping[UUID, int]
    claims: Mapping[ClaimKey, UUID | None]


class State:
    """The state at the head of the log. For the one thread that decides, within the transaction that holds the lock."""

    def __init__(self, cache_aggregates: int) -> None:
        """cache_aggregates: how many aggregates are kept from one batch to the next."""
        self.head = Head()
        """The last event that has been taken in."""
        self._cache_aggregates = cache_aggregates
        self._mapper = EventMapper()
        self._cached: OrderedDict[UUID, Aggregate] = OrderedDict()
        self._touched: dict[UUID, Aggregate] = {}
        self._events: dict[UUID, list[Event]] = {}
        self._claims: dict[ClaimKey, UUID | None] = {}
        self._snapshots: deque[Aggregate] = deque()
        self._snapshotted: dict[UUID, int] = {}

    # From batch to batch -----------------------------------------------------------------------------------------

    def connect(self, connection: psycopg.Connection[TupleRow]) -> None:
        """Read over this connection from now on, and know nothing yet."""
        self._connection = connection
        self._log = EventLog(lend(connection))
        self.forget()

    def begin(self, head: Head) -> int:
        """Begin a batch at the head of the log; return how many events of other processes were taken in.

        Raises UnknownEventType when there are events that this program does not know.
        """
        if head.position == self.head.position and head.hash == self.head.hash:
            return 0
        missing = head.position - self.head.position
        if not self._cached or not 0 < missing <= TAIL_LIMIT:
            self._cached.clear()
            self._require_known_types()
            missing = 0
        else:
            self._take_in()
        self.head = head
        return missing

    def _take_in(self) -> None:
        """Fold what other processes appended into the aggregates that are cached."""
        rows = self._connection.execute(
            "SELECT stream_id, version, type, convert_to(data::text, 'UTF8'), schema_version, occurred_at,"
            " recorded_at FROM events WHERE position > %s ORDER BY position",
            (self.head.position,),
            binary=True,
        )
        try:
            for row in rows:
                cached = self._cached.get(row[0])
                event = self._mapper.to_domain_event(RecordedEvent(*row))
                if cached is not None:
                    cast(Event, event).mutate(cached)
        except BaseException:
            self._cached.clear()
            raise

    def _require_known_types(self) -> None:
        unknown = self._log.unknown_types()
        if unknown:
            raise UnknownEventType(
                f"the log holds {', '.join(unknown)}, which this program does not know; upgrade it before it decides"
            )

    def commit(self, head: Head) -> None:
        """Keep what the batch did, which is in the log now: up to `head`."""
        self.head = head
        for stream_id, aggregate in self._touched.items():
            if aggregate.version - self._snapshotted.get(stream_id, 0) >= SNAPSHOT_EVERY:
                self._snapshots.append(aggregate)
        while len(self._cached) > self._cache_aggregates:
            stream_id, _ = self._cached.popitem(last=False)
            self._snapshotted.pop(stream_id, None)
        self._touched, self._events, self._claims = {}, {}, {}

    def roll_back(self) -> None:
        """Forget the batch: nothing of it is in the log, but some of it is in the cached aggregates."""
        for stream_id in (*self._touched, *self._events):
            self._cached.pop(stream_id, None)
        self._touched, self._events, self._claims = {}, {}, {}

    def forget(self) -> None:
        """Forget everything: where the log stands is not known."""
        self._cached.clear()
        self._snapshots.clear()
        self.head = Head()

    def keep_snapshots(self) -> None:
        """Write the snapshots that are due; to be called after the answers are out, outside the lock."""
        while self._snapshots:
            aggregate = self._snapshots.popleft()
            try:
                self._log.take_snapshot_of(aggregate)
                self._snapshotted[aggregate.id] = aggregate.version
            except Exception:
                # Without it a reader folds more events; commands are decided all the same.
                logger.warning("writer.snapshot_failed", exc_info=True)

    # Within a batch ----------------------------------------------------------------------------------------------

    def add(self, touched: Mapping[UUID, Aggregate], events: Iterable[Event], claims: Iterable[Claim]) -> None:
        """Take in what a command decided."""
        for event in events:
            stream_id = event.originator_id
            self._events.setdefault(stream_id, []).append(event)
            self._touched[stream_id] = self._cached[stream_id] = touched[stream_id]
        for claim in claims:
            self._claims[claim.kind, claim.scope, claim.value] = None if claim.released else claim.stream_id

    def evict(self, aggregates: Mapping[UUID, Aggregate], *, only_changed: bool = False) -> None:
        """Forget aggregates that a command changed and did not record."""
        for stream_id, aggregate in aggregates.items():
            if not only_changed or aggregate.pending_events:
                self._cached.pop(stream_id, None)
                self._touched.pop(stream_id, None)

    def mark(self) -> Mark:
        """Return how far the batch has come, to go back to."""
        lengths = {stream_id: len(events) for stream_id, events in self._events.items()}
        return Mark(lengths, dict(self._claims))

    def go_back(self, mark: Mark) -> None:
        """Forget what was added since."""
        for stream_id, events in self._events.items():
            before = mark.lengths.get(stream_id, 0)
            if len(events) > before:
                # What earlier commands of the batch did to it is folded again from their events.
                self._cached.pop(stream_id, None)
                self._touched.pop(stream_id, None)
                del events[before:]
        self._claims = dict(mark.claims)

    @property
    def changed_claims(self) -> Mapping[ClaimKey, UUID | None]:
        """The names that the batch claimed, with who holds them; None for those that it let go."""
        return self._claims

    # What decisions look at --------------------------------------------------------------------------------------

    def load(self, stream_id: UUID) -> Aggregate | None:
        """Return an aggregate as it is now; None when there is none."""
        cached = self._cached.get(stream_id)
        if cached is not None:
            if 2 * len(self._cached) > self._cache_aggregates:
                # Only what may have to go soon has to stand in order.
                self._cached.move_to_end(stream_id)
            return cached
        loaded = self._log.aggregate(Aggregate, stream_id)
        for event in self._events.get(stream_id, ()):
            # Evicted within this batch after it had changed: its earlier events are decided but not in the log yet.
            loaded = event.mutate(loaded)
        if loaded is not None:
            self._cached[stream_id] = loaded
        return loaded

    def holder(self, kind: str, scope: str, value: str) -> UUID | None:
        """Return the stream that holds a name."""
        key = (kind, scope, value)
        if key in self._claims:
            return self._claims[key]
        row = self._connection.execute(
            "SELECT stream_id FROM claims WHERE kind = %s AND scope = %s AND value = %s", key
        ).fetchone()
        return None if row is None else cast(UUID, row[0])

    def held(self, kind: str, stream_id: UUID) -> list[tuple[str, str]]:
        """Return the names of a kind that a stream holds, by scope and value."""
        rows = self._connection.execute(
            "SELECT scope, value FROM claims WHERE stream_id = %s AND kind = %s", (stream_id, kind)
        ).fetchall()
        names = dict.fromkeys(rows, stream_id)
        for (claimed, scope, value), holder in self._claims.items():
            if claimed == kind:
                names[scope, value] = cast(UUID, holder)
        return [name for name, holder in names.items() if holder == stream_id]

    def orders_of(self, customer_id: UUID) -> list[UUID]:
        """Return the orders of a customer that are not over, in the order in which they were placed."""
        # Decided over the events and not over folded orders: a wholesale customer has thousands that are over.
        rows = self._connection.execute(
            "SELECT placed.stream_id FROM events AS placed WHERE placed.type = 'OrderPlaced'"
            " AND (placed.data->>'customer_id')::uuid = %s AND NOT EXISTS (SELECT FROM events AS over"
            " WHERE over.stream_id = placed.stream_id AND (over.type = 'OrderCompleted'"
            " OR (over.type IN ('OrderCancelled', 'OrderExpired') AND over.data @> '{\"whole\": true}')))"
            " ORDER BY placed.position",
            (customer_id,),
        ).fetchall()
        begun = [
            stream_id
            for stream_id, events in self._events.items()
            for event in events
            if isinstance(event, OrderPlaced) and event.customer_id == customer_id
        ]
        return [*(row[0] for row in rows), *begun]

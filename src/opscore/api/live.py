"""Watches the log and the read models for all subscriptions of the process, and tells those whom a change concerns.

There is one reader for the live end, however many subscriptions wait there: the envelopes of new events are read once
and held against the filters that may be for them, each different one once; events that are for somebody are then read
whole and handed to everybody who has that filter. Whoever is further behind reads pages of the log by position. Nothing
is queued for a subscription: the log is its queue, and its position in it all that is kept.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog

from opscore.api import log
from opscore.api.context import Context, Services
from opscore.api.errors import BadInput, NotReady
from opscore.api.figures import KpiDay, kpi_days
from opscore.api.ids import key_of
from opscore.domain.store import Store
from opscore.log.event_log import Envelope, EventFilter, LoggedEvent
from opscore.logs import exception_facts

POLL_SECONDS = 0.5
"""How often to look without having been told; another process may have written."""
PAUSE_SECONDS = 0.02
"""Least time between two looks, so that many small commits are handed on together."""
LOST_SECONDS = 1.0
LIVE_PAGE = 1_000
FAR_EVENTS = 5_000
"""Further behind than this, the live end does not read its way but jumps, and subscriptions read for themselves."""
KEPT_EVENTS = 1_000
KEPT_SECONDS = 30.0
"""How much of the live end is kept for each filter; whoever is slower reads the log."""
PAGE_EVENTS = 200
WINDOW_POSITIONS = 20_000
"""How much of the log one read of one subscription looks through, however few events match."""

logger = structlog.get_logger("opscore.live")


def matches(wanted: EventFilter, event: Envelope) -> bool:
    """Say whether an event is what `EventLog.select` would return for this filter."""
    return (
        (wanted.store_ids is None or event.store_id in wanted.store_ids)
        and (wanted.stream_id is None or event.stream_id == wanted.stream_id)
        and (wanted.stream_type is None or event.stream_type == wanted.stream_type)
        and (not wanted.types or event.type in wanted.types)
        and (wanted.actor is None or event.actor == wanted.actor)
        and (wanted.occurred_from is None or event.occurred_at >= wanted.occurred_from)
        and (wanted.occurred_until is None or event.occurred_at < wanted.occurred_until)
        and (wanted.correlation_id is None or event.correlation_id == wanted.correlation_id)
    )


@dataclass(slots=True, eq=False)
class _Signal:
    """Wakes everybody who took `turn` before it was given. An asyncio.Event takes 700 bytes before anybody waits."""

    turn: int = 0
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def give(self) -> None:
        self.turn += 1
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)

    async def after(self, turn: int) -> None:
        """Return once it was given after this turn."""
        if self.turn != turn:
            return
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            await waiting
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiting)


@dataclass(slots=True, eq=False)
class _Group:
    """Subscriptions with one filter, and the newest events that match it: all of those behind `floor`."""

    wanted: EventFilter
    floor: int
    members: int = 0
    events: list[tuple[float, LoggedEvent]] = field(default_factory=list)
    """When each was taken in, and the event; a list, because a deque takes 600 bytes before there is anything in it."""
    signal: _Signal = field(default_factory=_Signal)

    def take_in(self, event: LoggedEvent, now: float) -> None:
        self.events.append((now, event))
        self._drop(len(self.events) - KEPT_EVENTS)

    def forget(self, before: float) -> None:
        self._drop(bisect.bisect_left(self.events, before, key=lambda each: each[0]))

    def _drop(self, oldest: int) -> None:
        if oldest > 0:
            self.floor = self.events[oldest - 1][1].position
            del self.events[:oldest]

    def jump(self, head: int) -> None:
        self.events.clear()
        self.floor = head

    def behind(self, position: int) -> list[LoggedEvent]:
        start = bisect.bisect_right(self.events, position, key=lambda each: each[1].position)
        return [event for _, event in self.events[start:]]


Place = tuple[str, object]
"""Where the groups of a filter stand: an attribute of events, and the value that all matching ones have."""


def _places(wanted: EventFilter) -> list[Place]:
    """Return where a filter's group stands: under what fewest events have; under each value where it takes several."""
    for name, value in (
        ("stream_id", wanted.stream_id),
        ("correlation_id", wanted.correlation_id),
        ("actor", wanted.actor),
    ):
        if value is not None:
            return [(name, value)]
    if wanted.types:
        return [("type", each) for each in wanted.types]
    if wanted.store_ids is not None:
        return [("store_id", each) for each in wanted.store_ids]
    return [("stream_type", wanted.stream_type)]


class Groups:
    """The groups of all filters, found by what an event is: with a thousand filters most events are for nobody."""

    def __init__(self) -> None:
        self._all: dict[EventFilter, _Group] = {}
        self._standing: dict[Place, dict[_Group, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[_Group]:
        return iter(self._all.values())

    def join(self, wanted: EventFilter, head: int) -> _Group:
        """Return the group of a filter, with one member more; a new one knows nothing up to `head`."""
        group = self._all.get(wanted)
        if group is None:
            group = self._all[wanted] = _Group(wanted, head)
            for place in _places(wanted):
                self._standing.setdefault(place, {})[group] = None
        group.members += 1
        return group

    def leave(self, group: _Group) -> None:
        """Take a member off; a group without any is forgotten."""
        group.members -= 1
        if group.members:
            return
        del self._all[group.wanted]
        for place in _places(group.wanted):
            standing = self._standing[place]
            del standing[group]
            if not standing:
                del self._standing[place]

    def of(self, event: Envelope) -> list[_Group]:
        """Return the groups whose filter an event matches."""
        return [
            group
            for place in (
                ("stream_id", event.stream_id),
                ("correlation_id", event.correlation_id),
                ("actor", event.actor),
                ("type", event.type),
                ("store_id", event.store_id),
                ("stream_type", event.stream_type),
                ("stream_type", None),
            )
            for group in self._standing.get(place, ())
            if matches(group.wanted, event)
        ]


class Live:
    """The watcher of one process. Everything but `hint` belongs to the event loop that `start` was called in."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._head: int | None = None
        self._headed = asyncio.Event()
        self._groups = Groups()
        self._keeping: set[_Group] = set()
        self._readers = 0
        self._watchers = 0
        self._progress: list[log.Projection] | None = None
        self._began: dict[tuple[str, int], tuple[float, int]] = {}
        self._days: dict[UUID, list[KpiDay]] | None = None
        self._days_of: Any = None
        self._zones: dict[UUID, ZoneInfo] = {}
        self._changed = _Signal()
        self._looked_at = 0.0
        self._wake = asyncio.Event()
        self._hinted = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(), name="opscore-live")

    async def stop(self) -> None:
        """Stop watching; whoever still waits gets nothing more."""
        self._loop = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def hint(self) -> None:
        """Say that something was committed; cheap, from any thread."""
        loop = self._loop
        if loop is not None and self._readers and not self._hinted:
            self._hinted = True
            # The loop may end between these two lines; then nobody is left to be told.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._wake.set)

    # What subscriptions follow -----------------------------------------------------------------------------------

    async def events(self, wanted: EventFilter, after: int | None) -> AsyncGenerator[LoggedEvent, None]:
        """Yield every event that matches behind a position (None: from now on), in order, each once, without end.

        Raises BadInput for a position that the log has not reached.
        """
        self._readers += 1
        self._wake.set()
        group = None
        try:
            while self._head is None:
                await self._headed.wait()
            cursor = self._head if after is None else after
            if after is None or cursor > self._head:
                # What is known here is of a moment ago; "from now on" begins behind what was recorded since.
                head = await self._services.read(self._services.log.head)
                if after is None:
                    cursor = max(cursor, head.position)
                elif cursor > head.position:
                    raise BadInput(f"The log ends at position {head.position}.")
            # Equal filters are one group.
            stores = None if wanted.store_ids is None else tuple(sorted(wanted.store_ids))
            wanted = replace(wanted, store_ids=stores, types=tuple(wanted.types))
            group = self._groups.join(wanted, self._head)
            while True:
                told: int | None = group.signal.turn
                head_then = self._head
                if cursor >= group.floor:
                    found = group.behind(cursor)
                    cursor = max(cursor, head_then)
                elif cursor < head_then:
                    found, cursor = await self._services.read(self._page, wanted, cursor, head_then)
                    told = None
                else:
                    found = []
                for event in found:
                    yield event
                # Events that came in while these were handed out have given the signal that was taken before.
                if told is not None:
                    await group.signal.after(told)
        finally:
            self._readers -= 1
            if group is not None:
                self._groups.leave(group)
                if not group.members:
                    self._keeping.discard(group)

    def _page(self, wanted: EventFilter, after: int, head: int) -> tuple[list[LoggedEvent], int]:
        """Return matching events behind a position, and the position up to which these are all (blocking)."""
        end = min(head, after + WINDOW_POSITIONS)
        found = self._services.log.select(wanted, after=after, before=end + 1, limit=PAGE_EVENTS)
        return found, found[-1].position if len(found) == PAGE_EVENTS else end

    async def progress(self) -> AsyncGenerator[list[log.Projection], None]:
        """Yield the state of the read models, now and each time it has changed."""
        with self._watching():
            seen = None
            while True:
                told = self._changed.turn
                if self._progress is not None and self._progress != seen:
                    seen = self._progress
                    yield seen
                else:
                    await self._changed.after(told)

    async def figures(self, stores: list[UUID] | None) -> AsyncGenerator[list[KpiDay], None]:
        """Yield the figures of these stores' today (None: of all stores), now and each time they have changed."""
        with self._watching():
            seen = None
            while True:
                told = self._changed.turn
                days = self._days
                if days is not None:
                    wanted = days if stores is None else [each for each in stores if each in days]
                    found = [day for each in wanted for day in days[each]]
                    if found != seen:
                        seen = found
                        yield found
                        continue
                await self._changed.after(told)

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        self._watchers += 1
        self._wake.set()
        try:
            yield
        finally:
            self._watchers -= 1

    # The watch ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            self._hinted = False
            more = False
            try:
                if self._readers:
                    more = await self._look_at_log()
                elif not self._groups:
                    self._head = None
                    self._headed.clear()
                if self._watchers and time.monotonic() - self._looked_at >= POLL_SECONDS:
                    await self._look_at_read_models()
                elif not self._watchers:
                    self._progress = self._days = self._days_of = None
            except Exception as error:
                # Whatever it was (a lost connection, a restart), the log is still there: look again.
                logger.warning("live_watch_interrupted", **exception_facts(error))
                await asyncio.sleep(LOST_SECONDS)
                continue
            if more:
                continue
            await asyncio.sleep(PAUSE_SECONDS)
            if not self._readers and not self._watchers:
                await self._wake.wait()
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()

    async def _look_at_log(self) -> bool:
        """Hand on what is new; return whether there is more already."""
        source = self._services.log
        if self._head is None:
            self._head = (await self._services.read(source.head)).position
            self._headed.set()
            return False
        before = self._head
        found = await self._services.read(source.envelopes, before, LIVE_PAGE)
        if len(found) == LIVE_PAGE:
            head = (await self._services.read(source.head)).position
            if head - before > FAR_EVENTS:
                self._head = head
                for group in self._groups:
                    group.jump(head)
                    group.signal.give()
                self._keeping.clear()
                return True
        now = time.monotonic()
        events: dict[int, LoggedEvent] = {}
        while True:
            groups = {each.position: of_it for each in found if (of_it := self._groups.of(each))}
            missing = sorted(groups.keys() - events.keys())
            if not missing:
                break
            # Whoever comes while these are read is behind the same position, so it is asked once more who wants what.
            events |= {each.position: each for each in await self._services.read(source.at, missing)}
        if found:
            self._head = found[-1].position
        told = set()
        for position, of_it in groups.items():
            for group in of_it:
                group.take_in(events[position], now)
                told.add(group)
        for group in told:
            group.signal.give()
        self._keeping |= told
        for group in list(self._keeping):
            group.forget(now - KEPT_SECONDS)
            if not group.events:
                self._keeping.discard(group)
        return len(found) == LIVE_PAGE

    async def _look_at_read_models(self) -> None:
        self._looked_at = time.monotonic()
        context = Context(self._services, None, "live")
        progress = self._with_pace(await self._services.read(log.projections, context))
        today = datetime.now(UTC)
        # Figures change with the read model, and with the day, which begins at a whole minute in every zone.
        state = (
            [(each.version, each.state, each.position) for each in progress if each.name == "kpi_daily"],
            int(today.timestamp() // 60),
        )
        days = self._days
        if state != self._days_of or days is None:
            with contextlib.suppress(NotReady):
                days = await self._services.read(self._todays_figures, context, today)
        if progress != self._progress or days != self._days:
            self._progress, self._days = progress, days
            self._changed.give()
        self._days_of = state

    def _with_pace(self, found: list[log.Projection]) -> list[log.Projection]:
        """Say of each version that is being built how fast, and how long yet, as seen since it was first looked at."""
        now = time.monotonic()
        building = {(each.name, each.version): each for each in found if each.state == "building"}
        self._began = {key: self._began.get(key, (now, each.position)) for key, each in building.items()}
        for key, each in building.items():
            then, position = self._began[key]
            if each.position > position:
                each.events_per_second = round((each.position - position) / (now - then))
                each.seconds_left = round(each.lag * (now - then) / (each.position - position))
        return found

    def _todays_figures(self, context: Context, now: datetime) -> dict[UUID, list[KpiDay]]:
        """Return the figures of each store that has any on its own today (blocking)."""
        around: dict[str, date | None] = {
            "from_day": now.date() - timedelta(days=1),
            "to_day": now.date() + timedelta(days=1),
            "currency": None,
        }
        found: dict[UUID, list[KpiDay]] = {}
        for row in kpi_days(context, around, None, None):
            store_id = key_of(row.store_id, "Store")
            if store_id not in self._zones:
                store = self._services.log.aggregate(Store, store_id)
                self._zones[store_id] = ZoneInfo(store.time_zone if store is not None else "UTC")
            if row.day == now.astimezone(self._zones[store_id]).date():
                found.setdefault(store_id, []).append(row)
        return found

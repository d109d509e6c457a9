"""The write path: decides one command at a time, commits many at a time.

One writer per process, with its own thread and connection. A batch is one transaction: it locks the log, so that from
there to the commit this tenant has one writer and a decision may look at anything; it takes in what other processes
appended since; it decides each command on current state, the batch's earlier commands included; it appends, commits,
and only then answers. There is no conflict to retry and nothing is decided outside the lock.
"""

from __future__ import annotations

import gc
import hashlib
import hmac
import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import msgspec
import psycopg
from psycopg.errors import UniqueViolation
from psycopg.rows import TupleRow

from opscore.database import Database
from opscore.domain.aggregate import Aggregate, Event, recording_clock
from opscore.domain.command import Actor, Claim, Command, Origin, Role, UnitOfWork
from opscore.domain.order_events import OrderPlaced
from opscore.domain.refusals import (
    AlreadyExists,
    IdempotencyKeyReused,
    InvalidField,
    Refusal,
    RejectedWithOthers,
    StaleVersion,
)
from opscore.domain.store import Store
from opscore.log.canonical import canonical
from opscore.log.event_log import EventLog, lend
from opscore.log.event_types import UnknownEventType, event_types
from opscore.log.mapper import EventMapper, RecordedEvent
from opscore.log.personal import Keyring, SubjectErased
from opscore.log.recorder import HEAD, LOCK, Head, LogRow, append_rows
from opscore.settings import Settings

logger = logging.getLogger(__name__)

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far in the future `occurred_at` may lie, and for buyers in the past: clocks of other machines differ."""
BUYERS = frozenset({Role.STOREFRONT, Role.CUSTOMER})
"""Who may not book afterwards what happened before: they would choose the time at which prices are looked up."""
TAIL_LIMIT = 5000
"""More foreign events than this since the last batch, and the cache starts afresh instead of taking them in."""
COLLECT_AFTER = (50_000, 20, 100)
"""Thresholds of Python's collector of cycles while a writer runs."""
BATCH_MIN = 4
"""However large the commands, at least twice this many are taken together."""
CROWD = 8
GATHER_SECONDS = 0.0005
"""After a batch of CROWD commands or more, the next one is let grow so long before it is taken."""
SNAPSHOT_EVERY = 500
"""A stream is snapshotted each time it has grown by this many events."""


class Busy(Exception):
    """The queue of commands is full; nothing was decided. Send the same command with the same key again in a moment."""


class Unavailable(Exception):
    """The database cannot be reached, so whether this was recorded is not known; send it again with the same key."""


class NotDeciding(Exception):
    """This process met events of a newer version and stopped deciding; upgrade it. Nothing was decided."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command with who sends it and under which idempotency key (1 to 255 characters, scoped to actor and store)."""

    command: Command
    actor: Actor
    key: str
    origin: Origin = Origin.LIVE
    occurred_at: datetime | None = None
    """When it happened, UTC; None means now."""
    expected_version: int | None = None
    correlation_id: str | None = None
    causation_position: int | None = None

    @property
    def scope(self) -> str:
        """The store that the idempotency key is scoped to, '-' for a command that names none."""
        return str(getattr(self.command, "store_id", None) or "-")


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal as it is kept and answered."""

    code: str
    message: str
    path: tuple[str | int, ...] = ()
    ids: tuple[UUID, ...] = ()

    @classmethod
    def of(cls, refusal: Refusal) -> Refused:
        """Return the answer that a refusal of the domain is."""
        return cls(refusal.CODE, refusal.message, refusal.path, refusal.ids)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a command: accepted (`aggregate_id`, `position`) or refused; `replayed` when given before.

    `position` is that of the command's last event, or where the log stood when nothing had to be recorded.
    """

    aggregate_id: UUID | None
    position: int
    replayed: bool = False
    refusal: Refused | None = None


Answer = Outcome | list[Outcome] | Exception
"""What a future is given: an outcome, those of commands that were given together, or the error that deciding met."""

Known = dict[tuple[str, str, str], tuple[bytes, Outcome]]
"""Actor, scope and key -> hash of the request and what it was answered with."""


@dataclass(slots=True)
class _Pending:
    """A request in the queue and whoever waits for its outcome."""

    request: Request
    future: Future[Any]
    request_hash: bytes
    together: tuple[_Pending, ...] = ()
    """The requests that are recorded all or none; this one stands for them in the queue and waits for all."""

    @property
    def members(self) -> tuple[_Pending, ...]:
        """The requests to decide: those that belong together, or this one."""
        return self.together or (self,)

    @property
    def key(self) -> tuple[str, str, str]:
        """What the idempotency key is kept under."""
        return self.request.actor.id, self.request.scope, self.request.key


@dataclass(slots=True)
class _Decided:
    """One decided command of a batch, not yet committed."""

    pending: _Pending
    outcome: Outcome
    events: list[LogRow] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)


@dataclass
class WriterStatistics:
    """Counters since the start, for /readyz, metrics and benchmarks."""

    commands: int = 0
    refusals: int = 0
    replays: int = 0
    batches: int = 0
    events: int = 0
    reconnects: int = 0
    foreign_events: int = 0
    turned_away: int = 0
    """Commands that a full queue did not take."""
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Commands by name and what became of them: accepted, refused, replayed, failed (a fault of ours)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One committed batch, for those who measure."""

    commands: int
    seconds: float
    """From taking the lock to the end of the commit."""
    commit_seconds: float
    """For writing down what was decided and the commit, which waits for the disk."""


class _Work(UnitOfWork):
    """A unit of work over the writer's cache and its transaction."""

    def bind(self, writer: Writer, connection: psycopg.Connection[TupleRow]) -> _Work:
        self.writer = writer
        self.connection = connection
        self.erased: list[UUID] = []
        return self

    def _load(self, stream_id: UUID) -> Aggregate | None:
        return self.writer._load(stream_id)

    def _holder(self, kind: str, scope: str, value: str) -> UUID | None:
        return self.writer._holder(self.connection, kind, scope, value)

    def _held(self, kind: str, stream_id: UUID) -> list[tuple[str, str]]:
        return self.writer._held(self.connection, kind, stream_id)

    def _orders_of(self, customer_id: UUID) -> Collection[UUID]:
        return self.writer._orders_of(self.connection, customer_id)

    def seal(self, subject_id: UUID, plaintext: str) -> str:
        try:
            return self.writer.keyring.seal(self.connection, subject_id, plaintext)
        except SubjectErased as erased:
            raise InvalidField(why=str(erased), ids=[subject_id]) from erased

    def keyed_hash(self, value: str) -> str:
        return self.writer.keyring.keyed_hash(value)

    def erase(self, subject_id: UUID) -> None:
        # Only noted: a decision that is refused or fails after this must leave the person as they were.
        self.erased.append(subject_id)


class Writer:
    """Takes commands from a bounded queue, decides and commits them in batches, answers after the commit."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings
        self.keyring = Keyring(settings.master_key_bytes(), database.schema)
        self.statistics = WriterStatistics()
        self.halted: str | None = None
        """Why this process no longer decides; None while it does."""
        self.after_commit: list[Callable[[int], None]] = []
        """Called with the new head position after each commit that appended events; must return at once."""
        self.after_batch: list[Callable[[Batch], None]] = []
        """Called after each commit, events or not, on the writer's thread; must return at once."""
        self._request_key = self.keyring.keyed_hash("request hash").encode()
        self._mapper = EventMapper()
        self._cache: OrderedDict[UUID, Aggregate] = OrderedDict()
        self._head = Head()
        self._batch: dict[UUID, Aggregate] = {}
        self._batch_events: dict[UUID, list[Event]] = {}
        self._batch_claims: dict[tuple[str, str, str], UUID | None] = {}
        self._connection: psycopg.Connection[TupleRow] | None = None
        self._log: EventLog | None = None
        self._live: deque[_Pending] = deque()
        self._imports: deque[_Pending] = deque()
        self._wake = threading.Condition()
        self._batch_limit = settings.batch_commands
        self._answered = 0
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._snapshots: deque[Aggregate] = deque()
        self._snapshotted: dict[UUID, int] = {}

    # For those who send commands ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to decide, on a thread of its own."""
        # The collector of cycles walks whatever the cache holds, and hardly anything there is cyclic: with the usual
        # thresholds it took a tenth of the throughput and doubled the longest answers.
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)
        self._thread = threading.Thread(target=self._run, name="opscore-writer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more, decide what is queued, close the connection. Returns when all of it is done."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join()
        if self._connection is not None:
            self._connection.close()

    def submit(self, request: Request) -> Future[Outcome]:
        """Queue a command; the future holds its outcome once that is committed.

        Raises Busy when the queue is full, NotDeciding when this process has stopped; the future may raise Unavailable.
        """
        pending = self._pending(request)
        self._enqueue(pending)
        return pending.future

    def submit_together(self, requests: Sequence[Request]) -> Future[list[Outcome]]:
        """Queue commands that are decided one after the other and recorded all or none, in one transaction.

        If any is refused, nothing of any is kept, keys included: the refused ones are answered with their refusals, the
        others with RejectedWithOthers, and all may be sent again with the same keys. Raises as `submit`.
        """
        members = tuple(self._pending(request) for request in requests)
        first = members[0]
        pending = _Pending(first.request, Future(), first.request_hash, members)
        self._enqueue(pending)
        return pending.future

    def _pending(self, request: Request) -> _Pending:
        if self.halted is not None:
            raise NotDeciding(self.halted)
        if not 1 <= len(request.key) <= 255 or "\x00" in request.key:
            raise ValueError("an idempotency key has 1 to 255 characters")
        return _Pending(request, Future(), self._hash_of(request))

    def _enqueue(self, pending: _Pending) -> None:
        # Begun, so that nobody can call it off: what is queued is decided, whoever has stopped waiting for it.
        pending.future.set_running_or_notify_cancel()
        queue = self._live if pending.request.origin is Origin.LIVE else self._imports
        with self._wake:
            if self._stopping:
                raise Busy("this server is shutting down; send the same command with the same key to another")
            if len(queue) >= self.settings.queue_size:
                self.statistics.turned_away += len(pending.members)
                raise Busy(" ".join((Busy.__doc__ or "").split()))
            queue.append(pending)
            self._wake.notify()

    def ask(self, request: Request, timeout: float | None = 60) -> Outcome:
        """Submit a command and wait for its outcome."""
        return self.submit(request).result(timeout)

    @property
    def queue_length(self) -> int:
        """Commands that wait."""
        return len(self._live) + len(self._imports)

    # The loop ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            try:
                self._process(batch)
            except BaseException as error:
                logger.exception("writer.failed", extra={"commands": len(batch)})
                self._fail([pending for pending in batch if not pending.future.done()], error)
                self._forget_everything()
            self._keep_snapshots()

    def _next_batch(self) -> list[_Pending] | None:
        with self._wake:
            while not self._live and not self._imports:
                if self._stopping:
                    return None
                self._wake.wait()
        if self._answered >= CROWD:
            # Whoever was just answered comes again at once, if let: half as many commits then carry as much.
            time.sleep(GATHER_SECONDS)
        with self._wake:
            batch: list[_Pending] = []
            size = 0
            for queue in (self._live, self._imports):
                while queue and size < self._batch_limit:
                    batch.append(queue.popleft())
                    size += len(batch[-1].members)
            return batch

    def _put_back(self, rest: Sequence[_Pending]) -> None:
        with self._wake:
            for pending in reversed(rest):
                queue = self._live if pending.request.origin is Origin.LIVE else self._imports
                queue.appendleft(pending)

    def _process(self, batch: list[_Pending]) -> None:
        """Decide and commit a batch, whatever the database does; every future is answered or put back."""
        deadline = time.monotonic() + self.settings.unavailable_after_seconds
        while True:
            try:
                connection = self._connect()
                answers, rest = self._decide_and_commit(connection, batch)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                # Whether the commit happened is not known. The next try waits for the lock that the lost
                # session may still hold, and then finds every key that was recorded.
                self.statistics.reconnects += 1
                logger.warning("writer.connection_lost", extra={"error": type(error).__name__})
                self._disconnect()
                if time.monotonic() > deadline:
                    self._fail(batch, Unavailable(" ".join((Unavailable.__doc__ or "").split())))
                    return
                time.sleep(0.1)
                continue
            except psycopg.Error as error:
                self._forget_everything()
                if len(batch) == 1 and _stream_has_begun(error) and not batch[0].together:
                    outcome = self._begun_before(batch[0])
                    self._count(batch[0], outcome)
                    batch[0].future.set_result(outcome)
                    return
                if len(batch) == 1:
                    name = batch[0].request.command.command_name()
                    logger.exception("writer.command_failed", extra={"command": name})
                    self._fail(batch, error)
                    return
                # One command's data made the whole batch fail: each for itself, so that only that one does.
                for pending in batch:
                    self._process([pending])
                return
            except UnknownEventType as error:
                self.halted = str(error)
                logger.critical("writer.halted", extra={"reason": self.halted})
                self._forget_everything()
                self._fail(batch, NotDeciding(self.halted))
                return
            self._put_back(rest)
            # Large commands end a batch by time; looking up keys that are not reached would be for nothing.
            wanted = 2 * max(len(batch) - len(rest), BATCH_MIN)
            self._answered = len(answers)
            self._batch_limit = min(wanted if rest else 2 * self._batch_limit, self.settings.batch_commands)
            for pending, answer in answers:
                if isinstance(answer, Exception):
                    pending.future.set_exception(answer)
                else:
                    pending.future.set_result(answer)
            return

    def _count(self, pending: _Pending, answer: Answer) -> None:
        """Note what became of the commands of one entry of the queue."""
        answers = answer if isinstance(answer, list) else [answer] * len(pending.members)
        for member, each in zip(pending.members, answers, strict=True):
            self.statistics.outcomes[member.request.command.command_name(), _word(each)] += 1

    def _fail(self, batch: Iterable[_Pending], error: BaseException) -> None:
        """Answer entries of the queue with an error."""
        for pending in batch:
            for member in pending.members:
                self.statistics.outcomes[member.request.command.command_name(), "failed"] += 1
            pending.future.set_exception(error)

    def _begun_before(self, pending: _Pending) -> Outcome:
        """Answer a command that was given before its key was forgotten: what it started is there."""
        what = pending.request.command.AGGREGATE.STREAM_TYPE.lower()
        return Outcome(None, self._head.position, refusal=Refused.of(AlreadyExists(what=what)))

    def _decide_and_commit(
        self, connection: psycopg.Connection[TupleRow], batch: list[_Pending]
    ) -> tuple[list[tuple[_Pending, Answer]], list[_Pending]]:
        self._batch, self._batch_events, self._batch_claims = {}, {}, {}
        begun = time.perf_counter()
        try:
            known = self._begin(connection, batch)
            before = head = self._head
            decided, answers, rest = self._decide_all(connection, batch, known)
            settled = time.perf_counter()
            if any(each.events for each in decided):
                head = append_rows(connection, before, (row for each in decided for row in each.events))
            # The commit travels with what is recorded: each wait for the server is a wait of all who come after.
            with connection.pipeline():
                if decided:
                    self._record(connection, decided)
                connection.execute("COMMIT", prepare=False)
        except BaseException:
            try:
                connection.rollback()
            except psycopg.Error:
                connection.close()
            # Nothing of this batch is in the log, but some of it is in the cached aggregates.
            for stream_id in (*self._batch, *self._batch_events):
                self._cache.pop(stream_id, None)
            raise
        touched = self._batch
        self._head = head
        ended = time.perf_counter()
        statistics = self.statistics
        statistics.batches += 1
        commands = sum(len(pending.members) for pending, _ in answers)
        statistics.commands += commands
        statistics.events += head.position - before.position
        for pending, answer in answers:
            self._count(pending, answer)
        self._remember(touched)
        for measuring in self.after_batch:
            measuring(Batch(commands, ended - begun, ended - settled))
        if head.position > before.position:
            for listener in self.after_commit:
                listener(head.position)
        return answers, rest

    def _begin(self, connection: psycopg.Connection[TupleRow], batch: list[_Pending]) -> Known:
        """Begin, take the lock, take in what others appended, and look up which of these keys were answered before."""
        requests = [member.request for pending in batch for member in pending.members]
        with connection.pipeline():
            connection.execute("BEGIN")
            connection.execute("SET LOCAL synchronous_commit = on")
            connection.execute(LOCK)
            head_cursor = connection.execute(HEAD)
            key_cursor = connection.execute(
                "SELECT actor, scope, key, request_hash, aggregate_id, position, refusal FROM commands"
                " WHERE (actor, scope, key) IN"
                " (SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]))",
                (
                    [request.actor.id for request in requests],
                    [request.scope for request in requests],
                    [request.key for request in requests],
                ),
            )
        row = head_cursor.fetchone()
        head = Head() if row is None else Head(row[0], bytes(row[1]), row[2])
        if head.position != self._head.position or head.hash != self._head.hash:
            self._take_in(connection, head)
        if head.recorded_at is not None:
            recording_clock.not_before(head.recorded_at)
        return {(row[0], row[1], row[2]): (bytes(row[3]), _replay(row[4], row[5], row[6])) for row in key_cursor}

    def _take_in(self, connection: psycopg.Connection[TupleRow], head: Head) -> None:
        """Bring the cache up to `head`: fold what other processes appended into the aggregates that are cached."""
        missing = head.position - self._head.position
        if not self._cache or not 0 < missing <= TAIL_LIMIT:
            self._cache.clear()
            self._require_known_types(connection)
        else:
            rows = connection.execute(
                "SELECT stream_id, version, type, convert_to(data::text, 'UTF8'), schema_version, occurred_at,"
                " recorded_at FROM events WHERE position > %s ORDER BY position",
                (self._head.position,),
                binary=True,
            )
            try:
                for row in rows:
                    cached = self._cache.get(row[0])
                    event = self._mapper.to_domain_event(RecordedEvent(*row))
                    if cached is not None:
                        cast(Event, event).mutate(cached)
            except BaseException:
                self._cache.clear()
                raise
            self.statistics.foreign_events += missing
        self._head = head

    def _require_known_types(self, connection: psycopg.Connection[TupleRow]) -> None:
        unknown = EventLog(lend(connection)).unknown_types()
        if unknown:
            raise UnknownEventType(
                f"the log holds {', '.join(unknown)}, which this program does not know; upgrade it before it decides"
            )

    # Deciding ----------------------------------------------------------------------------------------------------

    def _decide_all(
        self,
        connection: psycopg.Connection[TupleRow],
        batch: list[_Pending],
        known: Known,
    ) -> tuple[list[_Decided], list[tuple[_Pending, Answer]], list[_Pending]]:
        decided: list[_Decided] = []
        answers: list[tuple[_Pending, Answer]] = []
        position = self._head.position
        until = time.monotonic() + self.settings.batch_ms / 1000
        for count, pending in enumerate(batch, start=1):
            earlier = None if pending.together else known.get(pending.key)
            if earlier is not None:
                self.statistics.replays += 1
                answers.append((pending, _same_or_refused(pending, earlier)))
                continue
            answer: Answer
            try:
                if pending.together:
                    done, answer = self._decide_together(connection, pending.together, position, known)
                else:
                    each = self._decide(connection, pending, position)
                    done, answer = [each], each.outcome
            except (psycopg.Error, UnknownEventType):
                raise
            except Exception as error:
                # A mistake in one decision is that command's alone; it recorded nothing, not even its key.
                name = pending.request.command.command_name()
                logger.exception("writer.decision_failed", extra={"command": name})
                answers.append((pending, error))
                continue
            for each in done:
                position += len(each.events)
                decided.append(each)
                known[each.pending.key] = (each.pending.request_hash, _replayed(each.outcome))
            answers.append((pending, answer))
            if time.monotonic() > until:
                return decided, answers, batch[count:]
        return decided, answers, []

    def _decide_together(
        self, connection: psycopg.Connection[TupleRow], members: Sequence[_Pending], position: int, known: Known
    ) -> tuple[list[_Decided], list[Outcome]]:
        """Decide commands each on the state that the ones before it leave; keep what all of them did, or nothing."""
        lengths = {stream_id: len(events) for stream_id, events in self._batch_events.items()}
        claims = dict(self._batch_claims)
        done: list[_Decided] = []
        outcomes: list[Outcome] = []
        before, known = known, dict(known)
        start, stands = position, False
        try:
            # A savepoint: a key that was made or destroyed for one of them goes back with the others.
            with connection.transaction():
                for pending in members:
                    earlier = known.get(pending.key)
                    if earlier is not None:
                        self.statistics.replays += 1
                        outcomes.append(_same_or_refused(pending, earlier))
                        continue
                    each = self._decide(connection, pending, position)
                    position += len(each.events)
                    done.append(each)
                    outcomes.append(each.outcome)
                    known[pending.key] = (pending.request_hash, _replayed(each.outcome))
                stands = all(outcome.refusal is None for outcome in outcomes)
                if not stands:
                    raise psycopg.Rollback
        finally:
            if not stands:
                self._undo(done, lengths, claims)
        if stands:
            return done, outcomes
        rest = Refused.of(RejectedWithOthers())
        return [], [
            # What repeats another of these commands is rejected with it.
            outcome if pending.key in before else Outcome(None, start, refusal=outcome.refusal or rest)
            for pending, outcome in zip(members, outcomes, strict=True)
        ]

    def _undo(
        self, done: list[_Decided], lengths: dict[UUID, int], claims: dict[tuple[str, str, str], UUID | None]
    ) -> None:
        """Forget decisions of this batch: `lengths` and `claims` are how its events and claims stood before them."""
        for each in done:
            for row in each.events:
                # What earlier commands of the batch did to it is folded again from their events.
                self._cache.pop(row[0], None)
                self._batch.pop(row[0], None)
        for stream_id, events in self._batch_events.items():
            del events[lengths.get(stream_id, 0) :]
        self._batch_claims = claims

    def _decide(self, connection: psycopg.Connection[TupleRow], pending: _Pending, position: int) -> _Decided:
        request = pending.request
        now = datetime.now(UTC)
        work = _Work(
            actor=request.actor,
            now=now,
            occurred_at=request.occurred_at or now,
            origin=request.origin,
            command_id="\x1f".join((request.actor.id, request.scope, request.key)),
        ).bind(self, connection)
        try:
            _require_allowed(request, now)
            self._require_version(work, request)
            aggregate_id = request.command.carry_out(work)
            events = work.collect_events()
            rows = self._rows(work, request, events)
            for subject_id in work.erased:
                self.keyring.erase(connection, subject_id)
        except Refusal as refusal:
            self._evict(work.touched, only_changed=True)
            self.statistics.refusals += 1
            return _Decided(pending, Outcome(None, position, refusal=Refused.of(refusal)))
        except BaseException:
            self._evict(work.touched)
            raise
        for event in events:
            stream_id = event.originator_id
            self._batch_events.setdefault(stream_id, []).append(event)
            self._batch[stream_id] = self._cache[stream_id] = work.touched[stream_id]
        for claim in work.claims:
            self._batch_claims[claim.kind, claim.scope, claim.value] = None if claim.released else claim.stream_id
        return _Decided(pending, Outcome(aggregate_id, position + len(rows)), rows, work.claims)

    def _require_version(self, work: UnitOfWork, request: Request) -> None:
        if request.expected_version is None:
            return
        target = request.command.target_id
        if target is None:
            raise InvalidField(why="this command starts something new, so there is no version to expect")
        current = work.get(request.command.AGGREGATE, target)
        if current.version != request.expected_version:
            raise StaleVersion(expected=request.expected_version, current=current.version, ids=[target])

    def _rows(self, work: UnitOfWork, request: Request, events: Iterable[Event]) -> list[LogRow]:
        rows: list[LogRow] = []
        known: UUID | None = None
        time_zone = "UTC"
        for event in events:
            stored = event_types()[type(event).__name__]
            state = vars(event)
            aggregate = work.touched[event.originator_id]
            store_id: UUID = state["store_id"] if stored.names_store else aggregate.store_id
            if isinstance(aggregate, Store):
                known, store_id, time_zone = None, aggregate.id, aggregate.time_zone
            elif store_id is not known:
                # The events of one decision are mostly of one store, and name it by the same object.
                known = store_id
                store = work.find(Store, store_id)
                time_zone = store.time_zone if store is not None else "UTC"
            rows.append(
                (
                    event.originator_id,
                    event.originator_version,
                    stored.aggregate.STREAM_TYPE,
                    stored.name,
                    stored.version,
                    store_id,
                    event.occurred_at,
                    event.timestamp,
                    time_zone,
                    request.actor.id,
                    request.origin.value,
                    request.key,
                    request.correlation_id,
                    request.causation_position,
                    canonical(stored.data_of(event)),
                    request.actor.role.value,
                )
            )
        return rows

    def _record(self, connection: psycopg.Connection[TupleRow], decided: Iterable[_Decided]) -> None:
        """Write outcomes and claims of the batch; waits for no answer."""
        rows = [
            (
                each.pending.request.actor.id,
                each.pending.request.scope,
                each.pending.request.key,
                each.pending.request_hash.hex(),
                "accepted" if each.outcome.refusal is None else "refused",
                each.outcome.aggregate_id,
                each.outcome.position,
                each.outcome.refusal,
            )
            for each in decided
        ]
        connection.execute(
            "INSERT INTO commands"
            " (actor, scope, key, request_hash, outcome, aggregate_id, position, refusal, recorded_at)"
            " SELECT said->>0, said->>1, said->>2, decode(said->>3, 'hex'), said->>4, (said->>5)::uuid,"
            " (said->>6)::bigint, nullif(said->7, 'null'), %s FROM jsonb_array_elements(%s::jsonb) AS said",
            (datetime.now(UTC), canonical(rows).decode()),
        )
        held = [(*key, stream) for key, stream in self._batch_claims.items() if stream is not None]
        released = [key for key, stream in self._batch_claims.items() if stream is None]
        with connection.cursor() as cursor:
            if released:
                cursor.executemany("DELETE FROM claims WHERE kind = %s AND scope = %s AND value = %s", released)
            if held:
                cursor.execute(
                    "INSERT INTO claims AS held (kind, scope, value, stream_id)"
                    " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::uuid[])"
                    " ON CONFLICT (kind, scope, value) DO UPDATE SET stream_id = excluded.stream_id",
                    tuple(map(list, zip(*held, strict=True))),
                )

    # State -------------------------------------------------------------------------------------------------------

    def _load(self, stream_id: UUID) -> Aggregate | None:
        cached = self._cache.get(stream_id)
        if cached is not None:
            if 2 * len(self._cache) > self.settings.cache_aggregates:
                # Only what may have to go soon has to stand in order.
                self._cache.move_to_end(stream_id)
            return cached
        assert self._log is not None
        loaded = self._log.aggregate(Aggregate, stream_id)
        for event in self._batch_events.get(stream_id, ()):
            # Evicted within this batch after it had changed: its earlier events are decided but not in the log yet.
            loaded = event.mutate(loaded)
        if loaded is not None:
            self._cache[stream_id] = loaded
        return loaded

    def _holder(self, connection: psycopg.Connection[TupleRow], kind: str, scope: str, value: str) -> UUID | None:
        key = (kind, scope, value)
        if key in self._batch_claims:
            return self._batch_claims[key]
        row = connection.execute(
            "SELECT stream_id FROM claims WHERE kind = %s AND scope = %s AND value = %s", key
        ).fetchone()
        return None if row is None else cast(UUID, row[0])

    def _held(self, connection: psycopg.Connection[TupleRow], kind: str, stream_id: UUID) -> list[tuple[str, str]]:
        rows = connection.execute(
            "SELECT scope, value FROM claims WHERE stream_id = %s AND kind = %s", (stream_id, kind)
        ).fetchall()
        names = dict.fromkeys(rows, stream_id)
        for (claimed, scope, value), holder in self._batch_claims.items():
            if claimed == kind:
                names[scope, value] = cast(UUID, holder)
        return [name for name, holder in names.items() if holder == stream_id]

    def _orders_of(self, connection: psycopg.Connection[TupleRow], customer_id: UUID) -> list[UUID]:
        # Decided over the events and not over folded orders: a wholesale customer has thousands that are over.
        rows = connection.execute(
            "SELECT placed.stream_id FROM events AS placed WHERE placed.type = 'OrderPlaced'"
            " AND (placed.data->>'customer_id')::uuid = %s AND NOT EXISTS (SELECT FROM events AS over"
            " WHERE over.stream_id = placed.stream_id AND (over.type = 'OrderCompleted'"
            " OR (over.type IN ('OrderCancelled', 'OrderExpired') AND over.data @> '{\"whole\": true}')))"
            " ORDER BY placed.position",
            (customer_id,),
        ).fetchall()
        begun = [
            stream_id
            for stream_id, events in self._batch_events.items()
            for event in events
            if isinstance(event, OrderPlaced) and event.customer_id == customer_id
        ]
        return [*(row[0] for row in rows), *begun]

    def _evict(self, aggregates: dict[UUID, Aggregate], *, only_changed: bool = False) -> None:
        for stream_id, aggregate in aggregates.items():
            if not only_changed or aggregate.pending_events:
                self._cache.pop(stream_id, None)
                self._batch.pop(stream_id, None)

    def _remember(self, touched: dict[UUID, Aggregate]) -> None:
        """Trim the cache and note which streams have grown enough for a snapshot."""
        for stream_id, aggregate in touched.items():
            if aggregate.version - self._snapshotted.get(stream_id, 0) >= SNAPSHOT_EVERY:
                self._snapshots.append(aggregate)
        while len(self._cache) > self.settings.cache_aggregates:
            stream_id, _ = self._cache.popitem(last=False)
            self._snapshotted.pop(stream_id, None)

    def _keep_snapshots(self) -> None:
        """Write snapshots after the answers are out and outside the lock."""
        while self._snapshots:
            aggregate = self._snapshots.popleft()
            try:
                assert self._log is not None
                self._log.take_snapshot_of(aggregate)
                self._snapshotted[aggregate.id] = aggregate.version
            except Exception:
                # Without it a reader folds more events; commands are decided all the same.
                logger.warning("writer.snapshot_failed", exc_info=True)

    def _forget_everything(self) -> None:
        self._cache.clear()
        self._snapshots.clear()
        self._head = Head()

    # Connection --------------------------------------------------------------------------------------------------

    def _connect(self) -> psycopg.Connection[TupleRow]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self.database.conninfo(), autocommit=True)
            # For snapshots, which may be lost; each batch sets it on for itself.
            self._connection.execute("SET synchronous_commit = off")
            self._log = EventLog(lend(self._connection))
            self._forget_everything()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._forget_everything()

    def _hash_of(self, request: Request) -> bytes:
        name = request.command.command_name()
        body = canonical([name, request.command, request.occurred_at, request.expected_version])
        # Keyed, because a command may hold personal data and its hash outlives an erasure.
        return hmac.new(self._request_key, body, hashlib.sha256).digest()


def _word(answer: Outcome | Exception) -> str:
    if isinstance(answer, Exception):
        return "failed"
    if answer.replayed:
        return "replayed"
    return "accepted" if answer.refusal is None else "refused"


def _stream_has_begun(error: psycopg.Error) -> bool:
    return isinstance(error, UniqueViolation) and error.diag.constraint_name == "events_stream_id_version_key"


def _require_allowed(request: Request, now: datetime) -> None:
    role = request.actor.role
    request.command.require_role(request.actor)
    if request.occurred_at is not None and request.occurred_at > now + CLOCK_TOLERANCE:
        raise InvalidField(why="it cannot have happened in the future", path=("occurred_at",))
    if role in BUYERS and request.occurred_at is not None and request.occurred_at < now - CLOCK_TOLERANCE:
        why = "what buyers ask for happens now; prices, offers and deadlines go by that"
        raise InvalidField(why=why, path=("occurred_at",))


def _same_or_refused(pending: _Pending, earlier: tuple[bytes, Outcome]) -> Outcome:
    request_hash, outcome = earlier
    if hmac.compare_digest(request_hash, pending.request_hash):
        return outcome
    return Outcome(None, outcome.position, refusal=Refused.of(IdempotencyKeyReused(path=("idempotency_key",))))


def _replayed(outcome: Outcome) -> Outcome:
    return Outcome(outcome.aggregate_id, outcome.position, replayed=True, refusal=outcome.refusal)


def _replay(aggregate_id: UUID | None, position: int, refusal: Any) -> Outcome:
    kept = None if refusal is None else msgspec.convert(refusal, Refused)
    return Outcome(aggregate_id, position, replayed=True, refusal=kept)

"""The writer: takes commands from its queue, decides and commits them in batches, answers after the commit."""

from __future__ import annotations

import gc
import hashlib
import hmac
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.errors import UniqueViolation
from psycopg.rows import TupleRow

from opscore.database import Database
from opscore.domain.aggregate import Aggregate, Event, recording_clock
from opscore.domain.command import Role, UnitOfWork
from opscore.domain.refusals import (
    AlreadyExists,
    IdempotencyKeyReused,
    InvalidField,
    Refusal,
    RejectedWithOthers,
    StaleVersion,
)
from opscore.domain.store import Store
from opscore.domain.values import in_full
from opscore.log.canonical import canonical
from opscore.log.event_types import UnknownEventType, event_types
from opscore.log.personal import Keyring, SubjectErased
from opscore.log.recorder import HEAD, LOCK, Head, LogRow, append_rows
from opscore.settings import Settings
from opscore.writer.queue import Pending, Queue
from opscore.writer.requests import Answer, NotDeciding, Outcome, Refused, Request, Unavailable
from opscore.writer.state import State

logger = logging.getLogger(__name__)

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far in the future `occurred_at` may lie, and for buyers in the past: clocks of other machines differ."""
BUYERS = frozenset({Role.STOREFRONT, Role.CUSTOMER})
"""Who may not book afterwards what happened before: they would choose the time at which prices are looked up."""
COLLECT_AFTER = (50_000, 20, 100)
"""Thresholds of Python's collector of cycles while a writer runs."""
BATCH_MIN = 4
"""However large the commands, at least twice this many are taken together."""
CROWD = 8
GATHER_SECONDS = 0.0005
"""After a batch of CROWD commands or more, the next one is let grow so long before it is taken."""

Known = dict[tuple[str, str, str], tuple[bytes, Outcome]]
"""Actor, scope and key -> hash of the request and what it was answered with."""


@dataclass(slots=True)
class _Decided:
    """One decided command of a batch, not yet committed."""

    pending: Pending
    outcome: Outcome
    events: list[LogRow] = field(default_factory=list)


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
    """A unit of work over the writer's state and its transaction."""

    def bind(self, state: State, keyring: Keyring, connection: psycopg.Connection[TupleRow]) -> _Work:
        self.state = state
        self.keyring = keyring
        self.connection = connection
        self.erased: list[UUID] = []
        return self

    def _load(self, stream_id: UUID) -> Aggregate | None:
        return self.state.load(stream_id)

    def _holder(self, kind: str, scope: str, value: str) -> UUID | None:
        return self.state.holder(kind, scope, value)

    def _held(self, kind: str, stream_id: UUID) -> list[tuple[str, str]]:
        return self.state.held(kind, stream_id)

    def _orders_of(self, customer_id: UUID) -> Collection[UUID]:
        return self.state.orders_of(customer_id)

    def seal(self, subject_id: UUID, plaintext: str) -> str:
        try:
            return self.keyring.seal(self.connection, subject_id, plaintext)
        except SubjectErased as erased:
            raise InvalidField(why=str(erased), ids=[subject_id]) from erased

    def keyed_hash(self, value: str) -> str:
        return self.keyring.keyed_hash(value)

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
        self.queue = Queue(settings.queue_size)
        self._state = State(settings.cache_aggregates)
        self._connection: psycopg.Connection[TupleRow] | None = None
        self._batch_limit = settings.batch_commands
        self._answered = 0
        self._thread: threading.Thread | None = None

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
        self.queue.close()
        if self._thread is not None:
            self._thread.join()
        if self._connection is not None:
            self._connection.close()

    def submit(self, request: Request) -> Future[Outcome]:
        """Queue a command; the future holds its outcome once that is committed.

        Raises Busy when the queue is full, NotDeciding when this process has stopped; the future may raise Unavailable.
        """
        pending = self._pending(request)
        self.queue.put(pending)
        return pending.future

    def submit_together(self, requests: Sequence[Request]) -> Future[list[Outcome]]:
        """Queue commands that are decided one after the other and recorded all or none, in one transaction.

        If any is refused, nothing of any is kept, keys included: the refused ones are answered with their refusals, the
        others with RejectedWithOthers, and all may be sent again with the same keys. Raises as `submit`.
        """
        members = tuple(self._pending(request) for request in requests)
        first = members[0]
        pending = Pending(first.request, Future(), first.request_hash, members)
        self.queue.put(pending)
        return pending.future

    def _pending(self, request: Request) -> Pending:
        if self.halted is not None:
            raise NotDeciding(self.halted)
        if not 1 <= len(request.key) <= 255 or "\x00" in request.key:
            raise ValueError("an idempotency key has 1 to 255 characters")
        return Pending(request, Future(), self._hash_of(request))

    def ask(self, request: Request, timeout: float | None = 60) -> Outcome:
        """Submit a command and wait for its outcome."""
        return self.submit(request).result(timeout)

    @property
    def queue_length(self) -> int:
        """Commands that wait."""
        return len(self.queue)

    # The loop ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            try:
                self._process(batch)
            except BaseException as error:
                logger.exception("writer.failed", extra={"commands": len(batch)})
                self._fail([pending for pending in batch if not pending.future.done()], error)
                self._state.forget()
            self._state.keep_snapshots()

    def _next_batch(self) -> list[Pending] | None:
        if not self.queue.wait():
            return None
        if self._answered >= CROWD:
            # Whoever was just answered comes again at once, if let: half as many commits then carry as much.
            time.sleep(GATHER_SECONDS)
        return self.queue.take(self._batch_limit)

    def _process(self, batch: list[Pending]) -> None:
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
                self._state.forget()
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
                self._state.forget()
                self._fail(batch, NotDeciding(self.halted))
                return
            self.queue.put_back(rest)
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

    def _count(self, pending: Pending, answer: Answer) -> None:
        """Note what became of the commands of one entry of the queue."""
        answers = answer if isinstance(answer, list) else [answer] * len(pending.members)
        for member, each in zip(pending.members, answers, strict=True):
            word = "failed" if isinstance(each, Exception) else each.word
            self.statistics.outcomes[member.request.command.command_name(), word] += 1

    def _fail(self, batch: Iterable[Pending], error: BaseException) -> None:
        """Answer entries of the queue with an error."""
        for pending in batch:
            for member in pending.members:
                self.statistics.outcomes[member.request.command.command_name(), "failed"] += 1
            pending.future.set_exception(error)

    def _begun_before(self, pending: Pending) -> Outcome:
        """Answer a command that was given before its key was forgotten: what it started is there."""
        what = pending.request.command.AGGREGATE.STREAM_TYPE.lower()
        return Outcome(None, self._state.head.position, refusal=Refused.of(AlreadyExists(what=what)))

    def _decide_and_commit(
        self, connection: psycopg.Connection[TupleRow], batch: list[Pending]
    ) -> tuple[list[tuple[Pending, Answer]], list[Pending]]:
        begun = time.perf_counter()
        try:
            known = self._begin(connection, batch)
            before = head = self._state.head
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
            self._state.roll_back()
            raise
        self._state.commit(head)
        ended = time.perf_counter()
        statistics = self.statistics
        statistics.batches += 1
        commands = sum(len(pending.members) for pending, _ in answers)
        statistics.commands += commands
        statistics.events += head.position - before.position
        for pending, answer in answers:
            self._count(pending, answer)
        for measuring in self.after_batch:
            measuring(Batch(commands, ended - begun, ended - settled))
        if head.position > before.position:
            for listener in self.after_commit:
                listener(head.position)
        return answers, rest

    def _begin(self, connection: psycopg.Connection[TupleRow], batch: list[Pending]) -> Known:
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
        self.statistics.foreign_events += self._state.begin(head)
        if head.recorded_at is not None:
            recording_clock.not_before(head.recorded_at)
        return {(row[0], row[1], row[2]): (bytes(row[3]), Outcome.kept(row[4], row[5], row[6])) for row in key_cursor}

    # Deciding ----------------------------------------------------------------------------------------------------

    def _decide_all(
        self,
        connection: psycopg.Connection[TupleRow],
        batch: list[Pending],
        known: Known,
    ) -> tuple[list[_Decided], list[tuple[Pending, Answer]], list[Pending]]:
        decided: list[_Decided] = []
        answers: list[tuple[Pending, Answer]] = []
        position = self._state.head.position
        until = time.monotonic() + self.settings.batch_ms / 1000
        for count, pending in enumerate(batch, start=1):
            earlier = None if pending.together else known.get(pending.key)
            if earlier is not None:
                self.statistics.replays += 1
                answers.append((pending, self._same_or_refused(pending, earlier)))
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
                known[each.pending.key] = (each.pending.request_hash, each.outcome.again())
            answers.append((pending, answer))
            if time.monotonic() > until:
                return decided, answers, batch[count:]
        return decided, answers, []

    def _decide_together(
        self, connection: psycopg.Connection[TupleRow], members: Sequence[Pending], position: int, known: Known
    ) -> tuple[list[_Decided], list[Outcome]]:
        """Decide commands each on the state that the ones before it leave; keep what all of them did, or nothing."""
        mark = self._state.mark()
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
                        outcomes.append(self._same_or_refused(pending, earlier))
                        continue
                    each = self._decide(connection, pending, position)
                    position += len(each.events)
                    done.append(each)
                    outcomes.append(each.outcome)
                    known[pending.key] = (pending.request_hash, each.outcome.again())
                stands = all(outcome.refusal is None for outcome in outcomes)
                if not stands:
                    raise psycopg.Rollback
        finally:
            if not stands:
                self._state.go_back(mark)
        if stands:
            return done, outcomes
        rest = Refused.of(RejectedWithOthers())
        return [], [
            # What repeats another of these commands is rejected with it.
            outcome if pending.key in before else Outcome(None, start, refusal=outcome.refusal or rest)
            for pending, outcome in zip(members, outcomes, strict=True)
        ]

    def _decide(self, connection: psycopg.Connection[TupleRow], pending: Pending, position: int) -> _Decided:
        request = pending.request
        now = datetime.now(UTC)
        work = _Work(
            actor=request.actor,
            now=now,
            occurred_at=request.occurred_at or now,
            origin=request.origin,
            command_id="\x1f".join((request.actor.id, request.scope, request.key)),
            figures=request.figures,
        ).bind(self._state, self.keyring, connection)
        try:
            _require_allowed(request, now)
            _require_version(work, request)
            aggregate_id = request.command.carry_out(work)
            events = work.collect_events()
            rows = _log_rows(work, request, events)
            for subject_id in work.erased:
                self.keyring.erase(connection, subject_id)
        except Refusal as refusal:
            self._state.evict(work.touched, only_changed=True)
            self.statistics.refusals += 1
            return _Decided(pending, Outcome(None, position, refusal=Refused.of(refusal)))
        except BaseException:
            self._state.evict(work.touched)
            raise
        self._state.add(work.touched, events, work.claims)
        return _Decided(pending, Outcome(aggregate_id, position + len(rows)), rows)

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
        held = [(*key, stream) for key, stream in self._state.changed_claims.items() if stream is not None]
        released = [key for key, stream in self._state.changed_claims.items() if stream is None]
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

    # Connection --------------------------------------------------------------------------------------------------

    def _connect(self) -> psycopg.Connection[TupleRow]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self.database.conninfo(), autocommit=True)
            # For snapshots, which may be lost; each batch sets it on for itself.
            self._connection.execute("SET synchronous_commit = off")
            self._state.connect(self._connection)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._state.forget()

    def _hash_of(self, request: Request, command: Any = None) -> bytes:
        """Return what tells a request from others. command: how it is written down, if not as this program does."""
        name, command = request.command.command_name(), command or request.command
        body = canonical([name, command, request.occurred_at, request.expected_version])
        # Keyed, because a command may hold personal data and its hash outlives an erasure.
        return hmac.new(self._request_key, body, hashlib.sha256).digest()

    def _same_or_refused(self, pending: Pending, earlier: tuple[bytes, Outcome]) -> Outcome:
        request_hash, outcome = earlier
        if hmac.compare_digest(request_hash, pending.request_hash):
            return outcome
        # Earlier programs hashed every field, those at their defaults among them.
        if hmac.compare_digest(request_hash, self._hash_of(pending.request, in_full(pending.request.command))):
            return outcome
        return Outcome(None, outcome.position, refusal=Refused.of(IdempotencyKeyReused(path=("idempotency_key",))))


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


def _require_version(work: UnitOfWork, request: Request) -> None:
    if request.expected_version is None:
        return
    target = request.command.target_id
    if target is None:
        raise InvalidField(why="this command starts something new, so there is no version to expect")
    current = work.get(request.command.AGGREGATE, target)
    if current.version != request.expected_version:
        raise StaleVersion(expected=request.expected_version, current=current.version, ids=[target])


def _log_rows(work: UnitOfWork, request: Request, events: Iterable[Event]) -> list[LogRow]:
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

"""Reads the log in order and gives the commands that follow from it; keeps what falls due and gives it in time.

The rules are in domain/followups.py. A command's idempotency key is made of rule, position and suffix (or rule, stream,
time and the position of what made it due), so a restart or a second process repeats nothing. One process at a time
reads, by a lock on the checkpoint's row; the checkpoint moves once every command that follows has been decided. A
refusal is an answer and ends the matter; an error does not: the same event is tried again until it goes through.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, TypeVar, cast
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from opscore.background import Background
from opscore.database import Database
from opscore.domain.aggregate import Aggregate, Event
from opscore.domain.command import Actor, Role
from opscore.domain.followups import DUE_RULES, FOLLOW_UPS, DueRule, FollowUp
from opscore.log.event_log import EventLog, lend
from opscore.log.mapper import EventMapper, RecordedEvent
from opscore.sqlfiles import load
from opscore.writer import Outcome, Request, Writer

SQL = load(__file__, "followups.sql")

ACTOR = Actor(id="followups", role=Role.SYSTEM)
POLL_SECONDS = 0.5
GATHER_SECONDS = 0.05
"""Waits this long after a commit before it looks, so that a round takes in what many commits brought."""
EVENTS_PER_ROUND = 200
DUE_PER_ROUND = 200
ANSWER_SECONDS = 60
FOLLOWING, DUE = "follow_ups", "due_rules"
"""Names of the two checkpoints: what follows at once, and what falls due."""

logger = logging.getLogger(__name__)

AggregateT = TypeVar("AggregateT", bound=Aggregate)
Connection = psycopg.Connection[TupleRow]


class _Look:
    """What a rule may look at, over the log; `position` is that of the event it was asked about."""

    def __init__(self, log: EventLog, position: int) -> None:
        self._log = log
        self._position = position

    def then(self, kind: type[AggregateT], stream_id: UUID) -> AggregateT | None:
        """Return the aggregate as of the event's position."""
        return self._log.aggregate(kind, stream_id, position=self._position)

    def now(self, kind: type[AggregateT], stream_id: UUID) -> AggregateT | None:
        """Return the aggregate as it is."""
        return self._log.aggregate(kind, stream_id)


class FollowUps(Background):
    """The process managers of one server process. Several processes may each run them: they share the work."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        *,
        follow_ups: Sequence[FollowUp] = FOLLOW_UPS,
        due_rules: Sequence[DueRule] = DUE_RULES,
    ) -> None:
        super().__init__("opscore-followups")
        self._database = database
        self._writer = writer
        self._follow_ups = follow_ups
        self._due_rules = {rule.name: rule for rule in due_rules}
        self._mapper = EventMapper()
        self._connection: Connection | None = None
        self.error: str | None = None
        """Why the last round failed; None when it went through."""

    # The thread --------------------------------------------------------------------------------------------------

    def lag(self) -> int:
        """Return how many positions of the log the slower of the two readers has not looked at."""
        with self._database.pool.connection() as connection:
            stands = [connection.execute(SQL["stand"], {"name": name}).fetchone() for name in (FOLLOWING, DUE)]
            return _number(connection, "head") - min(0 if row is None else row[0] for row in stands)

    def _run(self) -> None:
        while not self._stopping:
            self._hint.clear()
            try:
                more = self.run_once()
                self.error = None
            except Exception as error:
                # A lost connection, a full queue, a fault in a rule: nothing is skipped, the same event comes again.
                self.error = f"{type(error).__name__}: {error}"
                logger.exception("followups.failed")
                more = False
            if not more and self._hint.wait(POLL_SECONDS) and not self._stopping:
                time.sleep(GATHER_SECONDS)
        self.close()

    # One round ---------------------------------------------------------------------------------------------------

    def run_once(self, now: datetime | None = None) -> bool:
        """Follow what happened since the last round and give what is due by `now`; say whether more may be waiting.

        Raises what a command's decision raised, and `Busy`, `Unavailable` or `NotDeciding` of the writer.
        """
        connection = self._connect()
        try:
            log = EventLog(lend(connection))
            more = self._follow(connection, log)
            more = self._note_due(connection, log) or more
            return self._give_due(connection, log, now or datetime.now(UTC)) or more
        except BaseException:
            # Whatever was not committed comes again, over a connection that is surely good.
            self.close()
            raise

    def _connect(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._database.connect(autocommit=False)
            # A checkpoint that is lost is caught up with: the same keys get the same answers.
            self._connection.execute("SET synchronous_commit = off")
            self._connection.commit()
        return self._connection

    def close(self) -> None:
        """Close the connection; the next round opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def run_until_idle(self, now: datetime | None = None) -> None:
        """Go round until nothing is waiting."""
        while self.run_once(now):
            pass

    def _follow(self, connection: Connection, log: EventLog) -> bool:
        types = {event_class.__name__ for rule in self._follow_ups for event_class in rule.reads}
        position = self._take(connection, FOLLOWING)
        if position is None:
            return False
        events, until = self._read(connection, position, types)
        for at, event, correlation_id in events:
            if self._stopping:
                until = at - 1
                break
            try:
                self._answer(self._submit(at, event, correlation_id, _Look(log, at)))
            except BaseException:
                # What went through stays done; this event comes again.
                self._move(connection, FOLLOWING, position, at - 1)
                raise
        self._move(connection, FOLLOWING, position, until)
        return bool(events)

    def _submit(
        self, position: int, event: Event, correlation_id: str | None, look: _Look
    ) -> list[tuple[str, Future[Outcome]]]:
        submitted = []
        for rule in self._follow_ups:
            if not isinstance(event, rule.reads):
                continue
            for step in rule.then(event, look):
                request = Request(
                    command=step.command,
                    actor=ACTOR,
                    key=f"{rule.name}:{position}:{step.suffix}",
                    occurred_at=event.occurred_at,
                    correlation_id=correlation_id,
                    causation_position=position,
                )
                submitted.append((request.key, self._writer.submit(request)))
        return submitted

    def _answer(self, submitted: list[tuple[str, Future[Outcome]]]) -> None:
        for key, future in submitted:
            refusal = future.result(ANSWER_SECONDS).refusal
            if refusal is not None:
                logger.info("followups.refused", extra={"key": key, "code": refusal.code})

    def _note_due(self, connection: Connection, log: EventLog) -> bool:
        types = {event_class.__name__ for rule in self._due_rules.values() for event_class in rule.reads}
        position = self._take(connection, DUE)
        if position is None:
            return False
        events, until = self._read(connection, position, types)
        for at, event, _ in events:
            for rule in self._due_rules.values():
                if not isinstance(event, rule.reads):
                    continue
                for due_at in rule.due(event, _Look(log, at)):
                    noted = {"policy": rule.name, "stream_id": event.originator_id, "due_at": due_at, "position": at}
                    connection.execute(SQL["add_due"], noted)
        self._move(connection, DUE, position, until)
        return len(events) == EVENTS_PER_ROUND

    def _give_due(self, connection: Connection, log: EventLog, now: datetime) -> bool:
        rows = connection.execute(SQL["take_due"], {"now": now, "limit": DUE_PER_ROUND}).fetchall()
        given = []
        for policy, stream_id, due_at, position in rows:
            row = {"policy": policy, "stream_id": stream_id, "due_at": due_at}
            rule = self._due_rules.get(policy)
            command = None if rule is None else rule.then(stream_id, _Look(log, position))
            if command is None:
                connection.execute(SQL["done"], row)
                continue
            # Points that come back into a lot that has lapsed are due at the same time once more.
            key = f"{policy}:{stream_id}:{due_at.isoformat()}:{position}"
            request = Request(command=command, actor=ACTOR, key=key, causation_position=position)
            given.append((row, self._writer.submit(request)))
        for row, future in given:
            refusal = future.result(ANSWER_SECONDS).refusal
            if refusal is None:
                connection.execute(SQL["done"], row)
            else:
                connection.execute(SQL["refused"], {**row, "refusal": refusal.code})
                logger.info("followups.refused", extra={"policy": row["policy"], "code": refusal.code})
        connection.commit()
        return bool(rows)

    # The log and the checkpoints -------------------------------------------------------------------------------------

    def _take(self, connection: Connection, name: str) -> int | None:
        """Return where a reader stands and hold it; None while another process reads."""
        connection.execute(SQL["begin"], {"name": name})
        row = connection.execute(SQL["take"], {"name": name}).fetchone()
        return None if row is None else cast(int, row[0])

    def _move(self, connection: Connection, name: str, position: int, to: int) -> None:
        if to > position:
            connection.execute(SQL["move"], {"name": name, "position": to})
        connection.commit()

    def _read(
        self, connection: Connection, after: int, types: set[str]
    ) -> tuple[list[tuple[int, Event, str | None]], int]:
        """Return live events after a position with positions and correlation, and the position that this reaches."""
        head = _number(connection, "head")
        asked: dict[str, Any] = {"after": after, "until": head, "types": sorted(types), "limit": EVENTS_PER_ROUND}
        events = []
        for row in connection.execute(SQL["live_events"], asked):
            position, stream_id, version, name, schema_version, occurred_at, recorded_at, correlation_id, data = row
            stored = RecordedEvent(
                originator_id=stream_id,
                originator_version=version,
                topic=name,
                state=data.encode(),
                schema_version=schema_version,
                occurred_at=occurred_at,
                recorded_at=recorded_at,
            )
            events.append((position, cast(Event, self._mapper.to_domain_event(stored)), correlation_id))
        # A full page may have left events out: it reaches no further than its last one.
        return events, events[-1][0] if len(events) == EVENTS_PER_ROUND else head


def _number(connection: Connection, statement: str) -> int:
    row = connection.execute(SQL[statement]).fetchone()
    return 0 if row is None else cast(int, row[0])

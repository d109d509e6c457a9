"""Delivers: each webhook's events in the order of the log, one at a time, by one server at a time.

Where a webhook stands is a row that whoever delivers holds (SKIP LOCKED, as the follow-ups do) from before the event is
read until it is noted as taken, one event in each transaction. So a process that is killed loses nothing, and at most
the one event that was under way comes twice, under the same id. An event that is not taken holds up those behind it
until it is, or until its last try: then it is put aside as a dead letter. Three in a row switch the webhook off, with
the reason to be read; nothing of what follows is lost by that.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from opscore.background import Background
from opscore.database import Database
from opscore.log.event_log import LoggedEvent
from opscore.sqlfiles import load
from opscore.webhooks.book import Clock, WebhookBook, bounds_of, now_utc, signed_headers
from opscore.webhooks.message import body_of, message_id
from opscore.webhooks.sending import Sender, Sent

SQL = load(__file__, "webhooks.sql")

POLL_SECONDS = 0.5
PURGE_SECONDS = 3600.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 5.0, 4 * 3600.0
GROWTH = 3
"""After the first failure about 5 s, then 15 s, 45 s, ... up to 4 h; the default of 12 tries spans most of a day."""
DEAD_IN_ROW_MAX = 3
EVENTS_AT_ONCE = 200
"""A webhook with a long way to go lets another one have the thread after so many."""
WINDOW_POSITIONS = 50_000

logger = logging.getLogger(__name__)
Connection = psycopg.Connection[Any]


def wait_seconds(attempts: int, chance: float) -> float:
    """Return how long to wait after so many failures in a row: exponential, with half of it left to chance (0 to 1).

    What failed together because a receiver was down does not come back all at once.
    """
    longest: float = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * GROWTH ** (attempts - 1))
    return longest * (0.5 + 0.5 * chance)


@dataclass(frozen=True, slots=True)
class Counts:
    """Webhooks by state, dead letters of all, and how many events the slowest active one is behind the log."""

    active: int
    paused: int
    disabled: int
    dead_letters: int
    behind: int


class Delivery(Background):
    """The deliveries of one process; any number of processes may each run them."""

    def __init__(
        self,
        database: Database,
        *,
        sender: Sender | None = None,
        clock: Clock = now_utc,
        chance: Callable[[], float] = random.random,
    ) -> None:
        super().__init__("opscore-webhooks")
        self._database = database
        self._settings = database.settings
        self._book = WebhookBook(database, clock)
        self._sender = sender or Sender(bounds_of(database.settings))
        self._clock = clock
        self._chance = chance
        self._purged_at: datetime | None = None
        self.error: str | None = None
        """Why the last round failed; None when it went through."""

    # The threads -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, unless the settings leave deliveries to other servers."""
        if self._settings.webhook_threads:
            super().start()

    def _run(self) -> None:
        under_way: dict[UUID, Future[None]] = {}
        with ThreadPoolExecutor(self._settings.webhook_threads, thread_name_prefix="opscore-webhook") as threads:
            while not self._stopping:
                self._hint.clear()
                try:
                    for webhook_id, done in list(under_way.items()):
                        if done.done():
                            del under_way[webhook_id]
                            done.result()
                    for webhook_id in self.due():
                        if webhook_id not in under_way:
                            under_way[webhook_id] = threads.submit(self.deliver, webhook_id)
                            # A thread that is free again looks at once whether there is more.
                            under_way[webhook_id].add_done_callback(lambda _: self._hint.set())
                    self._purge()
                    self.error = None
                except Exception as error:
                    # A lost connection, an event of a newer program: nothing is skipped, it comes again.
                    self.error = type(error).__name__
                    logger.warning("webhooks.failed", exc_info=True)
                    self._hint.clear()
                self._hint.wait(POLL_SECONDS)

    def _purge(self) -> None:
        now = self._clock()
        if self._purged_at is None or (now - self._purged_at).total_seconds() > PURGE_SECONDS:
            self._purged_at = now
            with self._database.pool.connection() as connection:
                for statement in ("purge", "purge_secrets"):
                    connection.execute(SQL[statement], {"now": now, "days": self._settings.keep_commands_days})

    # The work ----------------------------------------------------------------------------------------------------

    def due(self) -> list[UUID]:
        """Return the webhooks that something may be delivered to now."""
        with self._database.pool.connection() as connection:
            return [row[0] for row in connection.execute(SQL["due"], {"now": self._clock()})]

    def run_until_idle(self) -> None:
        """Deliver on this thread until nothing is due."""
        while webhooks := self.due():
            for webhook_id in webhooks:
                self.deliver(webhook_id)

    def deliver(self, webhook_id: UUID) -> None:
        """Deliver what is due to a webhook; returns soon when another process is at it.

        Raises UnknownEventType, and psycopg.Error; what was not noted as taken comes again.
        """
        with self._database.connect(autocommit=True) as connection:
            for _ in range(EVENTS_AT_ONCE):
                if self._stopping:
                    return
                with connection.transaction():
                    if not self._step(connection, webhook_id):
                        return

    def _step(self, connection: Connection, webhook_id: UUID) -> bool:
        """Deliver one event, or look through one window of the log; return whether more may be due."""
        row = connection.execute(SQL["take"], {"id": webhook_id}).fetchone()
        if row is None:
            return False
        url, types, store_ids, with_imports, position, attempts, dead_in_row, due_at = row
        now = self._clock()
        dead = connection.execute(SQL["next_dead"], {"id": webhook_id, "now": now}).fetchone()
        if dead is not None:
            event = self._event(connection, "event_at", position=dead[0])
            assert event is not None
            sent = self._send(connection, webhook_id, url, event, dead[1] + 1)
            statement = "raised" if sent.error is None else "still_dead"
            connection.execute(SQL[statement], {"id": webhook_id, "position": dead[0], "error": sent.error})
            return True
        head = cast("tuple[int]", connection.execute(SQL["head"]).fetchone())[0]
        if due_at > now or position >= head:
            return False
        until = min(head, position + WINDOW_POSITIONS)
        event = self._event(
            connection,
            "next_event",
            after=position,
            until=until,
            types=types,
            store_ids=store_ids,
            with_imports=with_imports,
        )
        if event is None:
            connection.execute(SQL["move"], {"id": webhook_id, "position": until})
            return True
        sent = self._send(connection, webhook_id, url, event, attempts + 1)
        return self._note(connection, webhook_id, event.position, attempts + 1, dead_in_row, sent)

    def _event(self, connection: Connection, statement: str, **asked: Any) -> LoggedEvent | None:
        with connection.cursor(row_factory=class_row(LoggedEvent)) as cursor:
            return cursor.execute(SQL[statement], asked).fetchone()

    def _send(self, connection: Connection, webhook_id: UUID, url: str, event: LoggedEvent, attempt: int) -> Sent:
        now = self._clock()
        body = body_of(event)
        headers = signed_headers(
            self._book.signing(connection, webhook_id, now), message_id(webhook_id, event.position), now, body
        )
        sent = self._sender.post(url, headers, body)
        if sent.error is not None:
            logger.info(
                "webhooks.not_taken",
                extra={"webhook": str(webhook_id), "position": event.position, "try": attempt, "status": sent.status},
            )
        return sent

    def _note(
        self, connection: Connection, webhook_id: UUID, position: int, attempts: int, dead_in_row: int, sent: Sent
    ) -> bool:
        now = self._clock()
        noted: dict[str, Any] = {"id": webhook_id, "position": position, "now": now, "error": sent.error}
        noted["attempts"] = attempts
        if sent.error is None:
            connection.execute(SQL["delivered"], noted)
            return True
        if sent.gone:
            connection.execute(SQL["failed"], {**noted, "due_at": now})
            connection.execute(SQL["disable"], {**noted, "reason": "the receiver answered 410 Gone: it wants no more"})
            return False
        if attempts < self._settings.webhook_tries:
            wait = max(wait_seconds(attempts, self._chance()), min(sent.retry_after_seconds or 0, LONGEST_WAIT_SECONDS))
            connection.execute(SQL["failed"], {**noted, "due_at": now + timedelta(seconds=wait)})
            return False
        connection.execute(SQL["bury"], noted)
        connection.execute(SQL["passed_over"], noted)
        logger.warning("webhooks.dead_letter", extra={"webhook": str(webhook_id), "position": position})
        if dead_in_row + 1 < DEAD_IN_ROW_MAX:
            return True
        reason = f"{DEAD_IN_ROW_MAX} events in a row were not taken; the last: {sent.error}"
        connection.execute(SQL["disable"], {**noted, "reason": reason})
        return False

    # For those who watch -----------------------------------------------------------------------------------------

    def counts(self) -> Counts:
        """Return how many webhooks are in which state, and how they get on."""
        with self._database.pool.connection() as connection, connection.cursor(row_factory=class_row(Counts)) as cursor:
            return cast(Counts, cursor.execute(SQL["counts"]).fetchone())

    def summary(self) -> str | None:
        """Return how deliveries get on, in one line; None where nobody has registered a webhook."""
        found = self.counts()
        if not found.active + found.paused + found.disabled:
            return None
        line = (
            f"{found.active} active, {found.paused} paused, {found.disabled} disabled, {found.dead_letters} dead"
            f" letters, the slowest is {found.behind} events behind"
        )
        return line if self.error is None else f"{line}; the last round failed: {self.error}"

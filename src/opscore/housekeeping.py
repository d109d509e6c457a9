"""Throws away what is only kept for a while: remembered idempotency keys and snapshots that newer ones replace.

Nothing here is history; whatever is deleted can be made again from the log or has outlived its promise.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

import psycopg

from opscore.comparisons import SQL as ASKED
from opscore.database import Database
from opscore.log.snapshots import fold_digest
from opscore.projector import ProjectionRefused, Projector
from opscore.retries import SQL as RETRIES
from opscore.settings import Settings
from opscore.sqlfiles import load

SQL = load(__file__, "housekeeping.sql")

ROUND_SECONDS = 3600.0
COMMANDS_AT_ONCE = 5_000

logger = logging.getLogger(__name__)


class Housekeeping:
    """A thread that cleans up once an hour; any number of processes may run one."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, with a first round now."""
        self._thread = threading.Thread(target=self._run, name="opscore-housekeeping", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; returns when it has ended."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.run_once()
                self.drop_versions()
            except (psycopg.Error, ProjectionRefused):
                # The next round finds the same rows again.
                logger.warning("housekeeping.failed", exc_info=True)
            self._stopping.wait(ROUND_SECONDS)

    def drop_versions(self) -> int:
        """Drop versions of read models that were replaced long enough ago (setting); return how many."""
        days = self._settings.keep_versions_days
        if days is None:
            return 0
        dropped = Projector(self._database).drop_superseded(days=days, now=datetime.now(UTC))
        for entry in dropped:
            logger.info("housekeeping.dropped", extra={"projection": entry.name, "version": entry.version})
        return len(dropped)

    def run_once(self) -> tuple[int, int]:
        """Clean up; return how many (commands, snapshots) were deleted."""
        commands = 0
        with self._database.pool.connection() as connection:
            while not self._stopping.is_set():
                forgotten = connection.execute(
                    SQL["forget_commands"], {"days": self._settings.keep_commands_days, "limit": COMMANDS_AT_ONCE}
                ).rowcount
                commands += forgotten
                if forgotten < COMMANDS_AT_ONCE:
                    break
            for each in (ASKED, RETRIES):
                connection.execute(each["forget"], {"days": self._settings.keep_commands_days})
            snapshots = connection.execute(SQL["drop_snapshots"], {"fold_digest": fold_digest()}).rowcount
        return commands, snapshots

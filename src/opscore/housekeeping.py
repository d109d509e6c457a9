"""Throws away what is only kept for a while: remembered idempotency keys and snapshots that newer ones replace.

Nothing here is history; whatever is deleted can be made again from the log or has outlived its promise.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import psycopg

from opscore.background import Background
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


class Housekeeping(Background):
    """A thread that cleans up once an hour; any number of processes may run one."""

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__("opscore-housekeeping")
        self._database = database
        self._settings = settings

    def _run(self) -> None:
        while not self._stopping:
            try:
                self.run_once()
                self.drop_versions()
            except (psycopg.Error, ProjectionRefused):
                # The next round finds the same rows again.
                logger.warning("housekeeping.failed", exc_info=True)
            self._hint.wait(ROUND_SECONDS)

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
            while not self._stopping:
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

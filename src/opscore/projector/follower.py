"""A thread that brings the projections up to date after every commit of this process, and twice a second anyway."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import psycopg

from opscore.background import Background
from opscore.projector.catalogue import Connection
from opscore.projector.projector import Projector

POLL_SECONDS = 0.5
GATHER_SECONDS = 0.02
"""Waits this long after a commit before a round: each round costs some statements, however few events it finds."""
BUSY_SECONDS = 0.005
"""How soon to look again at a version that another process was working on."""
LOST_SECONDS = 1.0

log = logging.getLogger("opscore.follower")


@dataclass
class FollowerStatistics:
    """Counters since the start."""

    windows: int = 0
    """Rounds that took events in."""
    events: int = 0
    """Events that were taken in, once for each version that follows."""
    seconds: float = 0.0
    """How long these rounds took."""
    failed_rounds: int = 0
    """Rounds that an error ended, a lost connection say; a version that a failure stops is marked and no such error."""


class Follower(Background):
    """Follows the log for all projections of one process. Several processes may each have one: they share the work."""

    def __init__(self, projector: Projector) -> None:
        super().__init__("opscore-follower")
        self._projector = projector
        self.statistics = FollowerStatistics()
        self.last_round_at: float | None = None
        """When the last round ended without an error (`time.monotonic`), for health checks."""

    def _run(self) -> None:
        connection: Connection | None = None
        while not self._stopping:
            try:
                if connection is None or connection.closed:
                    connection = self._projector.connect()
                self._hint.clear()
                begun = time.monotonic()
                step = self._projector.follow_once(connection)
                self.last_round_at = time.monotonic()
                if step.moved:
                    self.statistics.windows += 1
                    self.statistics.events += step.moved
                    self.statistics.seconds += self.last_round_at - begun
                if not step.more:
                    hinted = self._hint.wait(BUSY_SECONDS if step.busy else POLL_SECONDS)
                    if hinted and not self._stopping:
                        time.sleep(GATHER_SECONDS)
            except Exception as error:
                # Whatever it was (a lost connection, a deadlock, a full disk), the log is still there: try again.
                self.statistics.failed_rounds += 1
                lost = isinstance(error, psycopg.OperationalError)
                log.log(logging.WARNING if lost else logging.ERROR, "following stopped for now: %s", error)
                if connection is not None:
                    connection.close()
                    connection = None
                time.sleep(LOST_SECONDS if not self._stopping else 0)
        if connection is not None:
            connection.close()

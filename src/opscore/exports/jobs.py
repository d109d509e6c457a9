"""Exports as jobs: asked for, carried out by one server, fetched for some days, forgotten.

A server that works on a job holds the job's row (SKIP LOCKED, as the follow-ups do) until its file is whole; what it
says of its progress, and what others say to it, stands in another row. So when it is killed the job is free again, and
is begun afresh, from a new snapshot: nothing half-written is ever fetched.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from opscore.background import Background
from opscore.database import Database
from opscore.domain.command import READ, Actor, Role
from opscore.domain.refusals import IdempotencyKeyReused, InvalidField, NotAuthorised, NotFound, Refusal
from opscore.domain.values import derived_id
from opscore.exports.datasets import ABOUT, STATEMENTS as SQL, Dataset, Wanted, require_there
from opscore.exports.files import ExportStopped, write
from opscore.exports.formats import Format, require
from opscore.permissions import may_ask
from opscore.projector import ProjectionRefused, Projector
from opscore.retries import Attempt

WAITING_MAX = 20
"""Exports that one holder may have waiting."""
BEGUN_MAX = 3
"""How often a job is begun before it is given up: something ends the server each time."""
POLL_SECONDS = 1.0
TIDY_SECONDS = 3600.0
TELL_SECONDS = 0.5
"""How often the progress of a job is written down."""

_OURS = re.compile(r"\.?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(csv|jsonl|parquet)(\..*)?")
"""Names of files of exports, whole and half-written; whatever else lies in their folder is somebody else's."""

logger = logging.getLogger(__name__)


class TooManyExports(Refusal):
    """You have {most} exports waiting already; wait for them or cancel some."""


@dataclass(frozen=True, slots=True)
class Job:
    """An export that somebody asked for. manifest: of the file, once it is there."""

    id: UUID
    dataset: str
    format: str
    store_ids: list[UUID] | None
    asked_from: datetime | None
    asked_before: datetime | None
    compare_id: UUID | None
    requested_by: str
    role: str
    requested_at: datetime
    state: str
    reason: str | None
    ended_at: datetime | None
    manifest: dict[str, Any] | None
    attempts: int
    rows_done: int
    percent: int | None

    @property
    def progress(self) -> str:
        """Return the state, `running` once somebody has begun with it."""
        return "running" if self.state == "waiting" and self.attempts else self.state

    @property
    def file_name(self) -> str:
        """The name that people are shown."""
        position = (self.manifest or {}).get("position", 0)
        return f"{self.dataset}-{position}.{self.format}"


def file_of(folder: Path, job_id: UUID, format_: str) -> Path:
    """Return where the file of a job lies."""
    return folder / f"{job_id}.{format_}"


class ExportBook:
    """Asks for exports and says how they are. Methods block; each is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(
        self,
        actor: Actor,
        key: str,
        dataset: Dataset,
        format_: Format,
        *,
        store_ids: Sequence[UUID] | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        compare_id: UUID | None = None,
    ) -> tuple[Job, bool]:
        """Ask for a file; return the job and whether this key had asked for it before.

        store_ids: stores of the actor, None for all of them. since, before: a period in UTC, end exclusive: when
        orders were placed, when anything else happened. compare_id: of the rows that differed, those of one comparison.
        Refuses: NotAuthorised, NotFound (a store that is not there or not the actor's, a comparison that was not made),
        InvalidField, FormatNotInstalled, TooManyExports, IdempotencyKeyReused.
        """
        job_id = derived_id("export", actor.id, key)
        asked: list[Any] = [dataset, format_, store_ids and sorted(store_ids), since, before]
        if compare_id is not None:
            asked.append(compare_id)
        digest = hashlib.sha256(orjson.dumps(asked)).digest()
        bound = actor.stores if store_ids is None else store_ids
        with self._transaction() as connection:
            known = connection.execute(SQL["request"], {"id": job_id}).fetchone()
            if known is None:
                self._require_allowed(actor, dataset, store_ids, since, before)
                if compare_id is not None and dataset is not Dataset.COMPARES:
                    raise InvalidField(why=f"{dataset} are of no comparison", path=("compare_id",))
                require_there(connection, store_ids, compare_id)
                require(format_)
                waiting = connection.execute(SQL["waiting"], {"actor": actor.id}).fetchone()
                if waiting is not None and waiting[0] >= WAITING_MAX:
                    raise TooManyExports(most=WAITING_MAX)
                row = {
                    "id": job_id,
                    "dataset": dataset.value,
                    "format": format_.value,
                    "store_ids": None if bound is None else sorted(set(bound)),
                    "since": since,
                    "before": before,
                    "compare_id": compare_id,
                    "actor": actor.id,
                    "role": actor.role.value,
                    "request_hash": digest,
                }
                if connection.execute(SQL["add"], row).rowcount == 1:
                    connection.execute(SQL["add_progress"], {"id": job_id})
                else:
                    known = connection.execute(SQL["request"], {"id": job_id}).fetchone()
            if known is not None and bytes(known[0]) != digest:
                raise IdempotencyKeyReused
            return self._one(connection, actor, job_id), known is not None

    def _require_allowed(
        self,
        actor: Actor,
        dataset: Dataset,
        store_ids: Sequence[UUID] | None,
        since: datetime | None,
        before: datetime | None,
    ) -> None:
        about = ABOUT[dataset]
        if not may_ask(actor.role, about.question):
            raise NotAuthorised(why=f"{actor.role} may not ask for {about.question}", path=("dataset",))
        if not actor.covers(READ, about.question):
            raise NotAuthorised(why=f"your token was not given for {about.question}", path=("dataset",))
        if about.all_stores and (actor.stores is not None or store_ids is not None):
            raise NotAuthorised(why=f"{dataset} are of all stores together", path=("dataset",))
        if store_ids is not None and not store_ids:
            raise InvalidField(why="name at least one store, or leave it out for all", path=("store_ids",))
        for index, store_id in enumerate(store_ids or ()):
            if not actor.may_act_for(store_id):
                raise NotFound(what="store", path=("store_ids", index), ids=[store_id])
        if not about.period and (since is not None or before is not None):
            raise InvalidField(why=f"{dataset} cannot be narrowed to a period", path=("since",))
        if since is not None and before is not None and since >= before:
            raise InvalidField(why="the period ends before it begins", path=("before",))

    def cancel(self, actor: Actor, job_id: UUID, key: str | None = None) -> tuple[Job, bool]:
        """End a job that is not done, at once or within moments; one that is done stays.

        Return the job and whether this key had been answered with it before. Refuses: NotFound, IdempotencyKeyReused.
        """
        with self._transaction() as connection:

            def work() -> Job:
                self._one(connection, actor, job_id)
                connection.execute(SQL["ask_to_cancel"], {"id": job_id})
                connection.execute(SQL["cancel_waiting"], {"id": job_id})
                return self._one(connection, actor, job_id)

            return Attempt(actor, key, ("cancelExport", job_id)).once(connection, Job, work)

    def one(self, actor: Actor, job_id: UUID) -> Job | None:
        """Return a job that this holder asked for, in this role, within the stores it still has."""
        with self._transaction() as connection:
            return next(iter(self._select(connection, actor, job_id=job_id)), None)

    def listed(self, actor: Actor, *, limit: int, before: tuple[str, str] | None = None) -> list[Job]:
        """Return the holder's jobs, latest first, before (requested_at, id)."""
        with self._transaction() as connection:
            return self._select(connection, actor, limit=limit, before=before)

    def count(self, actor: Actor) -> int:
        """Return how many jobs `listed` has in all."""
        with self._transaction() as connection:
            [(count,)] = connection.execute(SQL["count_jobs"], _holder(actor)).fetchall()
            return int(count)

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[Any]]:
        with self._database.pool.connection() as connection, connection.transaction():
            yield connection

    def _select(
        self,
        connection: psycopg.Connection[Any],
        actor: Actor,
        *,
        job_id: UUID | None = None,
        limit: int = 1,
        before: tuple[str, str] | None = None,
    ) -> list[Job]:
        asked = _holder(actor) | {
            "id": job_id,
            "before_at": None if before is None else before[0],
            "before_id": None if before is None else before[1],
            "limit": limit,
        }
        with connection.cursor(row_factory=class_row(Job)) as cursor:
            return cursor.execute(SQL["jobs"], asked).fetchall()

    def _one(self, connection: psycopg.Connection[Any], actor: Actor, job_id: UUID) -> Job:
        found = self._select(connection, actor, job_id=job_id)
        if not found:
            raise NotFound(what="export", path=("export_id",), ids=[job_id])
        return found[0]


class Exports(Background):
    """Carries exports out, one at a time; any number of processes may each run one."""

    def __init__(self, database: Database, projector: Projector) -> None:
        super().__init__("opscore-exports")
        self._database = database
        self._projector = projector
        self._folder = database.settings.exports_folder
        self._tidied_at: float | None = None

    # The thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            self._hint.clear()
            try:
                while not self._stopping and self.run_once():
                    pass
                if self._tidied_at is None or time.monotonic() - self._tidied_at > TIDY_SECONDS:
                    self._tidied_at = time.monotonic()
                    self.tidy()
            except Exception:
                # A lost connection, a full disk: the job stays where it was and is begun again.
                logger.warning("exports.failed", exc_info=True)
            self._hint.wait(POLL_SECONDS)

    # The work ----------------------------------------------------------------------------------------------------

    def run_once(self) -> bool:
        """Carry out the job that has waited longest; return whether there was one."""
        with self._database.connect(autocommit=True) as holding, holding.transaction():
            row = holding.execute(SQL["take"]).fetchone()
            if row is None:
                return False
            job_id, dataset, format_, store_ids, since, before, compare_id, role = row
            begun, cancelled = self._note("begin", job_id)
            if cancelled:
                self._end(holding, job_id, "cancelled", "cancelled before it was begun")
                return True
            if begun > BEGUN_MAX:
                self._end(holding, job_id, "failed", f"it was begun {BEGUN_MAX} times and never ended; see the log")
                return True
            wanted = Wanted(Dataset(dataset), store_ids, since, before, compare_id)
            told = _Telling(self, job_id)
            try:
                manifest = write(
                    self._database,
                    self._projector,
                    wanted,
                    Format(format_),
                    Role(role),
                    file_of(self._folder, job_id, format_),
                    progress=told,
                    stop=lambda: told.cancelled or self._stopping,
                )
            except ExportStopped:
                if told.cancelled:
                    self._end(holding, job_id, "cancelled", "cancelled while it was written")
                else:
                    self._note("put_back", job_id)
                return told.cancelled
            except (Refusal, ProjectionRefused) as refused:
                self._end(holding, job_id, "failed", str(refused))
            except psycopg.OperationalError:
                raise
            except OSError as error:
                if begun < BEGUN_MAX:
                    raise
                logger.warning("exports.failed", exc_info=True)
                # Only what the system says: the path is nothing to whoever asked.
                reason = f"the server could not write the file ({error.strerror or type(error).__name__}); see the log"
                self._end(holding, job_id, "failed", reason)
            except Exception as error:
                logger.exception("exports.job_failed", extra={"job": str(job_id)})
                reason = f"something went wrong on our side ({type(error).__name__}); see the log"
                self._end(holding, job_id, "failed", reason)
            else:
                self._note("note", job_id, rows=manifest.rows, percent=100)
                holding.execute(SQL["done"], {"id": job_id, "manifest": Jsonb(manifest.facts())})
            return True

    def _end(self, holding: psycopg.Connection[Any], job_id: UUID, state: str, reason: str) -> None:
        holding.execute(SQL["ended"], {"id": job_id, "state": state, "reason": reason})

    def _note(self, statement: str, job_id: UUID, **values: Any) -> Any:
        """Write progress down, to be seen at once, beside the transaction that holds the job; return its answer."""
        with self._database.pool.connection() as connection:
            return connection.execute(SQL[statement], {"id": job_id, **values}).fetchone()

    def tidy(self) -> int:
        """Forget jobs whose days are over and delete what is left of files; return how many files went."""
        days = self._database.settings.keep_exports_days
        with self._database.pool.connection() as connection:
            connection.execute(SQL["forget"], {"days": days}).fetchall()
        gone = 0
        # By their age, so that each server clears its own folder, whichever of them forgot the job.
        oldest = time.time() - days * 86_400
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            if _OURS.fullmatch(path.name) and path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
                gone += 1
        return gone


def _holder(actor: Actor) -> dict[str, Any]:
    return {
        "actor": actor.id,
        "role": actor.role.value,
        "store_ids": None if actor.stores is None else sorted(actor.stores),
    }


class _Telling:
    """Writes progress down now and then, and hears whether the job is cancelled."""

    def __init__(self, exports: Exports, job_id: UUID) -> None:
        self._exports = exports
        self._job_id = job_id
        self._told_at = 0.0
        self.cancelled = False

    def __call__(self, rows: int, percent: int | None) -> None:
        if time.monotonic() - self._told_at >= TELL_SECONDS:
            told = self._exports._note("note", self._job_id, rows=rows, percent=percent)
            self.cancelled = bool(cast("tuple[bool]", told)[0])
            self._told_at = time.monotonic()

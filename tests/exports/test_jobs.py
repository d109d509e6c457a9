"""Exports as jobs: one server each, cancelled, killed and begun afresh, fetched for some days and then forgotten."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from opscore.database import Database
from opscore.domain.command import Actor, Role
from opscore.domain.refusals import IdempotencyKeyReused, InvalidField, NotAuthorised, NotFound
from opscore.exports import datasets, jobs
from opscore.exports.datasets import Dataset
from opscore.exports.formats import Format
from opscore.exports.jobs import BEGUN_MAX, WAITING_MAX, ExportBook, Exports, Job, TooManyExports, file_of
from opscore.settings import Settings
from tests.end_to_end.servers import serving, wait_until
from tests.exports.conftest import Trade
from tests.shop import OWNER

_MOMENT = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def book(database: Database) -> ExportBook:
    return ExportBook(database)


@pytest.fixture
def exports(trade: Trade) -> Exports:
    return Exports(trade.database, trade.projector)


def start(book: ExportBook, dataset: Dataset = Dataset.ORDERS, actor: Actor = OWNER, **more: Any) -> Job:
    return book.start(actor, str(uuid4()), dataset, more.pop("format_", Format.CSV), **more)[0]


def now(book: ExportBook, job: Job, actor: Actor = OWNER) -> Job:
    found = book.one(actor, job.id)
    assert found is not None
    return found


def path_of(database: Database, job: Job) -> Path:
    return file_of(database.settings.exports_folder, job.id, job.format)


def test_a_job_is_carried_out_and_says_what_it_wrote(book: ExportBook, exports: Exports, trade: Trade) -> None:
    job = start(book)
    assert (job.progress, job.manifest) == ("waiting", None)
    assert exports.run_once()
    assert not exports.run_once()
    done = now(book, job)
    assert (done.progress, done.rows_done, done.percent, done.attempts) == ("done", 5, 100, 1)
    assert done.manifest is not None and done.ended_at is not None
    content = path_of(trade.database, done).read_bytes()
    assert hashlib.sha256(content).hexdigest() == done.manifest["sha256"]
    assert done.file_name == f"orders-{done.manifest['position']}.csv"


def test_a_repeated_request_is_the_same_job(book: ExportBook, trade: Trade) -> None:
    first, new = book.start(OWNER, "k", Dataset.ORDERS, Format.CSV)
    again, replayed = book.start(OWNER, "k", Dataset.ORDERS, Format.CSV)
    assert (again.id, new, replayed) == (first.id, False, True)
    with pytest.raises(IdempotencyKeyReused):
        book.start(OWNER, "k", Dataset.ORDERS, Format.JSONL)
    other = Actor(id="other", role=Role.OWNER)
    assert book.start(other, "k", Dataset.ORDERS, Format.CSV)[0].id != first.id


def test_what_a_holder_may_not_have_is_refused(book: ExportBook, trade: Trade) -> None:
    store, theirs = trade.shop.store_id, trade.other.store_id
    bound = Actor(id="manager", role=Role.MANAGER, stores=frozenset({store}))
    with pytest.raises(NotAuthorised):
        start(book, Dataset.EVENTS, bound)
    with pytest.raises(NotAuthorised):
        start(book, Dataset.COMPARES, bound)
    with pytest.raises(NotFound):
        start(book, Dataset.ORDERS, bound, store_ids=[store, theirs])
    everywhere = Actor(id="owner", role=Role.OWNER)
    with pytest.raises(NotFound):
        start(book, Dataset.ORDERS, everywhere, store_ids=[store, UUID(int=5)])
    with pytest.raises(NotFound):
        start(book, Dataset.COMPARES, everywhere, compare_id=UUID(int=5))
    with pytest.raises(InvalidField):
        start(book, Dataset.ORDERS, bound, store_ids=[])
    with pytest.raises(InvalidField):
        start(book, Dataset.KPI_DAILY, bound, since=_MOMENT)
    with pytest.raises(InvalidField):
        start(book, Dataset.ORDERS, bound, since=_MOMENT, before=_MOMENT)
    assert start(book, Dataset.ORDERS, bound).store_ids == [store], "bound to what the holder may see"
    for _ in range(WAITING_MAX - 1):
        start(book, Dataset.ORDERS, bound)
    with pytest.raises(TooManyExports):
        start(book, Dataset.ORDERS, bound)


def test_a_job_is_seen_by_its_holder_while_it_has_the_role_and_the_stores(book: ExportBook, trade: Trade) -> None:
    store = trade.shop.store_id
    holder = Actor(id="m", role=Role.MANAGER, stores=frozenset({store}))
    job = start(book, actor=holder)
    assert now(book, job, holder).id == job.id
    assert [each.id for each in book.listed(holder, limit=10)] == [job.id]
    others = [
        Actor(id="m", role=Role.MANAGER, stores=frozenset({trade.other.store_id})),
        Actor(id="m", role=Role.WAREHOUSE, stores=frozenset({store})),
        Actor(id="n", role=Role.MANAGER, stores=frozenset({store})),
        Actor(id="owner", role=Role.OWNER),
    ]
    for other in others:
        assert book.one(other, job.id) is None, other
        assert book.listed(other, limit=10) == []
        with pytest.raises(NotFound):
            book.cancel(other, job.id)
    whole = start(book, actor=Actor(id="m", role=Role.MANAGER))
    assert book.one(holder, whole.id) is None, "a file of all stores is not for a token that has one"


# Cancelling ----------------------------------------------------------------------------------------------------------


def test_a_job_that_nobody_began_is_cancelled_at_once(book: ExportBook, exports: Exports, trade: Trade) -> None:
    job = start(book)
    assert book.cancel(OWNER, job.id)[0].progress == "cancelled"
    assert not exports.run_once()
    assert not path_of(trade.database, job).exists()


def test_a_job_under_way_is_cancelled_within_moments(
    book: ExportBook, exports: Exports, trade: Trade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "FETCH_ROWS", 1)
    monkeypatch.setattr(jobs, "TELL_SECONDS", 0.0)
    job = start(book)
    note = exports._note
    seen = []

    def cancelling(statement: str, job_id: UUID, **values: Any) -> Any:
        if statement == "note" and values["rows"] == 2:
            seen.append(now(book, job).progress)
            assert book.cancel(OWNER, job_id)[0].progress == "running", "whoever is at it ends it"
        return note(statement, job_id, **values)

    monkeypatch.setattr(exports, "_note", cancelling)
    assert exports.run_once()
    ended = now(book, job)
    assert (ended.progress, ended.rows_done, seen) == ("cancelled", 2, ["running"])
    assert not list(path_of(trade.database, job).parent.iterdir())


def test_a_file_that_is_there_stays(book: ExportBook, exports: Exports, trade: Trade) -> None:
    job = start(book)
    exports.run_once()
    assert book.cancel(OWNER, job.id)[0].progress == "done"
    assert path_of(trade.database, job).exists()


def test_a_cancellation_that_is_sent_again_is_answered_as_it_was(book: ExportBook, trade: Trade) -> None:
    job, other = start(book), start(book)
    first = book.cancel(OWNER, job.id, "cancel once")
    again = book.cancel(OWNER, job.id, "cancel once")
    with pytest.raises(IdempotencyKeyReused):
        book.cancel(OWNER, other.id, "cancel once")

    assert (first[1], again[1]) == (False, True) and first[0] == again[0] and first[0].progress == "cancelled"
    assert now(book, other).progress == "waiting"


# Failing, killed, two at once ----------------------------------------------------------------------------------------


def test_a_job_that_cannot_be_done_says_why(book: ExportBook, exports: Exports, trade: Trade) -> None:
    job = start(book)
    with trade.database.connect() as connection:
        connection.execute("UPDATE projection_catalogue SET status = 'ready' WHERE name = 'order_book'")
    exports.run_once()
    failed = now(book, job)
    assert failed.progress == "failed" and "opscore projections rebuild order_book" in str(failed.reason)


def test_a_job_whose_file_cannot_be_written_says_why_after_its_last_try(
    book: ExportBook, exports: Exports, trade: Trade
) -> None:
    job = start(book)
    trade.database.settings.exports_folder.parent.mkdir(parents=True, exist_ok=True)
    trade.database.settings.exports_folder.touch()  # A file where the folder should be.
    for _ in range(BEGUN_MAX - 1):
        with pytest.raises(OSError):
            exports.run_once()
        assert now(book, job).progress == "running"
    assert exports.run_once()
    failed = now(book, job)
    assert failed.progress == "failed"
    assert "could not write the file (File exists)" in str(failed.reason) or "Not a directory" in str(failed.reason)


def test_a_fault_of_ours_ends_the_job_and_names_no_secret(
    book: ExportBook, exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start(book)

    def fault(*_: Any, **__: Any) -> Any:
        raise RuntimeError("secret 4711")

    monkeypatch.setattr(jobs, "write", fault)
    exports.run_once()
    failed = now(book, job)
    assert failed.progress == "failed"
    assert failed.reason == "something went wrong on our side (RuntimeError); see the log"


def test_a_job_that_ends_its_server_each_time_is_given_up(
    book: ExportBook, exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start(book)

    def lost(*_: Any, **__: Any) -> Any:
        raise psycopg.OperationalError("server closed the connection")

    monkeypatch.setattr(jobs, "write", lost)
    for _ in range(BEGUN_MAX):
        with pytest.raises(psycopg.OperationalError, match="server closed"):
            exports.run_once()
        assert now(book, job).progress == "running"
    exports.run_once()
    assert now(book, job).progress == "failed"


def test_a_server_that_is_told_to_stop_leaves_the_job_to_the_next(
    book: ExportBook, exports: Exports, trade: Trade, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start(book)
    for _ in range(2 * BEGUN_MAX):
        stopping = Exports(trade.database, trade.projector)
        stopping._stopping = True
        assert not stopping.run_once()
    assert now(book, job).progress == "waiting"
    exports.run_once()
    assert now(book, job).progress == "done"


def test_of_two_servers_one_does_a_job_and_the_other_the_next(
    book: ExportBook, exports: Exports, trade: Trade, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = start(book), start(book)
    begun, go_on = threading.Event(), threading.Event()
    note = exports._note

    def slowly(statement: str, job_id: UUID, **values: Any) -> Any:
        if statement == "note":
            begun.set()
            assert go_on.wait(30)
        return note(statement, job_id, **values)

    monkeypatch.setattr(exports, "_note", slowly)
    thread = threading.Thread(target=exports.run_once, daemon=True)
    thread.start()
    assert begun.wait(30)
    other = Exports(trade.database, trade.projector)
    assert other.run_once()
    assert not other.run_once(), "the first job is in other hands"
    assert (now(book, first).progress, now(book, second).progress) == ("running", "done")
    go_on.set()
    thread.join(30)
    assert now(book, first).progress == "done"


def test_a_killed_server_leaves_no_half_file_and_the_next_one_begins_afresh(
    book: ExportBook, trade: Trade, settings: Settings, tmp_path: Path
) -> None:
    many = 60_000
    with trade.database.connect() as connection:
        connection.execute(
            f"INSERT INTO {trade.table('order_book', 'order_book')} (order_id, store_id, currency, placed_at,"
            " total_minor, cancelled_goods_minor, cancelled_freight_minor, paid_minor, refunded_minor, expired,"
            " position, changed_at)"
            " SELECT gen_random_uuid(), %s, 'GBP', now(), n, 0, 0, 0, 0, false, 1, now()"
            " FROM generate_series(1, %s) AS n",
            (trade.shop.store_id, many),
        )
    with serving(settings, tmp_path / "server") as (server,):
        server.wait_ready()
        job = start(book)
        wait_until(lambda: now(book, job).rows_done > 0, "the job under way", pause=0.005)
        server.kill()
        killed = now(book, job)
        assert killed.progress == "running" and killed.rows_done < many
        folder = tmp_path / "server" / "exports" / settings.schema_name
        assert [path for path in folder.iterdir() if not path.name.endswith(".part")] == []

        server.start()
        wait_until(lambda: now(book, job).progress == "done", "the job done", seconds_max=90)
        done = now(book, job)
        assert done.attempts == 2 and done.manifest is not None
        content = file_of(folder, job.id, "csv").read_bytes()
    assert done.manifest["rows"] == many + 5 == content.count(b"\r\n") - 1
    assert hashlib.sha256(content).hexdigest() == done.manifest["sha256"]


# Tidying up ----------------------------------------------------------------------------------------------------------


def test_jobs_and_files_are_forgotten_after_their_days_and_nothing_else(
    book: ExportBook, exports: Exports, trade: Trade
) -> None:
    old, young = start(book), start(book)
    exports.run_once()
    exports.run_once()
    folder = trade.database.settings.exports_folder
    long_ago = time.time() - 8 * 86_400
    half = folder / f".{uuid4()}.csv.abc123.part"
    strangers = folder / "letters.txt"
    for path in (half, strangers):
        path.write_text("x")
    for path in (path_of(trade.database, old), half, strangers):
        os.utime(path, (long_ago, long_ago))
    with trade.database.connect() as connection:
        connection.execute("UPDATE export_jobs SET ended_at = now() - interval '8 days' WHERE id = %s", (old.id,))

    assert exports.tidy() == 2
    assert book.one(OWNER, old.id) is None and book.one(OWNER, young.id) is not None
    assert {path.name for path in folder.iterdir()} == {"letters.txt", path_of(trade.database, young).name}

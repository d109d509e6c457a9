"""Versions side by side: built beside, followed, compared, promoted and dropped, whatever breaks in between."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from opscore import resources
from opscore.database import Database
from opscore.projector import Follower, ProjectionRefused, Projector, filling, window
from opscore.projector.catalogue import LAST_STREAM, by_share, even_parts
from opscore.projector.folder import Loaded
from opscore.projector.lock import EditedWithoutVersion
from opscore.settings import Settings
from tests.benchmarks import generate
from tests.projections.logs import Log, contents
from tests.reached import wait_for

NAMES = [
    "ad_service",
    "agency",
    "campaign_results",
    "costs",
    "customer_card",
    "directory",
    "funds",
    "heroes",
    "inquiries",
    "kpi_daily",
    "kpi_facts",
    "order_book",
    "purchasing",
    "reviews",
    "stock_facts",
    "stock_ledger",
    "stock_valuation",
    "traffic",
]


def rows_of(projector: Projector, connection: psycopg.Connection[Any]) -> dict[str, dict[str, list[str]]]:
    """Return the rows of every serving version."""
    found = {}
    for name in NAMES:
        entry = projector.catalogue.serving(connection, name)
        assert entry is not None
        found[name] = contents(connection, projector.loaded(connection, entry))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the projections that a test may edit."""
    return Path(shutil.copytree(resources.path("projections"), tmp_path / "projections"))


def edit(folder: Path, name: str, file: str, old: str, new: str) -> None:
    """Replace a text in a file of a projection."""
    path = folder / name / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def count_freight(folder: Path) -> None:
    """The rule change of these tests: GMV counts freight, as version 4."""
    edit(folder, "kpi_daily", "projection.toml", "gmv_counts_freight = false", "gmv_counts_freight = true")
    edit(folder, "kpi_daily", "projection.toml", "version = 3", "version = 4")


def test_what_was_followed_live_is_what_a_rebuild_makes(
    log: Log, database: Database, projector: Projector, connection: psycopg.Connection[Any]
) -> None:
    log.fill(300)
    projector.deploy()
    for seed in range(2, 6):
        world = log.world()
        actions = generate.Actions(world)
        for number in range(80):
            actions.do(number * seed, number, number // seed, number % 60)
        log.append(world)
        projector.follow_once(connection, limit=37)
    projector.catch_up()
    live = rows_of(projector, connection)

    other = Projector(database)
    for name, definition in projector.definitions().items():
        loaded = Loaded(definition, database.schema, f"again/{name}")
        with connection.transaction():
            other.catalogue.claim(connection, loaded)
            other.make_tables(connection, loaded)
        other._fill(connection, loaded, None, None, 100_000)
        assert contents(connection, loaded) == live[name]
    assert projector.check() == []
    assert {(status.entry.status, status.lag) for status in projector.status() if "/" not in status.entry.name} == {
        ("serving", 0)
    }


REBUILD = """
import sys
from opscore.database import Database
from opscore.projector import Projector
from opscore.settings import Settings

with Database.open(Settings(_env_file=None)) as database:
    projector = Projector(database, parts=PARTS)
    projector.rebuild("stock_ledger", window=50, progress=lambda done: print(done.position, flush=True))
"""


@pytest.mark.parametrize("parts", [1, 3])
def test_a_rebuild_killed_in_the_middle_goes_on_where_it_stood(
    log: Log, settings: Settings, projector: Projector, connection: psycopg.Connection[Any], parts: int
) -> None:
    log.fill(1500)
    version = projector.definitions()["stock_ledger"].version
    assert settings.database_url is not None
    environment = {
        **os.environ,
        "PYTHONPATH": "src",
        "OPSCORE_DATABASE_URL": settings.database_url.get_secret_value(),
        "OPSCORE_SCHEMA_NAME": settings.schema_name,
    }
    with subprocess.Popen(
        [sys.executable, "-c", REBUILD.replace("PARTS", str(parts))], env=environment, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        for _ in range(8):
            assert killed.stdout.readline()
        killed.send_signal(signal.SIGKILL)
    entry = projector.catalogue.entry(connection, "stock_ledger", version)
    assert entry is not None
    assert (entry.status, entry.position < log.head()) == ("building", True)
    divided = projector.catalogue.parts(connection, "stock_ledger", version)
    stood = [position for _, position in divided] or [entry.position]
    assert len(stood) == parts
    assert sum(stood) >= 50 * 8
    seen: list[int] = []

    projector.rebuild("stock_ledger", progress=lambda done: seen.append(done.position), window=500)

    whole = Loaded(projector.definitions()["stock_ledger"], projector.schema, "whole/stock_ledger")
    projector.make_tables(connection, whole)
    with connection.transaction():
        projector.catalogue.claim(connection, whole)
        projector.catalogue.begin(connection, whole)
    projector._fill(connection, whole, None, None, 100_000)
    finished = projector.catalogue.entry(connection, "stock_ledger", version)
    assert finished is not None
    assert (finished.status, finished.position) == ("serving", log.head())
    assert seen[0] > sum(stood) // parts
    assert projector.catalogue.parts(connection, "stock_ledger", version) == []
    assert contents(connection, projector.loaded(connection, finished)) == contents(connection, whole)


def test_the_parts_of_a_rebuild_are_about_equally_heavy(
    log: Log, projector: Projector, connection: psycopg.Connection[Any]
) -> None:
    log.fill(1500)
    loaded = Loaded(projector.definitions()["stock_ledger"], projector.schema)
    with connection.transaction():
        projector.catalogue.claim(connection, loaded)
        projector.make_tables(connection, loaded)
        divided = projector.catalogue.divide(connection, loaded, 3)

    parts = [part for part, _ in divided]
    assert [part.first_stream.int for part in parts] == [0, *(part.last_stream.int + 1 for part in parts[:-1])]
    assert parts[-1].last_stream == LAST_STREAM
    # What is kept for a share of the streams (share_of in stock_valuation) is written by one part alone.
    assert len({part.first_stream.int >> 122 for part in parts}) == 3
    assert all(part.first_stream.int % (1 << 122) == 0 for part in parts)
    heavy = connection.execute(
        "SELECT stream_id, count(*) FROM events WHERE type = ANY (%s) GROUP BY 1", (list(loaded.definition.events),)
    ).fetchall()
    weights = [
        sum(count for stream_id, count in heavy if part.first_stream <= stream_id <= part.last_stream) for part in parts
    ]
    assert sum(weights) > 500
    shares = by_share(sorted(heavy))
    assert sum(weight for _, weight in shares) == sum(weights)
    assert max(weights) - min(weights) <= 2 * max(weight for _, weight in shares)


def test_parts_end_where_they_are_closest_to_their_share() -> None:
    def ends(*weights: int, of: int) -> list[int]:
        parts = even_parts([(UUID(int=number), weight) for number, weight in enumerate(weights)], of)
        assert [part.number for part in parts] == list(range(len(parts)))
        assert [part.first_stream.int for part in parts] == [0, *(part.last_stream.int + 1 for part in parts[:-1])]
        assert parts[-1].last_stream == LAST_STREAM
        return [part.last_stream.int for part in parts[:-1]]

    assert ends(1, 1, 1, 1, of=2) == [1]
    assert ends(1, 1, 1, 1, 1, 1, of=3) == [1, 3]
    assert ends(1, 1, 9, 1, of=2) == [1]
    assert ends(9, 1, 1, 1, of=2) == [0]
    assert ends(1, 1, 1, 9, of=2) == [2]
    assert ends(of=3) == ends(5, of=3) == [], "what cannot be divided is one part"
    assert ends(1, 1, of=9) == [0]


def test_indexes_are_built_side_by_side(
    log: Log, projector: Projector, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "WORTH_A_CONNECTION", 0)
    log.fill(300)
    entry = projector.rebuild("order_book")

    loaded = Loaded(projector.definitions()["order_book"], projector.schema)
    named = {loaded.names[created] for kind, created in loaded.definition.created if kind.endswith("index")}
    built = connection.execute(
        "SELECT indexname FROM pg_indexes WHERE starts_with(indexname, %s)", (loaded.prefix,)
    ).fetchall()
    assert entry.status == "serving"
    assert len(named) == 17
    assert named <= {f'"{name}"' for (name,) in built}


def test_rows_that_an_index_does_not_allow_are_named(log: Log, database: Database, folder: Path) -> None:
    now = Projector(database, folder).definitions()["order_book"].version
    plain = "CREATE INDEX order_book_time ON order_book (store_id, placed_at DESC, order_id DESC);"
    edit(folder, "order_book", "tables.sql", plain, "CREATE UNIQUE INDEX order_book_time ON order_book (store_id);")
    edit(folder, "order_book", "projection.toml", f"version = {now}", f"version = {now + 1}")
    log.fill(300)

    with pytest.raises(ProjectionRefused, match=r"order_book version \d+: could not create unique index .*store_id"):
        Projector(database, folder).rebuild("order_book")


def test_a_rebuild_has_a_log_looked_at_that_the_planner_does_not_know(
    log: Log, projector: Projector, connection: psycopg.Connection[Any]
) -> None:
    def counted(what: str) -> int:
        row = connection.execute(f"SELECT {what} FROM pg_stat_user_tables WHERE relname = 'events'").fetchone()
        assert row is not None
        return int(row[0])

    def looked() -> int:
        return counted("analyze_count")

    def write(events: int) -> None:
        head = log.fill(events)
        # Whoever wrote says so at its end, which nobody waits for.
        until = time.monotonic() + 30
        while counted("n_tup_ins") < head and time.monotonic() < until:
            time.sleep(0.01)

    write(100)
    assert looked() == 0
    projector.rebuild("traffic")
    assert looked() == 1
    write(10)
    projector.rebuild("funds")
    assert looked() == 1, "it is known well enough"
    write(300)
    projector.rebuild("reviews")
    assert looked() == 2


def test_a_rebuild_can_be_stopped_and_taken_up_again(log: Log, projector: Projector) -> None:
    log.fill(600)
    done: list[int] = []

    with pytest.raises(ProjectionRefused, match="was stopped"):
        projector.rebuild(
            "order_book", window=100, progress=lambda step: done.append(step.position), stop=lambda: len(done) >= 2
        )

    assert {line.name: line.action for line in projector.plan()}["order_book"] == "resume"
    assert projector.rebuild("order_book").position == log.head()


def test_a_poison_event_stops_one_projection_and_no_other(log: Log, projector: Projector, database: Database) -> None:
    log.fill(300)
    projector.deploy()
    world = log.world()
    order = world.place(1, [(0, 1)])
    world.pay(order)
    world.receive(1, 5, 100)
    poisoned = next(number for number, row in enumerate(world.rows) if row[4] == "OrderPaid")
    row = list(world.rows[poisoned])
    row[15] = row[15].replace('"units":"1"', '"units":"one"')
    world.rows[poisoned] = tuple(row)
    position = int(row[0])
    head = log.append(world)

    projector.catch_up()

    states = {status.entry.name: status for status in projector.status()}
    failed = states["kpi_daily"].entry
    assert (failed.state, failed.position, failed.failed_position) == ("failed", position - 1, position)
    assert failed.failed_statement == "paid"
    assert "one" in (failed.error or "")
    # The facts of key figures count the units of lines and never look at those of the payment.
    assert {entry.name for entry in projector.failures()} == {"kpi_daily", "customer_card"}
    assert states["kpi_facts"].entry.position == head
    assert (states["stock_ledger"].entry.state, states["stock_ledger"].lag) == ("serving", 0)
    assert states["order_book"].entry.position == head
    totals = projector.run_query("kpi_daily", "totals", store_ids=None)
    assert totals, "what was known before the failure still answers"


def test_a_poison_event_stops_a_rebuild_in_parts_at_its_position(
    log: Log, database: Database, connection: psycopg.Connection[Any]
) -> None:
    log.fill(400)
    world = log.world()
    world.pay(world.place(1, [(0, 1)]))
    number = next(number for number, row in enumerate(world.rows) if row[4] == "PaymentReceived")
    row = list(world.rows[number])
    row[15] = row[15].replace('"amount_minor":', '"amount_minor":"much","was":')
    world.rows[number] = tuple(row)
    log.append(world)
    log.fill(400, seed=2)
    projector = Projector(database, parts=3)

    with pytest.raises(ProjectionRefused, match=f"stopped at position {row[0]}, in orders"):
        projector.rebuild("order_book", window=60)

    entry = projector.catalogue.entry(connection, "order_book", projector.definitions()["order_book"].version)
    assert entry is not None
    assert (entry.state, entry.failed_position) == ("failed", row[0])
    with pytest.raises(ProjectionRefused, match=f"stopped at position {row[0]}"):
        projector.rebuild("order_book", window=60)


def test_an_event_of_a_newer_version_stops_what_reads_it(log: Log, projector: Projector) -> None:
    projector.deploy()
    world = log.world()
    world.receive(1, 5, 100)
    row = list(world.rows[-1])
    row[5] += 1
    world.rows[-1] = tuple(row)
    head = log.append(world)

    projector.catch_up()

    failures = projector.failures()
    assert [(entry.name, entry.failed_position) for entry in failures] == [
        ("directory", head),
        ("kpi_facts", head),
        ("purchasing", head),
        ("stock_facts", head),
        ("stock_ledger", head),
        ("stock_valuation", head),
    ]
    assert f"unknown version {row[5]}" in (failures[0].error or "")


def test_a_large_window_is_taken_in_as_a_small_one_and_stops_at_what_it_does_not_know(
    log: Log, projector: Projector, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    log.fill(600)
    definition = projector.definitions()["order_book"]
    found = []
    for small in (10**9, 0):
        monkeypatch.setattr(window, "SMALL_WINDOW", small)
        loaded = Loaded(definition, projector.schema, f"size{len(found)}/order_book")
        projector.make_tables(connection, loaded)
        with connection.transaction():
            window.take_in(connection, projector.catalogue, loaded, 0, log.head())
        found.append(contents(connection, loaded))
    assert found[0] == found[1]
    assert found[0]["order_book"]

    world = log.world()
    world.place(0, [(0, 1)])
    newer = next(number for number, row in enumerate(world.rows) if row[4] == "OrderPlaced")
    world.rows[newer] = (*world.rows[newer][:5], 99, *world.rows[newer][6:])
    with pytest.raises(window.StatementFailed, match="unknown version 99"):
        window.take_in(connection, projector.catalogue, loaded, 0, log.append(world))


def test_after_the_mend_a_stopped_projection_goes_on_where_it_stood(
    log: Log, projector: Projector, connection: psycopg.Connection[Any]
) -> None:
    projector.deploy()
    entry = projector.catalogue.serving(connection, "kpi_daily")
    assert entry is not None
    table = projector.loaded(connection, entry).table("kpi_daily_buyers")
    connection.execute(f"ALTER TABLE {table} RENAME TO broken")
    log.fill(400)
    projector.catch_up()
    assert [(failed.name, failed.failed_statement) for failed in projector.failures()] == [("kpi_daily", "buyers")]

    connection.execute(f'ALTER TABLE "{projector.schema}".broken RENAME TO {table.split(".")[1]}')
    projector.resume("kpi_daily", 3)
    projector.catch_up()

    assert projector.failures() == []
    assert projector.check() == []
    assert {status.lag for status in projector.status()} == {0}


def test_compare_names_the_rows_that_differ_and_the_events_behind(
    log: Log, projector: Projector, database: Database, folder: Path, connection: psycopg.Connection[Any]
) -> None:
    log.fill(800)
    projector.deploy()
    count_freight(folder)
    changed = Projector(database, folder)
    changed.rebuild("kpi_daily")

    result = changed.compare("kpi_daily", 3, 4, by="tester")

    freight = connection.execute(
        "SELECT position, (data->>'freight_minor')::bigint FROM events"
        " WHERE type = 'OrderPaid' AND data->>'freight_minor' <> '0' ORDER BY 1"
    ).fetchall()
    named = sorted(
        (event["position"], event["new"]["gmv_minor"] - event["old"]["gmv_minor"])
        for row in result.sample
        for event in row["events"]
    )
    assert named == freight
    columns = result.totals["kpi_daily"]["columns"]
    assert list(columns) == ["gmv_minor"]
    assert int(columns["gmv_minor"]["difference"]) == sum(amount for _, amount in freight)
    assert result.differing_rows == len(result.sample) == result.totals["kpi_daily"]["differing_rows"]
    assert result.totals["kpi_daily_buyers"]["differing_rows"] == 0
    kept = changed.compares("kpi_daily")[0]
    assert (kept.differing_rows, kept.compared_by, len(kept.sample)) == (
        result.differing_rows, "tester", len(result.sample),
    )  # fmt: skip


def test_versions_compared_live_stand_at_one_position(
    log: Log, projector: Projector, database: Database, folder: Path
) -> None:
    log.fill(300)
    projector.deploy()
    old = projector.definitions()["stock_ledger"].version
    edit(folder, "stock_ledger", "projection.toml", f"version = {old}", f"version = {old + 1}")
    changed = Projector(database, folder)
    changed.rebuild("stock_ledger")
    followers = [Follower(Projector(database)), Follower(Projector(database))]
    for follower in followers:
        follower.start()
    try:
        for seed in range(5):
            log.fill(60, seed=seed + 10)
            # The same rules at one position have the same rows; at two positions they would not.
            assert changed.compare("stock_ledger", old, old + 1).differing_rows == 0
    finally:
        for follower in followers:
            follower.stop()


def test_a_version_serves_only_after_it_was_compared(
    log: Log, projector: Projector, database: Database, folder: Path
) -> None:
    log.fill(400)
    projector.deploy()
    before = projector.run_query("kpi_daily", "totals", store_ids=None)
    count_freight(folder)
    changed = Projector(database, folder)
    assert changed.rebuild("kpi_daily").status == "ready"
    with pytest.raises(ProjectionRefused, match="compare 3 and 4 first"):
        changed.promote("kpi_daily", 4, by="tester")
    changed.compare("kpi_daily", 3, 4)
    log.fill(200, seed=7)

    promoted = changed.promote("kpi_daily", 4, by="tester")

    head = log.head()
    assert (promoted.status, promoted.promoted_by, promoted.position) == ("serving", "tester", head)
    after = changed.run_query("kpi_daily", "totals", store_ids=None)
    beside = changed.run_query("kpi_daily", "totals", store_ids=None, version=3)
    assert [row["gmv_minor"] for row in after] == [row["gmv_minor"] + row["freight_minor"] for row in beside]
    assert before != beside, "the version that served goes on following"
    assert changed.promote("kpi_daily", 3, by="tester").version == 3
    assert changed.run_query("kpi_daily", "totals", store_ids=None) == beside


def test_the_serving_version_cannot_be_dropped_and_another_can(
    log: Log, projector: Projector, database: Database, folder: Path, connection: psycopg.Connection[Any]
) -> None:
    log.fill(200)
    projector.deploy()
    count_freight(folder)
    changed = Projector(database, folder)
    changed.rebuild("kpi_daily")
    with pytest.raises(ProjectionRefused, match="serves"):
        changed.drop("kpi_daily", 3)

    changed.drop("kpi_daily", 4)

    left = connection.execute("SELECT count(*) FROM pg_class WHERE starts_with(relname, 'kpi_daily_v4__')").fetchone()
    assert left == (0,)
    assert "gmv_counts_freight = true" in changed.catalogue.texts(connection, "kpi_daily", 4)["projection.toml"]
    assert {line.name: line.action for line in changed.plan()}["kpi_daily"] == "build"
    assert changed.rebuild("kpi_daily").status == "ready"


def test_a_name_or_version_that_is_not_there_is_said_with_those_that_are(
    log: Log, database: Database, projector: Projector, folder: Path
) -> None:
    log.fill(50)
    with pytest.raises(ProjectionRefused, match="kpi_daily has not been built; run: opscore projections rebuild"):
        projector.questions("kpi_daily")
    projector.rebuild("kpi_daily")
    slips: list[Callable[[str], Any]] = [
        projector.questions,
        projector.rebuild,
        projector.require_known,
        lambda name: projector.compare(name, 3, 4),
        lambda name: projector.promote(name, 3, by="ann"),
        lambda name: projector.resume(name, 3),
        lambda name: projector.drop(name, 3),
        lambda name: projector.whatif(name, {}),
    ]
    for slip in slips:
        with pytest.raises(
            ProjectionRefused, match=r"no projection KPI_dayly \(did you mean kpi_daily\?\); there are ad_"
        ):
            slip("KPI_dayly")
    with pytest.raises(ProjectionRefused, match="no projection wind; there are ad_service"):
        projector.questions("wind")
    with pytest.raises(
        ProjectionRefused, match=r"there is no rule gmv_counts_freigt \(did you mean gmv_counts_freight\?\)"
    ):
        projector.whatif("kpi_daily", {"gmv_counts_freigt": "true"})

    with pytest.raises(ProjectionRefused, match=r"kpi_daily has no version 9; there are 3 \(serving\)$"):
        projector.promote("kpi_daily", 9, by="ann")
    with pytest.raises(
        ProjectionRefused, match="traffic has no version 9, nor any yet; run: opscore projections rebuild"
    ):
        projector.drop("traffic", 9)
    count_freight(folder)
    edited = Projector(database, folder)
    with pytest.raises(
        ProjectionRefused, match="kpi_daily version 4 has not been built; run: opscore projections rebui"
    ):
        edited.compare("kpi_daily", 3, 4)
    edited.rebuild("kpi_daily")
    edited.compare("kpi_daily", 3, 4)
    edited.promote("kpi_daily", 4, by="ann")
    edited.drop("kpi_daily", 3)
    with pytest.raises(ProjectionRefused, match=r"kpi_daily version 3 was dropped; there are 4 \(serving\)$"):
        edited.promote("kpi_daily", 3, by="ann")
    # A folder that cannot be read keeps nobody from what is built.
    edit(folder, "kpi_daily", "tables.sql", "CREATE TABLE", "CREATE")
    with pytest.raises(
        ProjectionRefused, match=r"no projection kpi_dayly \(did you mean kpi_daily\?\); there are kpi_daily$"
    ):
        Projector(database, folder).questions("kpi_dayly")


def test_a_copy_that_is_not_there_is_said_with_the_replay_that_may_have_been_meant(
    log: Log, projector: Projector
) -> None:
    log.fill(20)
    projector.replay(10, "march")
    for name, said in (
        ("march/kpi_dayly", "no projection kpi_dayly (did you mean kpi_daily?)"),
        ("marsh/kpi_daily", "no replay marsh (did you mean march?); make one: opscore replay --into marsh"),
        ("x/kpi_daily", "no copy of kpi_daily in a replay x; make one: opscore replay --into x"),
    ):
        with pytest.raises(ProjectionRefused, match=re.escape(said)):
            projector.questions(name)


def test_readers_see_one_version_or_the_other_while_it_changes(
    log: Log, projector: Projector, database: Database, folder: Path
) -> None:
    log.fill(400)
    projector.deploy()
    count_freight(folder)
    changed = Projector(database, folder)
    changed.rebuild("kpi_daily")
    changed.compare("kpi_daily", 3, 4)
    allowed = [changed.run_query("kpi_daily", "totals", store_ids=None, version=version) for version in (3, 4)]
    seen: list[list[dict[str, Any]]] = []
    faults: list[Exception] = []
    over = threading.Event()

    def read() -> None:
        try:
            while not over.is_set():
                seen.append(changed.run_query("kpi_daily", "totals", store_ids=None))
        except Exception as error:
            faults.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for version in (4, 3, 4, 3, 4):
        changed.promote("kpi_daily", version, by="tester")
    changed.drop("kpi_daily", 3)
    over.set()
    reader.join()

    assert faults == []
    assert len(seen) > 5
    assert all(rows in allowed for rows in seen)


def test_rules_edited_without_a_new_version_are_refused(
    log: Log, projector: Projector, database: Database, folder: Path
) -> None:
    projector.deploy()
    edit(folder, "kpi_daily", "apply.sql", "count(*) FILTER", "1 + count(*) FILTER")

    with pytest.raises(EditedWithoutVersion, match="raise the version"):
        Projector(database, folder).plan()

    (folder / "versions.lock").unlink()
    unlocked = Projector(database, folder)
    assert {line.name: line.action for line in unlocked.plan()}["kpi_daily"] == "refused"
    with pytest.raises(ProjectionRefused, match="raise the version"):
        unlocked.deploy()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("queries.sql", "SELECT", "SELEKT"),
        ("queries.sql", "kpi.gmv_minor", "kpi.gmw_minor"),
        ("explain.sql", "FROM", "FORM"),
        ("tables.sql", "bigint", "biggint"),
    ],
)
def test_what_postgresql_does_not_understand_is_refused_before_it_is_built(
    log: Log, database: Database, folder: Path, file: str, old: str, new: str
) -> None:
    log.fill(20)
    edit(folder, "kpi_daily", "projection.toml", "version = 3", "version = 4")
    edit(folder, "kpi_daily", file, old, new)
    projector = Projector(database, folder)
    with pytest.raises(ProjectionRefused, match=rf"kpi_daily/{file}.*PostgreSQL says"):
        projector.rebuild("kpi_daily")
    assert [row for row in projector.status() if row.entry.name == "kpi_daily"] == []
    edit(folder, "kpi_daily", file, new, old)
    assert projector.rebuild("kpi_daily").status == "serving"


def test_a_comment_is_no_rule(projector: Projector, database: Database, folder: Path) -> None:
    projector.deploy()
    edit(folder, "kpi_daily", "apply.sql", "-- buyers:", "-- buyers: said better:")

    changed = Projector(database, folder)

    assert {line.name: line.action for line in changed.plan()}["kpi_daily"] == "texts"
    changed.deploy()
    assert {line.action for line in changed.plan()} == {"nothing"}


def test_two_followers_share_the_work_and_lose_nothing(
    log: Log, projector: Projector, database: Database, connection: psycopg.Connection[Any]
) -> None:
    projector.deploy()
    followers = [Follower(Projector(database)), Follower(Projector(database))]
    for follower in followers:
        follower.start()
    try:
        for seed in range(8):
            log.fill(120, seed=seed)
            followers[seed % 2].hint()
        head = log.head()
        for name in NAMES:
            wait_for(projector, name, head)
    finally:
        for follower in followers:
            follower.stop()

    assert not any(follower.is_alive for follower in followers)
    assert projector.check() == []


def test_a_replay_shows_what_was_known_then(
    log: Log, projector: Projector, connection: psycopg.Connection[Any]
) -> None:
    then = log.fill(500)
    projector.deploy()
    known = rows_of(projector, connection)
    log.fill(500, seed=9)
    projector.catch_up()
    recorded = connection.execute("SELECT recorded_at FROM events WHERE position = %s", (then,)).fetchone()
    assert recorded is not None

    copies = [*projector.replay(then, "march"), *projector.replay(recorded[0], "april")]

    assert {(copy.position, copy.status) for copy in copies} == {(then, "frozen")}
    for copy in copies:
        assert contents(connection, projector.loaded(connection, copy)) == known[copy.name.partition("/")[2]]
    assert rows_of(projector, connection) != known
    projector.catch_up()
    totals = projector.run_query("march/kpi_daily", "totals", store_ids=None)
    assert sum(row["orders"] for row in totals) < sum(
        row["orders"] for row in projector.run_query("kpi_daily", "totals", store_ids=None)
    )


def test_a_check_finds_a_figure_that_was_tampered_with(
    log: Log, projector: Projector, connection: psycopg.Connection[Any]
) -> None:
    log.fill(400)
    projector.deploy()
    assert projector.check() == []
    entry = projector.catalogue.serving(connection, "stock_ledger")
    assert entry is not None
    table = projector.loaded(connection, entry).table("stock_levels")
    connection.execute(
        f"UPDATE {table} SET on_hand = on_hand + %s WHERE sku_id = (SELECT min(sku_id::text)::uuid FROM {table})",
        (Decimal(1),),
    )

    found = projector.check(["stock_ledger"])

    assert {"levels_are_movements", "worth_is_movements"} <= {failure.check for failure in found}

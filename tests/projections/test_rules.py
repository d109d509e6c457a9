"""Rules that change: on a day, in a what-if, in an operator's own folder; and questions that nobody wrote code for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from opscore import resources
from opscore.database import Database
from opscore.housekeeping import Housekeeping
from opscore.projector import ProjectionRefused, Projector, own
from opscore.projector.asking import Filter
from opscore.projector.lock import EditedWithoutVersion, write as lock
from opscore.projector.sqltext import SqlFileError
from opscore.settings import Settings
from tests.benchmarks import generate
from tests.projections.logs import Log, contents

EXAMPLE = resources.path("data") / "own_projections"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An operator's own folder, as `projections init` makes it."""
    made = tmp_path / "own"
    own.begin(made, EXAMPLE)
    return made


@pytest.fixture
def operator(settings: Settings, folder: Path) -> Iterator[Projector]:
    """The projections of an operator who has a folder of their own."""
    with Database.open(settings.model_copy(update={"projections": folder})) as opened:
        yield Projector(opened)


def edit(folder: Path, name: str, file: str, *changes: tuple[str, str]) -> None:
    path = folder / name / file
    text = path.read_text("utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path.write_text(text, "utf-8")


def from_february(folder: Path) -> None:
    """The rule change of the worked example: 15/15/70 from 1 February on, as version 2."""
    edit(
        folder, "income_split", "projection.toml",
        ("version = 1", "version = 2"), ("# [[rules_from]]", "[[rules_from]]"), ("# day = ", "day = "),
        ('# other_share = { decimal = "0.15" }', 'other_share = { decimal = "0.15" }'),
        ('# working_share = { decimal = "0.15" }', 'working_share = { decimal = "0.15" }'),
    )  # fmt: skip


def pay(world: generate.World, at: datetime, amount_minor: int) -> UUID:
    """Record that an order of this total was paid at a moment; return the order."""
    world.now = at
    order = world.made_id("paid order", world.position)
    world.record(
        "OrderPaid", order, 0, customer_id=None, channel="web", currency="GBP", goods_minor=amount_minor,
        discount_minor=0, freight_minor=0, total_minor=amount_minor, units=Decimal(1),
        ship_by=at + timedelta(days=1), ship_by_hard=at + timedelta(days=2), surge=False,
    )  # fmt: skip
    return order


def give_back(world: generate.World, at: datetime, order: UUID, amount_minor: int) -> None:
    """Record that money of an order went back."""
    world.now = at
    world.record(
        "OrderRefunded", order, 0, refund_id=world.made_id("refund", world.position), amount_minor=amount_minor,
        goods_minor=amount_minor, freight_minor=0, currency="GBP", customer_id=None, reason="returned", sold_at=at,
        provider_reference=None, lines=(),
    )  # fmt: skip


def splits(projector: Projector, **more: Any) -> list[tuple[date, int, int, int]]:
    """Return (day, other, working, purchasing) of each entry."""
    rows = projector.run_query("income_split", "entries", store_ids=None, **more)
    return [(row["day"], row["other_minor"], row["working_minor"], row["purchasing_minor"]) for row in rows]


# The worked examples of the income split -----------------------------------------------------------------------------

JANUARY, FEBRUARY = datetime(2026, 1, 20, 12, tzinfo=UTC), datetime(2026, 2, 1, 12, tzinfo=UTC)


def test_shares_are_rounded_down_the_rest_goes_to_purchasing_and_a_refund_takes_back_exactly_that(
    log: Log, operator: Projector
) -> None:
    world = log.world()
    order = pay(world, JANUARY, 199_90)
    pay(world, JANUARY, 5)
    third = pay(world, JANUARY, 100)
    give_back(world, FEBRUARY, order, 199_90)
    for _ in range(3):
        give_back(world, FEBRUARY, third, 33)
    log.append(world)

    operator.rebuild("income_split")

    found = [each[1:] for each in splits(operator)]
    assert found[:2] == [(19_99, 19_99, 159_92), (0, 0, 5)]
    assert found[3] == (-19_99, -19_99, -159_92)
    assert sum(other for other, _, _ in found[4:]) == -9, "thirds of it take back what the whole of 99 would"
    assert operator.check(["income_split"]) == []


def test_a_rule_from_a_day_on_leaves_what_was_before_and_a_what_if_for_all_history_changes_both(
    log: Log, operator: Projector, folder: Path
) -> None:
    world = log.world()
    order = pay(world, JANUARY, 200_00)
    pay(world, FEBRUARY, 200_00)
    give_back(world, FEBRUARY + timedelta(days=3), order, 100_00)
    log.append(world)
    operator.rebuild("income_split")
    ten, fifteen = (20_00, 20_00, 160_00), (30_00, 30_00, 140_00)
    assert [each[1:] for each in splits(operator)] == [ten, ten, (-10_00, -10_00, -80_00)]

    from_february(folder)
    operator.rebuild("income_split")
    compared = operator.compare("income_split", 1, 2)
    operator.promote("income_split", 2, by="owner")

    assert [each[1:] for each in splits(operator)] == [ten, fifteen, (-10_00, -10_00, -80_00)]
    assert [each[1:] for each in splits(operator, version=1)] == [ten, ten, (-10_00, -10_00, -80_00)]
    assert compared.differing_rows == 1, "January keeps its shares, and so does what goes back of it in February"
    assert [event["position"] for row in compared.sample for event in row["events"]] == [world.position - 1]

    answer = operator.whatif("income_split", {"other_share": "0.15", "working_share": "0.15"})

    changed = {row["key"]["position"]: row for row in answer.sample}
    assert sorted(changed) == [world.position - 2, world.position]
    assert changed[world.position - 2]["new"]["other_minor"] == 30_00
    assert changed[world.position]["new"]["purchasing_minor"] == -70_00
    assert [each[1:] for each in splits(operator)] == [ten, fifteen, (-10_00, -10_00, -80_00)]


def test_the_day_of_a_rule_is_the_store_s_own(log: Log, operator: Projector, folder: Path) -> None:
    from_february(folder)
    world = log.world()
    world.zones[0] = "Asia/Shanghai"
    pay(world, datetime(2026, 1, 31, 15, 59, tzinfo=UTC), 100)
    pay(world, datetime(2026, 1, 31, 16, 0, tzinfo=UTC), 100)
    log.append(world)

    operator.rebuild("income_split")

    assert splits(operator) == [(date(2026, 1, 31), 10, 10, 80), (date(2026, 2, 1), 15, 15, 70)]


def test_dated_rules_that_nothing_reads_are_refused(folder: Path, operator: Projector) -> None:
    own.copy(operator.definitions()["kpi_daily"], folder)
    path = folder / "kpi_daily" / "projection.toml"
    path.write_text(path.read_text("utf-8") + "\n[[rules_from]]\nday = 2026-02-01\nguest_order_is_buyer = false\n")
    with pytest.raises(SqlFileError, match="nothing reads rules_by_day"):
        operator.plan()
    edit(folder, "kpi_daily", "projection.toml", ("day = 2026-02-01\n", ""))
    with pytest.raises(SqlFileError, match="needs a day"):
        operator.plan()


# What if -------------------------------------------------------------------------------------------------------------


def test_a_what_if_says_what_would_differ_and_leaves_nothing_behind(
    log: Log, projector: Projector, connection: psycopg.Connection[Any]
) -> None:
    log.fill(600)
    projector.deploy()
    before = projector.run_query("kpi_daily", "totals", store_ids=None)

    answer = projector.whatif("kpi_daily", {"gmv_counts_freight": "true"}, by="tester")

    freight = connection.execute(
        "SELECT coalesce(sum((data->>'freight_minor')::bigint), 0) FROM events WHERE type = 'OrderPaid'"
    ).fetchone()
    assert freight is not None and freight[0] > 0
    assert int(answer.totals["kpi_daily"]["columns"]["gmv_minor"]["difference"]) == freight[0]
    assert all(row["events"] and row["old"] != row["new"] for row in answer.sample)
    assert projector.run_query("kpi_daily", "totals", store_ids=None) == before
    left = connection.execute("SELECT count(*) FROM pg_class WHERE starts_with(relname, 'whatif')").fetchone()
    assert left == (0,)
    assert not any("/" in status.entry.name for status in projector.status())
    assert projector.compares(answer.name)[0].differing_rows == answer.differing_rows


def test_a_what_if_that_was_stopped_goes_on_where_it_stood(
    log: Log, projector: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.fill(600)
    projector.deploy()
    monkeypatch.setattr("opscore.projector.projector.REBUILD_WINDOW", 100)
    seen: list[int] = []
    rule = {"refund_counts_freight": "true"}
    with pytest.raises(ProjectionRefused, match="stopped"):
        projector.whatif("kpi_daily", rule, progress=lambda at: seen.append(at.position), stop=lambda: len(seen) == 3)
    assert [status.entry.position for status in projector.status() if "/" in status.entry.name] == [300]

    projector.whatif("kpi_daily", rule, progress=lambda at: seen.append(at.position))

    assert seen[3] == 400
    assert not any("/" in status.entry.name for status in projector.status())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"gmv_counts_frieght": "true"}, "no rule gmv_counts_frieght.*gmv_counts_freight=false"),
        ({"gmv_counts_freight": "yes"}, "true or false, not 'yes'"),
        ({"gmv_counts_freight": "false"}, "what kpi_daily says already"),
        ({}, "the rules of kpi_daily are"),
    ],
)
def test_a_what_if_of_no_rule_or_no_value_is_refused_with_the_rules_there_are(
    projector: Projector, changes: dict[str, str], says: str
) -> None:
    projector.rebuild("kpi_daily")
    with pytest.raises(ProjectionRefused, match=says):
        projector.whatif("kpi_daily", changes)


def test_a_what_if_that_fails_leaves_nothing_and_alarms_nobody(log: Log, operator: Projector, folder: Path) -> None:
    edit(
        folder, "income_split", "tables.sql",
        ("purchasing_minor bigint NOT NULL,\n", "purchasing_minor bigint NOT NULL CHECK (purchasing_minor > 0),\n"),
    )  # fmt: skip
    world = log.world()
    pay(world, JANUARY, 100)
    log.append(world)
    operator.rebuild("income_split")

    with pytest.raises(ProjectionRefused, match="stopped at position"):
        operator.whatif("income_split", {"other_share": "0.95"})

    assert operator.failures() == []
    assert [status.entry.name for status in operator.status()] == ["income_split"]


# The operator's own folder -------------------------------------------------------------------------------------------


def test_an_operator_s_projections_lie_over_those_of_the_package(log: Log, operator: Projector, folder: Path) -> None:
    packaged = set(resources.path("projections").glob("*/projection.toml"))
    assert len(operator.definitions()) == len(packaged) + 1
    log.fill(200)
    operator.deploy()

    copied = own.copy(operator.definitions()["kpi_daily"], folder)
    edit(folder, "kpi_daily", "projection.toml", ("gmv_counts_freight = false", "gmv_counts_freight = true"))

    assert copied == folder / "kpi_daily"
    lines = {line.name: line for line in operator.plan()}
    assert (lines["kpi_daily"].version, lines["kpi_daily"].action) == (4, "build")
    assert operator.rebuild("kpi_daily").status == "ready"


def test_the_plan_warns_of_a_rule_that_is_another_in_another_projection(operator: Projector, folder: Path) -> None:
    assert [line.warning for line in operator.plan() if line.warning] == []
    own.copy(operator.definitions()["kpi_daily"], folder)
    edit(folder, "kpi_daily", "projection.toml", ("refund_counts_freight = false", "refund_counts_freight = true"))

    warned = {line.name: line.warning for line in operator.plan() if line.warning}

    assert set(warned) == {"kpi_daily", "kpi_facts", "customer_card"}
    assert warned["kpi_daily"] is not None
    assert warned["kpi_daily"].startswith("refund_counts_freight is another in customer_card, kpi_facts: ")
    for name in ("kpi_facts", "customer_card"):
        own.copy(operator.definitions()[name], folder)
        edit(folder, name, "projection.toml", ("refund_counts_freight = false", "refund_counts_freight = true"))
    assert [line.warning for line in operator.plan() if line.warning] == []

    # From a day on is another rule than always.
    late = "\n[[rules_from]]\nday = 2026-02-01\nguest_order_is_buyer = false\n"
    for file, more in (("projection.toml", late), ("apply.sql", "-- Here somebody would join rules_by_day.\n")):
        path = folder / "kpi_daily" / file
        path.write_text(path.read_text("utf-8") + more, "utf-8")
    warned = {line.name: line.warning for line in operator.plan() if line.warning}
    assert set(warned) == {"kpi_daily", "kpi_facts"}


def test_a_copy_needs_a_higher_version_and_every_query_and_column_and_a_lock_holds_it(
    operator: Projector, folder: Path
) -> None:
    own.copy(operator.definitions()["kpi_daily"], folder)
    with pytest.raises(SqlFileError, match="there already"):
        own.copy(operator.definitions()["kpi_daily"], folder)
    edit(folder, "kpi_daily", "projection.toml", ("gmv_counts_freight = false", "gmv_counts_freight = true"))
    edit(folder, "kpi_daily", "projection.toml", ("version = 4", "version = 3"))
    with pytest.raises(SqlFileError, match="raise yours above it"):
        operator.plan()
    edit(folder, "kpi_daily", "projection.toml", ("version = 3", "version = 4"))
    edit(folder, "kpi_daily", "queries.sql", ("-- days:", "-- by_day:"))
    with pytest.raises(SqlFileError, match="names days, which is no query"):
        operator.plan()
    edit(folder, "kpi_daily", "projection.toml", ("\ndays = ", "\nby_day = "))
    with pytest.raises(SqlFileError, match="keep the query days"):
        operator.plan()
    edit(folder, "kpi_daily", "queries.sql", ("-- by_day:", "-- days:"))
    edit(folder, "kpi_daily", "projection.toml", ("\nby_day = ", "\ndays = "))
    edit(folder, "kpi_daily", "queries.sql", ("kpi.guest_orders, kpi.units,", "kpi.units,"))
    with pytest.raises(SqlFileError, match="keep the column guest_orders of days"):
        operator.plan()
    edit(folder, "kpi_daily", "queries.sql", ("kpi.units,", "kpi.units, kpi.guest_orders,"))
    lock(folder, {"kpi_daily": operator.definitions()["kpi_daily"]})
    edit(folder, "kpi_daily", "projection.toml", ("guest_order_is_buyer = true", "guest_order_is_buyer = false"))
    with pytest.raises(EditedWithoutVersion, match="raise the version"):
        operator.plan()


def test_a_folder_that_is_not_there_or_not_empty_is_said(operator: Projector, folder: Path) -> None:
    with pytest.raises(SqlFileError, match="something in it already"):
        own.begin(folder, EXAMPLE)
    (folder / "income_split").rename(folder / "Income split")
    with pytest.raises(SqlFileError, match="a projection's name"):
        operator.plan()
    shutil.rmtree(folder)
    with pytest.raises(SqlFileError, match="projections init"):
        operator.plan()


# Questions that nobody wrote code for --------------------------------------------------------------------------------


def test_a_question_is_described_by_the_folder_and_by_postgresql(operator: Projector) -> None:
    operator.rebuild("income_split")

    entry, (funds, entries) = operator.questions("income_split")

    assert entry.version == 1
    assert (funds.name, funds.key, funds.operator_wide) == ("funds", ["store_id", "month", "currency"], False)
    assert [(each.name, each.type) for each in funds.parameters] == [("from_day", "date"), ("to_day", "date")]
    types = {column.name: column.type for column in entries.columns}
    assert (types["store_id"], types["day"], types["other_share"]) == ("uuid", "date", "numeric")
    assert all(column.description for column in [*funds.columns, *entries.columns])


def test_pages_follow_the_key_whatever_is_filtered(log: Log, operator: Projector) -> None:
    world = log.world()
    for number in range(25):
        pay(world, JANUARY + timedelta(hours=number), 1000 + number % 3)
    log.append(world)
    operator.rebuild("income_split")
    wanted = [Filter("amount_minor", "GE", "1001"), Filter("day", "LE", "2026-01-21"), Filter("kind", "EQ", "income")]

    seen: list[Any] = []
    after = None
    while True:
        page = operator.rows(
            "income_split", "entries", {"from_day": "2026-01-20"}, store_ids=None, filters=wanted, after=after, limit=4
        )
        if not page.rows:
            break
        seen += [key[0] for key in page.keys]
        after = page.keys[-1]

    assert len(seen) == 16 and seen == sorted(set(seen))
    nobody = operator.rows("income_split", "entries", {}, store_ids=[UUID(int=7)])
    assert nobody.rows == []
    assert operator.rows("income_split", "entries", {}, store_ids=[world.stores[0]], limit=100).rows[3][0] == (
        seen[0] + 2
    )


def test_the_key_of_a_query_names_its_rows_and_its_columns_are_never_null(log: Log, projector: Projector) -> None:
    log.fill(1500)
    projector.deploy()
    rows = 0
    for name, definition in projector.definitions().items():
        for query, key in definition.keys.items():
            page = projector.rows(name, query, {"grain": "day"} if query == "periods" else {}, store_ids=None)
            rows += len(page.rows)
            assert len({tuple(each) for each in page.keys}) == len(page.rows), f"{name} {query}: {key} names no row"
            assert all(value is not None for each in page.keys for value in each), f"{name} {query}"
            first = projector.rows(name, query, {"grain": "day"} if query == "periods" else {}, store_ids=None, limit=1)
            assert first.keys == page.keys[:1]
    assert rows > 500


@pytest.mark.parametrize(
    ("query", "params", "filters", "says"),
    [
        ("fonds", {}, [], "no query fonds; there are funds, entries"),
        ("funds", {"from": "2026-01-01"}, [], "takes from_day, to_day, not from"),
        ("funds", {"from_day": "soon"}, [], "invalid input syntax for type date"),
        ("funds", {}, [Filter("month", "EQ", "soon")], "invalid input syntax for type date"),
        ("funds", {}, [Filter("other", "EQ", "1")], "has the columns store_id, month"),
    ],
)
def test_a_question_that_does_not_fit_is_answered_with_what_does(
    operator: Projector, query: str, params: dict[str, str], filters: list[Filter], says: str
) -> None:
    operator.rebuild("income_split")
    with pytest.raises(ProjectionRefused, match=says):
        operator.rows("income_split", query, params, store_ids=None, filters=filters)


def test_a_question_that_takes_too_long_or_writes_is_stopped(log: Log, operator: Projector, folder: Path) -> None:
    path = folder / "income_split" / "queries.sql"
    path.write_text(
        path.read_text("utf-8")
        + "-- slow: never ends.\nSELECT pg_sleep(60)::text AS slept WHERE :store_ids::uuid[] IS NULL;\n"
        + "-- everything: all stores.\nSELECT count(*) AS entries FROM income_entries;\n",
        "utf-8",
    )
    edit(folder, "income_split", "projection.toml", ("version = 1", 'version = 1\noperator_wide = ["everything"]'))
    operator.rebuild("income_split")

    with pytest.raises(ProjectionRefused, match="took longer than 1 s"):
        operator.rows("income_split", "slow", {}, store_ids=None, seconds_max=1)
    assert operator.rows("income_split", "everything", {}, store_ids=None).rows == [(0,)]
    with pytest.raises(ProjectionRefused, match="looks at all stores"):
        operator.rows("income_split", "everything", {}, store_ids=[UUID(int=1)])


# Versions that are kept and dropped ----------------------------------------------------------------------------------


def test_every_differing_row_is_kept_and_its_events_can_be_asked_later(
    log: Log, operator: Projector, folder: Path
) -> None:
    log.fill(600)
    operator.deploy()
    own.copy(operator.definitions()["kpi_daily"], folder)
    edit(folder, "kpi_daily", "projection.toml", ("gmv_counts_freight = false", "gmv_counts_freight = true"))
    operator.rebuild("kpi_daily")

    compared = operator.compare("kpi_daily", 3, 4, sample=1)

    kept: list[Any] = []
    while page := operator.compare_rows(compared.id, after=kept[-1].number if kept else 0, limit=2):
        kept += page
    assert len(compared.sample) == 1 and len(kept) == compared.differing_rows > 3
    assert [row.number for row in kept] == list(range(1, len(kept) + 1))
    difference = sum(row.new["gmv_minor"] - row.old["gmv_minor"] for row in kept)
    assert difference == int(compared.totals["kpi_daily"]["columns"]["gmv_minor"]["difference"])
    log.fill(100, seed=3)
    operator.catch_up()
    behind = operator.events_behind(compared, kept)
    assert [event.position for event in behind[1]] == [event["position"] for event in compared.sample[0]["events"]]
    assert len(behind) == len(kept) == compared.rows_with_events
    assert all(events and events[-1].position <= compared.position for events in behind.values())
    operator.drop("kpi_daily", 4)
    assert operator.events_behind(compared, kept) == behind, "they are kept with the rows"


def test_what_a_promoted_version_replaced_is_dropped_when_its_time_has_come(
    log: Log, operator: Projector, folder: Path
) -> None:
    log.fill(200)
    operator.deploy()
    from_february(folder)
    operator.rebuild("income_split")
    now = datetime.now(UTC)
    assert operator.drop_superseded(days=30, now=now + timedelta(days=365)) == [], "nothing has replaced anything yet"
    operator.compare("income_split", 1, 2)
    operator.promote("income_split", 2, by="owner")
    operator.rebuild("income_split")

    assert operator.drop_superseded(days=30, now=now + timedelta(days=29)) == []
    dropped = operator.drop_superseded(days=30, now=now + timedelta(days=31))

    assert [(entry.name, entry.version) for entry in dropped] == [("income_split", 1)]
    assert [status.entry.version for status in operator.status() if status.entry.name == "income_split"] == [2]


def test_a_server_drops_what_was_replaced_only_where_the_operator_says_after_how_many_days(
    log: Log, operator: Projector, settings: Settings, folder: Path, database: Database
) -> None:
    log.fill(100)
    operator.rebuild("income_split")
    from_february(folder)
    operator.rebuild("income_split")
    operator.compare("income_split", 1, 2)
    operator.promote("income_split", 2, by="owner")
    with database.connect() as connection:
        connection.execute("UPDATE projection_catalogue SET promoted_at = now() - interval '10 days'")

    assert Housekeeping(database, settings).drop_versions() == 0
    patient = settings.model_copy(update={"keep_versions_days": 11})
    assert Housekeeping(database, patient).drop_versions() == 0
    tidy = settings.model_copy(update={"keep_versions_days": 10})
    assert Housekeeping(database, tidy).drop_versions() == 1
    assert [status.entry.version for status in operator.status()] == [2]


def test_how_far_a_build_in_parts_is_is_shown_as_it_goes(log: Log, database: Database) -> None:
    log.fill(1500)
    halves = Projector(database, parts=2)
    seen: list[int] = []

    def look(_: object) -> None:
        seen.extend(status.entry.position for status in halves.status() if status.entry.status == "building")

    name = next(name for name, each in halves.definitions().items() if each.stream_by_stream)
    halves.rebuild(name, window=100, progress=look)

    assert len(set(seen)) > 3 and max(seen) <= log.head()


def test_a_replay_over_copies_of_another_moment_is_refused_until_it_is_asked_for(
    log: Log, projector: Projector, connection: psycopg.Connection[Any]
) -> None:
    then = log.fill(200)
    log.fill(200, seed=2)
    first = projector.replay(then, "march")
    assert [copy.updated_at for copy in projector.replay(then, "march")] == [copy.updated_at for copy in first]

    with pytest.raises(ProjectionRefused, match=f"as of position {then}; add --replace"):
        projector.replay(then + 100, "march")
    replaced = projector.replay(then + 100, "march", replace=True)

    assert {copy.position for copy in replaced} == {then + 100}
    whole = {copy.name: contents(connection, projector.loaded(connection, copy)) for copy in replaced}
    other = projector.replay(then + 100, "other")
    assert [contents(connection, projector.loaded(connection, copy)) for copy in other] == list(whole.values())


def test_a_version_whose_rules_came_otherwise_can_be_built_anew(log: Log, operator: Projector, folder: Path) -> None:
    log.fill(300)
    operator.deploy()
    edit(folder, "income_split", "projection.toml", ('"0.10"', '"0.20"'))
    (line,) = (line for line in operator.plan() if line.name == "income_split")
    assert line.action == "refused" and "rebuild income_split --anew" in line.why

    entry = operator.rebuild("income_split", anew=True)

    assert (entry.status, entry.rules["other_share"]) == ("serving", "0.20")
    assert {line.action for line in operator.plan()} == {"nothing"}

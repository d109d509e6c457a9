"""What a comparison says: every figure that a rule moves, and all events behind it, whatever becomes of the copy."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from opscore import resources
from opscore.database import Database
from opscore.projector import ProjectionRefused, Projector, answering, compare, explaining, whatif
from opscore.projector.folder import Definition, Loaded, read_all
from opscore.projector.sqltext import SqlFileError
from opscore.settings import Settings
from tests.conftest import MASTER_KEY
from tests.projections.logs import Log
from tests.projections.test_figures import busy, orderly, table_rows

PACKAGED = read_all(resources.path("projections"))
TABLES = [(name, table) for name, definition in PACKAGED.items() for table in definition.tables]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the projections that a test may edit."""
    return Path(shutil.copytree(resources.path("projections"), tmp_path / "projections"))


def edit(folder: Path, name: str, file: str, old: str, new: str) -> None:
    path = folder / name / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def raise_version(folder: Path, name: str) -> int:
    """Raise the version of a projection in a folder by one, and return it."""
    version = read_all(folder)[name].version
    edit(folder, name, "projection.toml", f"version = {version}\n", f"version = {version + 1}\n")
    return version + 1


@pytest.fixture
def trade(log: Log) -> Log:
    """A log in which everything happens."""
    busy(log, actions=700)
    orderly(log)
    return log


# Cells ---------------------------------------------------------------------------------------------------------------


def test_every_table_of_every_projection_opens_down_to_its_events_and_pages_leave_none_out(
    trade: Log, projector: Projector, connection: psycopg.Connection[Any]
) -> None:
    projector.deploy()
    head = trade.head()
    shared = filled = 0
    for name, table in TABLES:
        rows = table_rows(connection, projector, name, table)
        filled += bool(rows)
        opened = 0
        for row in random.Random(table).sample(rows, min(len(rows), 12)):
            whole = projector.explain(name, table, row, store_ids=None)
            opened += bool(whole)
            assert all(0 < event["position"] <= head for event in whole)
            count = projector.explain_count(name, table, row, store_ids=None)
            pages: list[dict[str, Any]] = []
            after = (0, 0)
            for _ in range(min(count, 25)):
                page = projector.explain(name, table, row, store_ids=None, after=after, limit=1)
                pages += page
                after = (page[-1]["position"], page[-1]["page_place"])
            assert pages == whole[:25], f"{name} {table}: pages of one are not the whole"
            assert len(whole) == count
            shared += len({event["position"] for event in whole}) < count
        assert opened or not rows, f"{name} {table}: nothing is behind a row; write it a statement in explain.sql"
    assert filled > 60 and shared > 5, "some events contribute to one row in several ways"


@pytest.fixture(scope="module")
def built(deployed: str, copied: Callable[[str], AbstractContextManager[str]]) -> Iterator[Projector]:
    """The projections of the repository, built over a log that stays empty."""
    with (
        copied(deployed) as url,
        Database.open(Settings(_env_file=None, database_url=url, master_key=MASTER_KEY)) as database,
    ):
        yield Projector(database)


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_what_opens_a_table_is_written_down_or_follows_from_its_key(name: str, table: str, built: Projector) -> None:
    with built.connect() as connection:
        entry = built.catalogue.serving(connection, name)
        assert entry is not None
        loaded = built.loaded(connection, entry)
        columns = explaining.columns_of(connection, loaded.table(table))
        key = explaining.key_of(connection, loaded.table(table))
        positions = {column for column in columns if column == "position" or column.endswith("_position")}
        streams = [column for column in key if columns[column] == "uuid"]
        assert table in loaded.explains or positions or streams, f"write {table} a statement in {name}/explain.sql"
        found = explaining.cell(connection, loaded, table)
    assert found is not None and set(found.key) <= set(key), f"{name} {table} is opened by more than its own key"


def test_every_cell_of_explain_sql_pages_like_the_tables(trade: Log, projector: Projector) -> None:
    projector.deploy()
    (total,) = [row for row in projector.run_query("kpi_daily", "totals", store_ids=None) if row["currency"] == "GBP"]
    whole = projector.explain("kpi_daily", "totals", {"currency": "GBP"}, store_ids=None)
    assert sum(event["gmv_minor"] for event in whole) == total["gmv_minor"]
    for month in projector.run_query("kpi_daily", "periods", {"grain": "month"}, store_ids=None):
        behind = projector.explain("kpi_daily", "periods", {**month, "grain": "month"}, store_ids=None)
        assert sum(event["orders"] for event in behind) == month["orders"]


def test_a_key_that_lacks_a_column_is_refused_with_the_columns_for_tables_without_a_statement_too(
    projector: Projector,
) -> None:
    projector.rebuild("kpi_facts")
    with pytest.raises(ProjectionRefused, match="named by line, position; give line too"):
        projector.explain("kpi_facts", "sold", {"position": 1}, store_ids=None)
    with pytest.raises(ProjectionRefused, match="has no cell salt; there are paid, refunds, origins"):
        projector.explain("kpi_facts", "salt", {"position": 1}, store_ids=None)


# Rules that no table shows -------------------------------------------------------------------------------------------


def other_value(value: Any) -> str:
    if isinstance(value, bool):
        return "false" if value else "true"
    if isinstance(value, int | Decimal):
        return str(value + 1)
    return {"moving_average": "fifo", "freight": "rent"}[value]


RULES = [(name, rule) for name, definition in PACKAGED.items() for rule in definition.rules]


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_every_rule_of_the_package_is_read_where_a_comparison_looks(name: str, rule: str) -> None:
    assert answering.uncovered(PACKAGED[name], [rule]) is None


ANSWERED = [
    ("kpi_facts", "guest_order_is_buyer", "query fact_rows"),
    ("kpi_facts", "paying_is_activity", "query fact_rows"),
    ("kpi_facts", "ordering_is_activity", "query fact_rows"),
    ("kpi_facts", "baseline_weeks", "query fact_rows"),
    ("stock_facts", "tail_days", "query fact_rows"),
    ("purchasing", "cancelled_in_time_are_not_due", "query fact_rows"),
    ("agency", "ended_before_due_is_not_due", "query fact_rows"),
    ("ad_service", "monitored_every_day", "query fact_rows"),
    ("kpi_daily", "guest_order_is_buyer", "query days"),
    ("kpi_daily", "guest_order_is_buyer", "query periods"),
    ("kpi_daily", "guest_order_is_buyer", "query totals"),
]


@pytest.mark.parametrize(("name", "rule", "answer"), ANSWERED)
def test_a_rule_that_only_an_answer_shows_differs_and_names_its_events(
    trade: Log, projector: Projector, name: str, rule: str, answer: str
) -> None:
    projector.rebuild(name)
    value = "-1" if rule == "tail_days" else other_value(PACKAGED[name].rules[rule])

    compared = projector.whatif(name, {rule: value}, sample=10_000)

    rows = [row for row in compared.sample if row["table"] == answer]
    assert compared.totals[answer]["differing_rows"] == len(rows) > 0
    assert all(entry["differing_rows"] == 0 for table, entry in compared.totals.items() if " " not in table)
    assert all(row["event_count"] == len(row["events"]) > 0 for row in rows if row["event_count"] < 200)
    assert {event["position"] for row in rows for event in row["events"]} <= set(range(1, trade.head() + 1))


def test_what_guests_are_counted_as_is_seen_where_a_key_figure_is_made_of_it(trade: Log, projector: Projector) -> None:
    projector.rebuild("kpi_facts")
    projector.rebuild("kpi_daily")
    facts = projector.whatif("kpi_facts", {"guest_order_is_buyer": "false"}, sample=10_000)
    days = projector.whatif("kpi_daily", {"guest_order_is_buyer": "false"}, sample=10_000)

    assert {row["key"]["measure"] for row in facts.sample} == {"sold"}
    lost = {}
    for row in facts.sample:
        key = (row["key"]["store_id"], row["key"]["day"], row["key"]["currency"])
        lost[key] = row["old"]["people"] - row["new"]["people"]
        guests = {event["old"]["order_id"] for event in row["events"]}
        assert len(guests) == lost[key], "each guest's order, and no other, is named"
        assert all(event["old"]["who"] is not None and event["new"]["who"] is None for event in row["events"])
    assert lost == {
        (row["key"]["store_id"], row["key"]["day"], row["key"]["currency"]): row["old"]["buyers"] - row["new"]["buyers"]
        for row in days.sample
        if row["table"] == "query days"
    }


def test_a_cost_that_no_campaign_bears_any_more_is_seen_in_the_orders_that_counted(
    trade: Log, projector: Projector
) -> None:
    projector.rebuild("stock_valuation")
    compared = projector.whatif("stock_valuation", {"discount_attributes": "false"}, sample=10_000)
    assert {row["table"] for row in compared.sample} == {"order_campaigns", "order_campaign_lines"}
    assert "query fact_rows" not in compared.totals


def test_answers_that_the_tables_decide_are_not_asked(trade: Log, projector: Projector) -> None:
    projector.rebuild("kpi_daily")
    compared = projector.whatif("kpi_daily", {"gmv_counts_freight": "true"})
    assert set(compared.totals) == set(PACKAGED["kpi_daily"].tables)


def test_a_rule_that_cannot_be_seen_is_refused_in_words(trade: Log, database: Database, folder: Path) -> None:
    edit(folder, "kpi_daily", "projection.toml", "guest_order_is_buyer = true", "guest_order_is_buyer = true\nidle = 1")
    for query in ("days", "totals"):
        text = (folder / "kpi_daily" / "projection.toml").read_text("utf-8")
        key = next(line for line in text.splitlines() if line.startswith(f"{query} = "))
        edit(folder, "kpi_daily", "projection.toml", key + "\n", "")
    edit(folder, "kpi_daily", "projection.toml", 'periods = { grain = "month" }\n', "")
    raise_version(folder, "kpi_daily")
    mine = Projector(database, folder)
    mine.rebuild("kpi_daily")

    with pytest.raises(ProjectionRefused, match="no figure of kpi_daily depends on idle"):
        mine.whatif("kpi_daily", {"idle": "2"})
    with pytest.raises(
        ProjectionRefused,
        match=r"guest_order_is_buyer changes no row.*days: name the columns.*periods: give it a value of grain",
    ):
        mine.whatif("kpi_daily", {"guest_order_is_buyer": "false"})
    assert not any("/" in status.entry.name for status in mine.status()), "nothing was built for it"


def test_what_is_given_to_a_comparison_names_a_query(folder: Path) -> None:
    edit(folder, "kpi_daily", "projection.toml", 'periods = { grain = "month" }', 'perods = { grain = "month" }')
    with pytest.raises(SqlFileError, match=r"\[compare\] names perods, which is no query"):
        read_all(folder)


# What two versions do not share --------------------------------------------------------------------------------------


def test_what_only_one_version_has_is_said(trade: Log, projector: Projector, database: Database, folder: Path) -> None:
    projector.rebuild("kpi_daily")
    edit(
        folder, "kpi_daily", "tables.sql",
        "    guest_orders            bigint NOT NULL DEFAULT 0,",
        "    guest_orders            bigint NOT NULL DEFAULT 0,\n    mood                    text,",
    )  # fmt: skip
    (folder / "kpi_daily" / "tables.sql").write_text(
        (folder / "kpi_daily" / "tables.sql").read_text("utf-8")
        + "\n-- kpi_daily_notes: what is noted of a day.\nCREATE TABLE kpi_daily_notes (day date PRIMARY KEY);\n",
        "utf-8",
    )
    edit(folder, "kpi_daily", "queries.sql", "SELECT\n    kpi.store_id,", "SELECT\n    kpi.mood, kpi.store_id,")
    (folder / "kpi_daily" / "queries.sql").write_text(
        (folder / "kpi_daily" / "queries.sql").read_text("utf-8").replace(
            "-- totals:", "-- notes: all of them.\nSELECT note.day FROM kpi_daily_notes AS note"
            " WHERE :store_ids::uuid[] IS NULL;\n\n-- totals:",
        ),
        "utf-8",
    )  # fmt: skip
    new = raise_version(folder, "kpi_daily")
    changed = Projector(database, folder)
    changed.rebuild("kpi_daily")

    compared = changed.compare("kpi_daily", new - 1, new)

    assert compared.remarks == changed.compares("kpi_daily")[0].remarks
    assert set(compared.remarks) == {
        f"only version {new} has the table kpi_daily_notes",
        f"only version {new} has the column mood of kpi_daily",
        f"only version {new} has the query notes",
        f"only version {new} answers days with mood",
    }
    assert "query days" in compared.totals, "it was edited"
    assert compared.differing_rows == 0


# Events --------------------------------------------------------------------------------------------------------------


def test_named_events_explain_the_whole_difference(log: Log, projector: Projector) -> None:
    log.fill(2000)
    projector.rebuild("stock_valuation")

    compared = projector.whatif("stock_valuation", {"default_method": "fifo"}, sample=10_000)

    tried = several = 0
    for row in compared.sample:
        if row["table"] not in ("valuation_state", "valuation_days") or row["old"] is None or row["new"] is None:
            continue
        column = "value_minor" if row["table"] == "valuation_state" else "change_minor"
        real = row["new"][column] - row["old"][column]
        said = sum(
            (event["new"] or {}).get("value_minor", 0) - (event["old"] or {}).get("value_minor", 0)
            for event in row["events"]
        )
        positions = [event["position"] for event in row["events"]]
        assert row["event_count"] == len(positions)
        assert said == real, f"{row['table']} {row['key']}: the events explain {said} of {real}"
        tried += real != 0
        several += len(set(positions)) < len(positions)
    assert tried > 3 and several > 0, "one event corrected the value of several movements"


@pytest.mark.parametrize("name", PACKAGED)
def test_every_differing_row_of_every_table_names_its_events(
    trade: Log, projector: Projector, database: Database, folder: Path, name: str,
    connection: psycopg.Connection[Any],
) -> None:  # fmt: skip
    projector.rebuild(name)
    new = raise_version(folder, name)
    changed = Projector(database, folder)
    changed.rebuild(name)
    entry = changed.catalogue.entry(connection, name, new)
    assert entry is not None
    loaded = changed.loaded(connection, entry)
    there = [table for table in loaded.definition.tables if table_rows(connection, projector, name, table)]
    # Rows that are gone differ whatever the rules are.
    connection.execute(f"TRUNCATE {', '.join(loaded.table(table) for table in there)}")

    compared = changed.compare(name, new - 1, new, sample=100_000)

    named = {row["table"] for row in compared.sample if row["events"]}
    assert named == {row["table"] for row in compared.sample} == set(there)


def test_events_beyond_the_first_two_hundred_are_kept_counted_and_paged(
    log: Log, projector: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = log.world()
    for _ in range(230):
        world.pay(world.place(-1, [(0, 1)]))
    log.append(world)
    projector.rebuild("kpi_daily")

    compared = projector.whatif("kpi_daily", {"guest_order_is_buyer": "false"})

    (total,) = [row for row in projector.compare_rows(compared.id) if row.table == "query totals"]
    (shown,) = [row for row in compared.sample if row["table"] == "query totals"]
    assert (len(shown["events"]), shown["event_count"]) == (compare.EVENTS_MAX, 230)
    whole = projector.events_behind(compared, [total])[total.number]
    assert [event.place for event in whole] == list(range(1, 231)) and {event.of for event in whole} == {230}
    pages: list[explaining.EventBehind] = []
    while page := projector.events_behind(compared, [total], after=len(pages), limit=64)[total.number]:
        pages += page
    assert pages == whole
    assert all(event.old["of_buyers"] - event.new["of_buyers"] == 1 for event in whole if event.old and event.new)

    monkeypatch.setattr(compare, "EVENTS_KEPT_MAX", 300)
    bounded = projector.whatif("kpi_daily", {"guest_order_is_buyer": "false"})
    assert 0 < bounded.rows_with_events < bounded.differing_rows, "events of a row are kept all or not at all"
    behind = projector.events_behind(bounded, projector.compare_rows(bounded.id))
    assert set(behind) == set(range(1, bounded.rows_with_events + 1)), "the others are not known any more"
    assert [len(row["events"]) for row in bounded.sample] == [min(row["event_count"], 200) for row in bounded.sample]


def test_events_of_rows_that_were_not_kept_are_found_while_both_versions_stand_as_they_were(
    trade: Log, projector: Projector, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    projector.rebuild("kpi_daily")
    edit(folder, "kpi_daily", "projection.toml", "gmv_counts_freight = false", "gmv_counts_freight = true")
    new = raise_version(folder, "kpi_daily")
    changed = Projector(database, folder)
    changed.rebuild("kpi_daily")
    kept = changed.compare("kpi_daily", new - 1, new, sample=1)
    monkeypatch.setattr(compare, "EVENTS_OF_ROWS", 1)
    compared = changed.compare("kpi_daily", new - 1, new, sample=1)
    rows = changed.compare_rows(compared.id)
    assert compared.rows_with_events == 1 < len(rows) == kept.rows_with_events

    sent: list[Any] = []
    real = psycopg.Cursor.stream

    def noted(*given: Any, **more: Any) -> Any:
        sent.append(given[1])
        return real(*given, **more)

    monkeypatch.setattr(psycopg.Cursor, "stream", noted)
    assert changed.events_behind(compared, rows) == changed.events_behind(kept, rows)
    assert len(sent) == len({row.table for row in rows}) == 1 < len(rows), "one statement for the rows of a table"
    edit(folder, "kpi_daily", "projection.toml", "refund_counts_freight = false", "refund_counts_freight = true")
    Projector(database, folder).rebuild("kpi_daily", anew=True)
    assert set(Projector(database, folder).events_behind(compared, rows)) == {1}, "it is another version by now"


# Names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PACKAGED)
def test_names_fit_for_a_what_if_and_for_a_replay_of_the_longest_name(name: str) -> None:
    definition = PACKAGED[name]
    seen = set()
    for copy in (name, whatif.copy_name(definition), f"{'a' * 20}/{name}", f"{'a' * 19}b/{name}", f"{'é' * 20}/{name}"):
        loaded = Loaded(definition, "opscore", copy)
        made = [loaded.prefix + each for each in ("rules", "rules_by_day", *(each for _, each in definition.created))]
        assert all(len(each.encode()) <= 63 for each in made)
        assert not seen & set(made)
        seen |= set(made)
    assert Loaded(definition, "opscore").prefix == f"{name}_v{definition.version}__", "a name that fits stays"


def test_a_name_that_no_prefix_makes_room_for_is_refused() -> None:
    texts = dict(PACKAGED["traffic"].texts)
    texts["tables.sql"] += f"\n-- long: it.\nCREATE INDEX {'i' * 60} ON traffic_reports (day);\n"
    with pytest.raises(SqlFileError, match="a name of 60 letters; shorten it"):
        Loaded(Definition("traffic", texts), "opscore")


def test_a_what_if_and_a_replay_of_the_longest_name_answer_for_every_projection(
    log: Log, projector: Projector, connection: psycopg.Connection[Any]
) -> None:
    log.fill(300)
    projector.deploy()
    copies = projector.replay(log.head(), "m" * 20)
    assert {copy.name.rpartition("/")[2] for copy in copies} == set(PACKAGED)
    before = projector.run_query("campaign_results", "results", store_ids=None)
    assert projector.run_query(f"{'m' * 20}/campaign_results", "results", store_ids=None) == before

    compared = projector.whatif("campaign_results", {"gifts_are_units": "true"})

    assert set(compared.totals) == set(PACKAGED["campaign_results"].tables)
    (left,) = connection.execute("SELECT count(*) FROM pg_class WHERE starts_with(relname, 'whatif_')").fetchall()
    assert left == (0,), "the copy is gone to the last index"


def test_a_comparison_tells_how_far_it_is_and_leaves_nothing_when_it_is_stopped(
    trade: Log, database: Database, folder: Path
) -> None:
    Projector(database, folder).deploy()
    version = raise_version(folder, "kpi_daily")
    projector = Projector(database, folder)
    projector.rebuild("kpi_daily")
    told: list[tuple[int, int]] = []
    projector.compare("kpi_daily", version - 1, version, progress=lambda done, parts: told.append((done, parts)))
    parts = told[0][1]
    assert told == [(done, parts) for done in range(parts + 1)] and parts > 4

    class Enough(Exception):
        pass

    def stop(done: int, parts: int) -> None:
        if done == 2:
            raise Enough

    stored = projector.compares_count("kpi_daily")
    with pytest.raises(Enough):
        projector.compare("kpi_daily", version - 1, version, progress=stop)
    assert projector.compares_count("kpi_daily") == stored == 1

"""A projection's folder: how it is read, what is refused and how the refusal says what to do."""

from __future__ import annotations

import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated
from uuid import UUID

import pytest
from msgspec import Meta

from opscore import resources
from opscore.domain.aggregate import EVENT_CLASSES, Event
from opscore.domain.values import Value
from opscore.projector import lock, read_all
from opscore.projector.folder import Definition, Loaded
from opscore.projector.relations import every_event_cte, relations_of, snake
from opscore.projector.sqltext import SqlFileError, bind, canonical, qualify, statements


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of one projection that a test may break."""
    return Path(shutil.copytree(resources.path("projections") / "kpi_daily", tmp_path / "kpi_daily"))


def test_every_projection_of_the_package_reads_well_and_has_a_lock_line() -> None:
    folder = resources.path("projections")
    definitions = read_all(folder)
    assert set(definitions) == {
        "ad_service", "agency", "campaign_results", "costs", "customer_card", "directory", "funds", "heroes",
        "inquiries", "kpi_daily", "kpi_facts", "order_book", "purchasing", "reviews", "stock_facts", "stock_ledger",
        "stock_valuation", "traffic",
    }  # fmt: skip
    lock.refuse_edited(folder, definitions)
    assert lock.unlocked(folder, definitions) == []
    for definition in definitions.values():
        loaded = Loaded(definition, "opscore")
        assert loaded.apply
        assert loaded.queries
        assert loaded.checks
        assert loaded.explains, f"{definition.name} cannot explain its figures"
        assert set(loaded.explains) <= {*definition.tables, *loaded.queries}


@pytest.mark.parametrize(
    ("projection", "aggregates"),
    [("customer_card", {"Customer"}), ("directory", {"Store", "Sku"}), ("campaign_results", {"Campaign"})],
)
def test_what_says_when_an_aggregate_changed_looks_at_all_of_its_events(projection: str, aggregates: set[str]) -> None:
    loaded = Loaded(read_all(resources.path("projections"))[projection], "opscore")
    [changed] = [each for each in loaded.apply if each.name == "changed"]
    looked_at = changed.statement.strings or changed.events

    assert looked_at == {name for name, kind in EVENT_CLASSES.items() if kind.AGGREGATE.__name__ in aggregates}


def test_an_order_changes_by_each_of_its_events() -> None:
    definition = read_all(resources.path("projections"))["order_book"]
    [orders] = [each for each in definition.statements("apply.sql") if each.name == "orders"]
    own = {name for name, kind in EVENT_CLASSES.items() if kind.AGGREGATE.__name__ == "Order"}

    # The last of the window is looked up in every_event; which it is, is told by relations that are named one by one.
    assert {snake(name) for name in own} <= orders.names
    assert set(definition.events) == own


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("projection.toml", "version = 3", "", "add 'version'"),
        ("projection.toml", "version = 3", "version = 0", "versions start at 1"),
        ("projection.toml", "version = 3", 'version = "a"', "versions start at 1"),
        ("projection.toml", "version = 3", f"version = {2**31}", "versions end at 2147483647"),
        ("projection.toml", "version = 3", "version = = 3", "is no TOML: Invalid value"),
        ("projection.toml", '"OrderRefunded"', "7", "events is a list of names"),
        ("projection.toml", '"OrderRefunded"', '"OrderForgotten"', "no event OrderForgotten"),
        ("projection.toml", '"OrderRefunded"', '"OrderRefunded", "OrderShipped"', "no statement reads"),
        ("projection.toml", ', "OrderRefunded"', "", "reads OrderRefunded; add it to events"),
        ("projection.toml", "guest_order_is_buyer = true", "share = 0.5", "a float is not exact"),
        ("projection.toml", "guest_order_is_buyer = true", "shares = [1]", "rule shares must be"),
        ("queries.sql", ":store_ids", ":shops", "must filter by :store_ids"),
        ("apply.sql", "-- paid:", "-- paid", "above the statement"),
        ("apply.sql", "-- buyers:", "-- paid:", "two statements are named paid"),
        (
            "explain.sql",
            "SELECT paid.position, paid.stream_id, 'OrderPaid' AS event",
            "SELECT paid.*",
            "name the columns",
        ),
        ("tables.sql", "CREATE TABLE kpi_daily_buyers", "CREATE TABLE order_paid", "name of an event relation"),
        ("tables.sql", "CREATE TABLE kpi_daily_buyers", "DROP TABLE kpi_daily_buyers", "creates nothing"),
    ],
)
def test_a_folder_that_breaks_a_rule_is_refused_with_its_remedy(
    folder: Path, file: str, old: str, new: str, says: str
) -> None:
    text = (folder / file).read_text("utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new), "utf-8")

    with pytest.raises(SqlFileError, match=says):
        definition = Definition.read(folder)
        Loaded(definition, "opscore").explains  # noqa: B018
        definition.rules  # noqa: B018


def test_a_query_for_the_whole_operator_has_to_be_declared(folder: Path) -> None:
    path = folder / "queries.sql"
    path.write_text(path.read_text("utf-8").replace(":store_ids", ":shops"), "utf-8")
    toml = folder / "projection.toml"
    toml.write_text('operator_wide = ["days", "periods", "totals"]\n' + toml.read_text("utf-8"), "utf-8")

    assert Definition.read(folder).operator_wide == {"days", "periods", "totals"}


def test_rules_are_exact_and_typed(folder: Path) -> None:
    toml = folder / "projection.toml"
    text = toml.read_text("utf-8") + 'rate = { decimal = "0.015" }\nsince = 2025-02-01\nname = "x"\ncount = 3\n'
    toml.write_text(text, "utf-8")

    rules = Definition.read(folder).rules

    assert rules["rate"] == Decimal("0.015")
    assert (rules["since"], rules["name"], rules["count"]) == (date(2025, 2, 1), "x", 3)


def test_names_of_a_version_are_qualified_and_nothing_else_is() -> None:
    sql = "SELECT a.days, 'days', \"days\" AS days FROM days AS a -- days\nWHERE f(days.x) > 1"
    assert qualify(sql, {"days": '"s"."p_v1__days"'}) == (
        'SELECT a.days, \'days\', "days" AS days FROM "s"."p_v1__days" AS a -- days\nWHERE f("s"."p_v1__days".x) > 1'
    )
    assert qualify("AS $$ SELECT f(1) $$", {"f": "g"}) == "AS $$ SELECT f(1) $$"
    assert qualify("AS $$ SELECT f(1) $$", {"f": "g"}, bodies=True) == "AS $$ SELECT g(1) $$"


def test_parameters_are_bound_and_casts_and_percent_signs_survive() -> None:
    assert bind("x % 2 = :rest::int AND y LIKE ':no%'") == "x %% 2 = %(rest)s::int AND y LIKE ':no%%'"


def test_a_file_is_cut_into_statements_by_its_semicolons_alone() -> None:
    found = statements(
        "-- one: first; thing\nSELECT ';' ;\n-- two: second\n-- note: more\nSELECT $$;$$ -- so: it is\n;", "f"
    )
    assert [(each.name, each.description, each.sql) for each in found] == [
        ("one", "first; thing", "SELECT ';'"),
        ("two", "second", "SELECT $$;$$"),
    ]


def test_comments_and_spacing_are_no_part_of_a_rule() -> None:
    assert canonical("SELECT  1 -- one\n + 2") == canonical("SELECT 1 + 2")
    assert canonical("SELECT 1") != canonical("SELECT 2")


class Amount(Value):
    minor: int
    currency: str


class Part(Value):
    number: int
    price: Decimal
    paid: Amount | None = None
    tags: tuple[Amount, ...] = ()


def test_an_event_becomes_typed_columns_and_child_relations() -> None:
    class Assembled(Event):
        store_id: UUID
        name: Annotated[str, Meta(max_length=9)]
        total: Amount
        parts: tuple[Part, ...]
        codes: tuple[UUID, ...] = ()
        notes: dict[str, str] | None = None

    parent, child = relations_of(Assembled)

    assert parent.name == "assembled"
    assert parent.columns["total_minor"] == "(event.data->'total'->>'minor')::bigint"
    assert parent.columns["name"] == "(event.data->>'name')"
    assert parent.columns["codes"].endswith("::uuid[]")
    assert parent.columns["notes"] == "(event.data->'notes')"
    assert parent.columns["store_id"] == "event.store_id"
    assert child.name == "assembled_parts"
    assert child.columns["price"] == "(item.data->>'price')::numeric"
    assert child.columns["paid_currency"] == "(item.data->'paid'->>'currency')"
    assert child.columns["tags"] == "(item.data->'tags')"
    assert child.columns["ordinal"] == "item.ordinal"
    assert child.columns["total_currency"] == "(event.data->'total'->>'currency')"


def test_what_several_events_have_under_one_name_is_one_column_over_all_of_them() -> None:
    class Packed(Event):
        units: Decimal
        note: str
        type: str

    class Sent(Event):
        units: Decimal
        note: int
        courier: str | None

    relations = [relation for event in (Sent, Packed) for relation in relations_of(event)]
    text = every_event_cte("opscore", relations, {"units", "note", "type", "courier", "data"})

    assert text.startswith("every_event AS (SELECT event.position, ")
    assert (
        "event.type, event.data, (event.data->>'units')::numeric AS units, (event.data->>'courier') AS courier" in text
    )
    assert "event.type IN ('Packed', 'Sent')" in text
    assert " AS note" not in text and " AS type" not in text
    assert "units" not in every_event_cte("opscore", relations, {"courier"})


def test_a_type_that_is_looked_for_among_every_event_has_to_be_declared(folder: Path) -> None:
    apply = folder / "apply.sql"
    more = "-- gone: what left.\nDELETE FROM kpi_daily USING every_event AS one WHERE one.type = 'OrderShipped';\n"
    apply.write_text(f"{apply.read_text('utf-8')}\n{more}", "utf-8")

    with pytest.raises(SqlFileError, match="gone reads OrderShipped; add it to events"):
        Definition.read(folder)


def test_every_event_of_the_domain_has_a_relation() -> None:
    names = [relation.name for event in EVENT_CLASSES.values() for relation in relations_of(event)]
    assert len(names) == len(set(names))
    assert {"order_paid", "order_placed_lines", "stock_received"} <= set(names)


@pytest.mark.parametrize("file", ["projection.toml", "apply.sql"])
def test_a_file_that_is_no_text_is_named(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b"\xff\xfe")
    with pytest.raises(SqlFileError, match=f"kpi_daily/{file} is no text in UTF-8"):
        Definition.read(folder)


@pytest.mark.parametrize("line", [b"garbage", b"kpi_daily three abc", b"\xff"])
def test_a_line_of_the_lock_that_is_none_is_named(tmp_path: Path, line: bytes) -> None:
    (tmp_path / lock.FILE).write_bytes(b"# Versions\n" + line + b"\n")
    with pytest.raises(SqlFileError, match="line 2: write NAME VERSION DIGEST"):
        lock.read(tmp_path)

"""The words about projections, run as an operator runs them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import parquet

from opscore.api.ids import global_id
from opscore.database import Database
from opscore.domain.customer_commands import SetContactCard
from opscore.domain.order_commands import PayOrder
from opscore.projector import read_all
from opscore.settings import Settings
from opscore.writer import Writer
from tests.shop import Shop
from tests.test_cli import environment, run

__all__ = ["environment"]


@pytest.fixture
def shop(database: Database, settings: Settings) -> Iterator[Shop]:
    """A store in which one paid order with freight stands."""
    writer = Writer(database, settings)
    writer.start()
    shop = Shop.open(writer)
    sku = shop.sku("CUP", stock=10)
    order = shop.do(shop.order((sku, 2), freight_minor=495, external_reference="R-7"))
    shop.do(PayOrder(order_id=order, amount_minor=2495, method="card", currency="GBP"))
    yield shop
    writer.stop()


def test_nothing_built_yet_is_said_with_what_to_do(environment: dict[str, str]) -> None:
    assert "opscore projections rebuild" in run(environment, "projections", "list")


def test_an_operator_starts_a_folder_adds_and_changes_rules_without_touching_the_package(
    environment: dict[str, str], shop: Shop, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    assert f"OPSCORE_PROJECTIONS={own}" in run(environment, "projections", "init", str(own))
    assert "something in it" in run(environment, "projections", "init", str(own), code=1)
    assert "projections init" in run(environment, "projections", "copy", "kpi_daily", code=1)
    mine = {**environment, "OPSCORE_PROJECTIONS": str(own)}
    run(mine, "projections", "rebuild", "income_split")

    listed = run(mine, "projections", "show", "income_split")
    assert "--query funds" in listed and "--set from_day=date" in listed and 'rule other_share = "0.10"' in listed
    rows = list(csv.DictReader(io.StringIO(run(
        mine, "projections", "show", "income_split", "--query", "entries", "--format", "csv"
    ))))  # fmt: skip
    assert [(row["amount_minor"], row["other_minor"], row["purchasing_minor"]) for row in rows] == [
        ("2495", "249", "1997")
    ]
    printed = run(mine, "projections", "show", "income_split", "--query", "entries")
    assert "2,495" in printed and "Version 1 at position" in printed
    line = json.loads(run(
        mine, "projections", "show", "income_split", "--query", "funds", "--set", "from_day=2020-01-01",
        "--format", "jsonl",
    ))  # fmt: skip
    assert line["working_minor"] == 249
    assert "takes from_day" in run(
        mine, "projections", "show", "income_split", "--query", "funds", "--set", "x=1", code=1
    )

    asked = run(mine, "projections", "whatif", "income_split", "--set", "other_share=0.5")
    assert "other_minor: 249 -> 1,247 (998)" in asked and "Nothing was changed" in asked
    file = tmp_path / "whatif.csv"
    change = ("--set", "other_share=0.5", "--export", str(file), "--rows", "0")
    assert "differing value" in run(mine, "projections", "whatif", "income_split", *change)
    lines = list(csv.DictReader(io.StringIO(file.read_text("utf-8"))))
    assert {line["column"] for line in lines} >= {"other_minor"}
    assert all(line["events"].isdecimal() and line["event_count"] == "1" for line in lines), "though the copy is gone"
    assert "other_share=0.10" in run(mine, "projections", "whatif", "income_split", "--set", "othr=1", code=1)
    assert "no day" in run(
        mine, "projections", "whatif", "income_split", "--set", "other_share=1", "--from", "May", code=1
    )

    run(mine, "projections", "rebuild", "kpi_daily")
    assert "version 4" in run(mine, "projections", "copy", "kpi_daily")
    rules = own / "kpi_daily" / "projection.toml"
    rules.write_text(rules.read_text("utf-8").replace("gmv_counts_freight = false", "gmv_counts_freight = true"))
    run(mine, "projections", "rebuild", "kpi_daily")
    for kind in ("csv", "parquet"):
        file = tmp_path / f"difference.{kind}"
        said = run(mine, "projections", "compare", "kpi_daily", "3", "4", "--export", str(file))
        assert "1 differing value" in said
    assert "should end in" in run(
        mine, "projections", "compare", "kpi_daily", "3", "4", "--export", str(tmp_path / "x.xls"), code=1
    )
    [written] = list(csv.DictReader(io.StringIO((tmp_path / "difference.csv").read_text("utf-8"))))
    assert (written["column"], written["old"], written["new"], written["difference"]) == (
        "gmv_minor", "2000", "2495", "495",
    )  # fmt: skip
    assert written["events"].isdecimal()
    assert parquet.read_table(tmp_path / "difference.parquet").to_pylist() == [
        {**written, "number": int(written["number"]), "event_count": 1}
    ]
    assert "those that were never promoted included" in " ".join(run(mine, "replay", "--help").split())
    run(mine, "replay", "--until", "100000", "--into", "newest")
    serving, replayed = (
        run(mine, "projections", "show", "kpi_daily", "--query", "totals", *which) for which in ((), ("--as", "newest"))
    )
    assert "2,000" in serving and "2,495" not in serving
    assert "2,495" in replayed, "by version 4, which nobody has promoted yet"
    run({**mine, "LOGNAME": "ann"}, "projections", "promote", "kpi_daily", "4")
    run(mine, "projections", "promote", "kpi_daily", "3", "--by", "ben")
    latest, first = run(mine, "projections", "history", "kpi_daily").splitlines()[1:3]
    assert latest.split()[:4] == ["kpi_daily", "3", "3", "4"] and " ben " in latest
    assert first.split()[:4] == ["kpi_daily", "2", "4", "3"] and " ann " in first
    assert "locked, income_split, kpi_daily newly" in run(mine, "projections", "lock")
    assert "No version was replaced" in run(mine, "projections", "drop", "--superseded-days", "1")


def test_a_replay_says_what_it_does_and_its_copies_can_be_asked(environment: dict[str, str], shop: Shop) -> None:
    beyond = run(environment, "replay", "--until", "100000", "--into", "all")
    assert "The log ends at position" in beyond and "projections show kpi_daily --as all" in beyond
    shown = run(environment, "projections", "show", "kpi_daily", "--query", "totals", "--as", "all")
    assert "2,000" in shown
    assert "add --replace" in run(environment, "replay", "--until", "10", "--into", "all", code=1)
    run(environment, "replay", "--until", "10", "--into", "all", "--replace")
    assert "2,000" not in run(environment, "projections", "show", "kpi_daily", "--query", "totals", "--as", "all")
    assert "Say either" in run(environment, "replay", "--until", "10", code=1)


def test_the_life_of_one_aggregate_is_printed_with_the_state_after_each_event_and_no_personal_data(
    environment: dict[str, str], shop: Shop
) -> None:
    customer = shop.customer()
    shop.do(SetContactCard(customer_id=customer, consent=True, name="Anna Meier", email="anna@example.com"))

    lines = [json.loads(line) for line in run(environment, "replay", "--stream", "R-7").splitlines()]
    assert [line["type"] for line in lines] == ["OrderPlaced", "PaymentReceived", "OrderPaid"]
    assert [len(line["state"]["payments"]) for line in lines] == [0, 1, 1]
    assert [line["version"] for line in lines] == [1, 2, 3]
    first = lines[0]["position"]
    (only,) = run(environment, "replay", "--stream", "R-7", "--until", str(first)).splitlines()
    assert json.loads(only)["type"] == "OrderPlaced"

    life = run(environment, "replay", "--stream", global_id("Customer", customer))
    assert life == run(environment, "replay", "--stream", str(customer))
    assert "ContactCardSet" in life and "v1." in life
    assert "Anna" not in life and "anna@" not in life
    assert "Nothing goes by" in run(environment, "replay", "--stream", "R-8", code=1)
    assert "no event of" in run(environment, "replay", "--stream", str(shop.location_id), code=1)


def test_what_cannot_be_is_said_before_any_work_is_done(
    environment: dict[str, str], shop: Shop, tmp_path: Path
) -> None:
    store, file = global_id("Store", shop.store_id), str(tmp_path / "events.csv")
    assert "rows as of" in run(environment, "export", "events", "--store", store, "--out", file)
    assert str(shop.store_id) in Path(file).read_text("utf-8")
    wrong = global_id("Sku", shop.store_id)
    for words in (
        ("export", "events"),
        ("webhook", "add", "https://example.com/"),
        ("token", "create", "x", "--role=owner"),
    ):
        assert "neither the global id of a store nor" in run(environment, *words, "--store", wrong, code=1)
    period = ("--since", "2026-02-01T00:00:00Z", "--before", "2026-01-01T00:00:00Z")
    assert "ends before it begins" in run(environment, "export", "events", *period, code=1)
    run(environment, "projections", "rebuild", "kpi_daily")
    twice = ("--set", "gmv_counts_freight=true", "--set", "gmv_counts_freight=false")
    assert "gmv_counts_freight is given twice" in run(environment, "projections", "whatif", "kpi_daily", *twice, code=1)
    for words in (("whatif", "kpi_daily", *twice[:2]), ("compare", "kpi_daily", "3", "3")):
        said = run(environment, "projections", *words, "--export", "rows.xls", code=1)
        assert said == "rows.xls should end in .csv or .parquet\n"


def test_an_update_is_built_compared_and_let_serve_by_one_word(
    environment: dict[str, str], shop: Shop, tmp_path: Path
) -> None:
    assert "Every projection serves its newest version." in run(environment, "projections", "upgrade")
    own = tmp_path / "own"
    run(environment, "projections", "init", str(own))
    mine = {**environment, "OPSCORE_PROJECTIONS": str(own)}
    run(mine, "projections", "copy", "kpi_daily")
    version = read_all(own)["kpi_daily"].version

    assert "there is no projection kpi_dayly (did you mean kpi_daily?)" in run(
        mine, "projections", "upgrade", "kpi_dayly", code=1
    )
    said = run(mine, "projections", "upgrade")
    assert re.search(rf"kpi_daily +{version - 1} +{version} +0 +ready", said)
    assert "opscore projections upgrade --promote" in said
    assert re.search(rf"kpi_daily +{version - 1} +serving", run(mine, "projections", "list"))

    said = run(mine, "projections", "upgrade", "kpi_daily", "--promote", "--by", "ann")
    assert re.search(rf"kpi_daily +{version - 1} +{version} +0 +serving", said)
    assert re.search(rf"kpi_daily .* {version} .* ann ", run(mine, "projections", "history", "kpi_daily"))
    assert "Every projection serves its newest version." in run(mine, "projections", "upgrade")


def test_what_cannot_be_let_serve_is_said_and_the_others_are(
    environment: dict[str, str], shop: Shop, tmp_path: Path
) -> None:
    run(environment, "projections", "rebuild")
    own = tmp_path / "own"
    run(environment, "projections", "init", str(own))
    mine = {**environment, "OPSCORE_PROJECTIONS": str(own)}
    for name in ("kpi_daily", "order_book"):
        run(mine, "projections", "copy", name)
    checks = own / "kpi_daily" / "checks.sql"
    failing = "-- never_sold: a day on which something was sold.\nSELECT day.store_id, day.day FROM kpi_daily AS day;\n"
    checks.write_text(f"{checks.read_text('utf-8')}\n{failing}", "utf-8")
    said = run(mine, "projections", "upgrade", "--promote", code=1)
    assert re.search(r"kpi_daily .* refused", said) and re.search(r"order_book .* serving", said)
    assert "never_sold" in said and "not every projection could be let serve" in said

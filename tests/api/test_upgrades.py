"""After an update: what an earlier version of a read model cannot tell is refused in words, all else it answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from opscore import resources
from opscore.domain.command import Origin, Role
from opscore.domain.order_commands import PayOrder
from opscore.exports.datasets import Dataset, Wanted
from opscore.exports.files import write
from opscore.exports.formats import Format
from opscore.projector import Outdated, Projector, read_all
from tests.api.conftest import Api, gid
from tests.projections.test_compares import edit
from tests.shop import Shop

Edit = tuple[str, str, str]
"""(file, old, new)"""
Serve = Callable[..., int]
NOON = datetime(2020, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def serve_earlier(api: Api, tmp_path: Path) -> Iterator[Serve]:
    """Let a version of before the packaged one serve, made by edits of the packaged one."""
    newest = read_all(resources.path("projections"))
    folder = Path(shutil.copytree(resources.path("projections"), tmp_path / "earlier"))
    (folder / "versions.lock").unlink()
    projector = Projector(api.server.database, folder)
    served: list[str] = []

    def serve(name: str, *edits: Edit) -> int:
        version = newest[name].version
        edit(folder, name, "projection.toml", f"version = {version}\n", f"version = {version - 1}\n")
        for file, old, new in edits:
            edit(folder, name, file, old, new)
        projector.rebuild(name)
        projector.compare(name, version, version - 1)
        projector.promote(name, version - 1, by="ann")
        served.append(name)
        return version - 1

    yield serve
    for name in served:
        version = newest[name].version
        api.server.projector.compare(name, version - 1, version)
        api.server.projector.promote(name, version, by="ann")
        api.server.projector.drop(name, version - 1)


@pytest.fixture(scope="module")
def sold(api: Api) -> dict[str, Any]:
    """A paid order of one article; returns the ids."""
    shop = Shop.open(api.server.writer)
    sku = shop.sku("CUP", stock=10)
    # Imported, so that nobody lets it lapse in between: its time to be paid is long over.
    then: dict[str, Any] = {"occurred_at": NOON, "origin": Origin.IMPORT}
    order = shop.do(shop.order((sku, 2)), **then)
    shop.do(PayOrder(order_id=order, amount_minor=2000, method="card", currency="GBP"), **then)
    return {"sku": gid("Sku", sku), "order": gid("Order", order)}


def refused(api: Api, document: str, variables: dict[str, Any] | None = None) -> str:
    """Return why a question is not answered for the time being."""
    body = api.post({"query": document, "variables": variables}).json()
    assert [each["extensions"]["code"] for each in body["errors"]] == ["NOT_READY"], body
    message: str = body["errors"][0]["message"]
    return message


def test_a_query_that_the_serving_version_has_not_is_said_to_need_a_newer_one(
    api: Api, sold: dict[str, Any], serve_earlier: Serve
) -> None:
    version = serve_earlier(
        "stock_ledger",
        ("queries.sql", "-- batches:", "-- batches_of_then:"),
        ("projection.toml", "\nbatches =", "\nbatches_of_then ="),
    )
    said = refused(api, "query ($id: ID!) { stockBatches(skuIds: [$id]) { batch } }", {"id": sold["sku"]})
    assert said == (
        f"stock_ledger version {version}, which answers, has no query batches; version {version + 1} has; compare the"
        " two and let it serve: opscore projections upgrade stock_ledger --promote"
    )
    levels = "query ($id: ID!) { stockLevels(skuIds: [$id]) { onHand } }"
    assert api.ask(levels, {"id": sold["sku"]})["stockLevels"] == [{"onHand": "10"}]


def test_a_column_is_missed_only_by_those_who_ask_for_it(api: Api, sold: dict[str, Any], serve_earlier: Serve) -> None:
    version = serve_earlier("order_book", ("queries.sql", "book.surge, ", ""))
    assert f"order_book version {version}, which answers, has no column surge" in refused(
        api, "{ orders(first: 1) { nodes { surge } } }"
    )
    assert api.ask("{ orders(first: 1) { nodes { id status } } }")["orders"]["nodes"] == [
        {"id": sold["order"], "status": "PAID"}
    ]
    version = serve_earlier("stock_ledger", ("queries.sql", "sku.low_line, sku.high_line,", "sku.low_line,"))
    assert f"stock_ledger version {version}, which answers, has no column high_line" in refused(
        api, "{ stockBalances(first: 1) { edges { node { highLine } } } }"
    )
    assert api.ask("{ stockBalances(first: 1) { nodes { skuCode isLow } } }")["stockBalances"]["nodes"] == [
        {"skuCode": "CUP", "isLow": False}
    ]


def test_an_order_book_of_before_numbers_names_what_is_due_all_the_same(
    api: Api, sold: dict[str, Any], serve_earlier: Serve
) -> None:
    serve_earlier("order_book", ("queries.sql", "book.position, book.number,", "book.position,"))
    assert "has no column number" in refused(api, "{ orders(first: 1) { nodes { number } } }")
    number = api.ask("query ($id: ID!) { order(id: $id) { number } }", {"id": sold["order"]})["order"]["number"]
    due = '{ ordersDue(before: "2100-01-01T00:00:00Z") { orderId orderNumber } }'
    assert api.ask(due)["ordersDue"] == [{"orderId": sold["order"], "orderNumber": number}]


def test_what_a_directory_of_before_has_not_of_articles_is_read_from_the_log(
    api: Api, sold: dict[str, Any], serve_earlier: Serve
) -> None:
    serve_earlier("directory", ("queries.sql", "sku.unit, ", ""))
    [article] = api.ask("{ skus(first: 9) { nodes { id code unit status } } }")["skus"]["nodes"]
    assert (article["id"], article["unit"], article["status"]) == (sold["sku"], "piece", "READY")


def test_a_column_that_is_looked_for_in_a_row_is_missed_as_well(
    api: Api, sold: dict[str, Any], serve_earlier: Serve
) -> None:
    version = serve_earlier("stock_valuation", ("queries.sql", "exact.mean_cost, ", ""))
    assert f"stock_valuation version {version}, which answers, has no column mean_cost" in refused(
        api, "query ($id: ID!) { stockLevels(skuIds: [$id]) { unitCost { amount } } }", {"id": sold["sku"]}
    )


def test_a_figure_of_facts_that_are_not_kept_yet_is_no_zero(
    api: Api, sold: dict[str, Any], serve_earlier: Serve
) -> None:
    version = serve_earlier("kpi_facts", ("queries.sql", "'sold_in_campaigns'", "'sold_in_offers'"))
    kpi = 'query ($code: String!) { kpi(code: $code, grain: TOTAL, fromDay: "2020-01-01", toDay: "2020-12-31") '
    asked = kpi + "{ rows { value } } }"
    assert f"kpi_facts version {version}, which answers, has no measure sold_in_campaigns" in refused(
        api, asked, {"code": "K064"}
    )
    assert [float(row["value"]) for row in api.ask(asked, {"code": "K017"})["kpi"]["rows"]] == [20]


def test_facts_of_before_sources_are_not_narrowed_to_one_by_leaving_that_out(
    api: Api, sold: dict[str, Any], serve_earlier: Serve
) -> None:
    serve_earlier("kpi_facts", ("queries.sql", "AND (:source::text IS NULL OR came.source = :source::text)", ""))
    asked = 'kpi(code: "K017", grain: TOTAL, fromDay: "2020-01-01", toDay: "2020-12-31"'
    assert [float(row["value"]) for row in api.ask(f"{{ {asked}) {{ rows {{ value }} }} }}")["kpi"]["rows"]] == [20]
    for narrowed in ("by: SOURCE", "source: DIRECT"):
        assert "knows no source" in refused(api, f"{{ {asked}, {narrowed}) {{ rows {{ value }} }} }}")
    assert api.ask(f'{{ {asked}, device: "app") {{ rows {{ value }} }} }}')["kpi"]["rows"] == []


def test_facts_of_before_channels_and_breakdowns_are_counted_and_compared(
    api: Api, sold: dict[str, Any], serve_earlier: Serve
) -> None:
    text = (resources.path("projections") / "kpi_facts" / "queries.sql").read_text("utf-8")
    columns = text[text.index("fact.channel, fact.amount, CASE") : text.index("AS slice") + len("AS slice")]
    serve_earlier("kpi_facts", ("queries.sql", columns, "fact.amount"))
    asked = 'kpi(code: "K017", grain: TOTAL, fromDay: "2020-01-01", toDay: "2020-12-31"'
    assert [float(row["value"]) for row in api.ask(f"{{ {asked}) {{ rows {{ value }} }} }}")["kpi"]["rows"]] == [20]
    assert "knows no breakdowns" in refused(api, f"{{ {asked}, by: CHANNEL) {{ rows {{ value }} }} }}")


def test_an_export_of_what_the_serving_version_has_not_fails_in_the_same_words(
    api: Api, sold: dict[str, Any], serve_earlier: Serve, tmp_path: Path
) -> None:
    serve_earlier(
        "stock_valuation", ("queries.sql", "exact.mean_cost, ", ""), ("queries.sql", "values_after", "values_told")
    )
    server = api.server
    for dataset, what in ((Dataset.STOCK_LEVELS, "column mean_cost"), (Dataset.STOCK_MOVEMENTS, "query values_after")):
        file = tmp_path / f"{dataset}.csv"
        with pytest.raises(Outdated, match=f"has no {what}"):
            write(server.database, server.projector, Wanted(dataset, None), Format.CSV, Role.OWNER, file)
        assert not file.exists()

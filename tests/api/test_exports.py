"""Exports over the API: asked for, watched, fetched with the token that asked, and by no other."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from opscore.api.errors import log as error_log
from opscore.domain.command import Role
from opscore.domain.sku_events import StockCondition, WriteOffKind
from opscore.domain.stock_commands import (
    CountStock,
    ReceiveStock,
    ReleaseReservation,
    ReserveStock,
    ShipStock,
    TakeBackStock,
    TransferStock,
    WriteOffStock,
)
from opscore.domain.store_commands import AddLocation, SetPolicy
from opscore.domain.values import derived_id
from opscore.tokens import create_token, list_tokens, revoke_token
from tests.api.conftest import Api, gid
from tests.reached import wait_for
from tests.shop import Shop

JOB = "id dataset format storeIds state reason rows percent position manifest url requestedBy"
START = f"""
mutation ($input: StartExportInput!) {{
  startExport(input: $input) {{ replayed exportJob {{ {JOB} }} userErrors {{ code message path ids }} }}
}}
"""


@pytest.fixture(scope="module")
def other(api: Api, shop: Shop) -> Shop:
    """Another store, and orders in both."""
    other = Shop.open(shop.writer, name="Elsewhere")
    for each in (shop, other):
        sku = each.sku()
        each.do(each.order((sku, 1)))
    position = api.server.services.log.head().position
    api.ask("query ($p: Position) { orders(first: 1, atLeast: $p) { nodes { id } } }", {"p": position})
    return other


def start(api: Api, token: str = "", **given: Any) -> dict[str, Any]:
    wanted = {"dataset": "ORDERS", "format": "CSV", "idempotencyKey": str(uuid4()), **given}
    found: dict[str, Any] = api.ask(START, {"input": wanted}, token=token)["startExport"]
    return found


def finished(api: Api, token: str = "", **given: Any) -> dict[str, Any]:
    """Ask for an export and wait until it has ended."""
    answer = start(api, token, **given)
    assert answer["userErrors"] == [], answer
    job: dict[str, Any] = answer["exportJob"]
    until = time.monotonic() + 30
    while job["state"] in ("WAITING", "RUNNING"):
        assert time.monotonic() < until, job
        time.sleep(0.02)
        api.server.exports.hint()
        document = f"query ($id: UUID!) {{ exportJob(id: $id) {{ {JOB} }} }}"
        job = api.ask(document, {"id": job["id"]}, token=token)["exportJob"]
    return job


def fetch(api: Api, path: str, token: str | None, **headers: str) -> Any:
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return api.client.get(path, headers=headers)


def test_a_file_is_asked_for_written_and_fetched(api: Api, shop: Shop, other: Shop) -> None:
    job = finished(api)
    assert (job["state"], job["percent"], job["requestedBy"]) == ("DONE", 100, "owner")
    assert job["url"] == f"/exports/{job['id']}" and job["storeIds"] is None
    answer = fetch(api, job["url"], api.token())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f'filename="orders-{job["position"]}.csv"' in answer.headers["content-disposition"]
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["cache-control"] == "private, no-store"
    digest = hashlib.sha256(answer.content).digest()
    assert job["manifest"]["sha256"] == digest.hex()
    assert answer.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest).decode()}:"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == job["rows"] == job["manifest"]["rows"]
    assert {row["store_id"] for row in rows} == {str(shop.store_id), str(other.store_id)}
    part = fetch(api, job["url"], api.token(), range="bytes=0-9")
    assert (part.status_code, part.content) == (206, answer.content[:10]), "a broken download can be gone on with"


MOVEMENTS = """
query ($after: String, $at: Position!) {
  stockMovements(first: 100, after: $after, sort: { by: POSITION, direction: ASC }, atLeast: $at) {
    nodes {
      position leg kind skuId onHand runningOnHand runningQuantity
      unitCost { amount } value { amount } adjustment { amount } runningValue { amount }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""
LEVELS = "query ($ids: [ID!]!) { stockLevels(skuIds: $ids) { skuId locationId onHand sellable unitCost { amount } } }"
VALUED = """
query ($id: ID!) { valuedMovements(skuId: $id, first: 100) { nodes {
  position unitCost { amount } value { amount } revaluation { amount } adjustment { amount } runningValue { amount }
} } }
"""


def move(shop: Shop) -> UUID:
    """Move an article in every way there is, late entries among them; return it."""
    sku = shop.sku(stock=10, cost="4.00")
    here = {"sku_id": sku, "location_id": shop.location_id}
    shop.do(ReceiveStock(**here, quantity=Decimal(10), unit_cost=Decimal(6)))
    shop.do(ReserveStock(**here, quantity=Decimal(15), reference="market"))
    shop.do(ShipStock(sku_id=sku, reference="market", quantity=Decimal(12)))
    shop.do(ReserveStock(**here, quantity=Decimal(3), reference="fair"))
    shop.do(ReleaseReservation(sku_id=sku, reference="fair"))
    shop.do(
        ReceiveStock(**here, quantity=Decimal(3), unit_cost=Decimal(3)), occurred_at=datetime(2020, 1, 5, tzinfo=UTC)
    )
    shop.do(TakeBackStock(**here, quantity=Decimal(2), condition=StockCondition.DAMAGED))
    shop.do(WriteOffStock(**here, quantity=Decimal(1), kind=WriteOffKind.LOST, reason="not found"))
    shop.do(CountStock(**here, counted=Decimal(10), reason="two are not there"))
    shop.do(AddLocation(store_id=shop.store_id, name="Branch"))
    branch = derived_id("location", shop.store_id, "Branch", 0)
    shop.do(TransferStock(**here, to_location_id=branch, quantity=Decimal(2)))
    return sku


def of_minor(amount: str | None) -> int | None:
    return None if amount is None else int(Decimal(amount) * 100)


def amount(said: dict[str, str] | None) -> str | None:
    return None if said is None else said["amount"]


@pytest.fixture(scope="module")
def moved(api: Api, shop: Shop) -> list[UUID]:
    """An article that has moved in a store of each costing method."""
    average, fifo = (Shop.open(shop.writer, name) for name in ("By average", "First in, first out"))
    fifo.do(SetPolicy(store_id=fifo.store_id, kind="costing", params={"method": "fifo"}))
    return [move(average), move(fifo)]


def test_a_file_of_movements_says_what_the_api_says_row_by_row(api: Api, other: Shop, moved: list[UUID]) -> None:
    at, after, said = api.server.services.log.head().position, None, []
    while True:
        page = api.ask(MOVEMENTS, {"at": at, "after": after})["stockMovements"]
        said += page["nodes"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    wait_for(api.server.projector, "stock_valuation", at)
    job = finished(api, dataset="STOCK_MOVEMENTS", format="JSONL")
    rows = [json.loads(line) for line in fetch(api, job["url"], api.token()).text.splitlines()]

    assert len(rows) == len(said) == job["rows"]
    for row, line in zip(rows, said, strict=True):
        assert (row["position"], row["leg"], row["kind"]) == (line["position"], line["leg"], line["kind"])
        assert Decimal(row["running_quantity"]) == Decimal(line["runningQuantity"])
        assert (None if row["unit_cost"] is None else Decimal(row["unit_cost"])) == (
            None if line["unitCost"] is None else Decimal(line["unitCost"]["amount"])
        ), line
        for column, name in (
            ("value_minor", "value"), ("adjustment_minor", "adjustment"), ("running_value_minor", "runningValue"),
        ):  # fmt: skip
            assert row[column] == of_minor(amount(line[name])) is not None, (name, line)
    # It would be no test if nothing was ever corrected, or both methods said the same.
    assert any(row["adjustment_minor"] for row in rows)
    ends = [[row["running_value_minor"] for row in rows if row["sku_id"] == str(sku)][-1] for sku in moved]
    assert ends[0] != ends[1]
    assert job["manifest"]["valuation"] == api.server.projector.definitions()["stock_valuation"].version

    by_position = {row["position"]: row for row in rows}
    for sku in moved:
        for line in api.ask(VALUED, {"id": gid("Sku", sku)})["valuedMovements"]["nodes"]:
            row = by_position[line["position"]]
            own = Decimal(line["value"]["amount"]) + Decimal(line["revaluation"]["amount"])
            assert row["value_minor"] == own * 100
            assert row["adjustment_minor"] == of_minor(line["adjustment"]["amount"])
            assert row["running_value_minor"] == of_minor(line["runningValue"]["amount"])


def test_a_file_of_levels_says_what_the_api_says_row_by_row(api: Api, other: Shop, moved: list[UUID]) -> None:
    for projection in ("stock_ledger", "stock_valuation"):
        wait_for(api.server.projector, projection, api.server.services.log.head().position)
    job = finished(api, dataset="STOCK_LEVELS", format="JSONL")
    rows = [json.loads(line) for line in fetch(api, job["url"], api.token()).text.splitlines()]
    ids = sorted({gid("Sku", UUID(row["sku_id"])) for row in rows})
    said = {(level["skuId"], level["locationId"]): level for level in api.ask(LEVELS, {"ids": ids})["stockLevels"]}

    assert len(rows) == len(said) and {gid("Sku", sku) for sku in moved} <= set(ids)
    for row in rows:
        level = said[gid("Sku", UUID(row["sku_id"])), row["location_id"]]
        assert Decimal(row["on_hand"]) == Decimal(level["onHand"])
        assert Decimal(row["sellable"]) == Decimal(level["sellable"])
        assert Decimal(row["unit_cost"]) == Decimal(level["unitCost"]["amount"]), level
    costs = [next(Decimal(row["unit_cost"]) for row in rows if row["sku_id"] == str(sku)) for sku in moved]
    assert costs[0] != costs[1]


def test_a_file_holds_the_stores_of_its_token_and_no_other(api: Api, shop: Shop, other: Shop) -> None:
    mine = api.token(Role.MANAGER, name="mine", stores=(shop.store_id,))
    job = finished(api, mine, dataset="ORDER_LINES", format="JSONL")
    assert job["storeIds"] == [gid("Store", shop.store_id)] and job["rows"] == 1
    text = fetch(api, job["url"], mine).text
    assert str(other.store_id) not in text
    refused = start(api, mine, storeIds=[gid("Store", other.store_id)])
    [error] = refused["userErrors"]
    assert (error["code"], error["path"], error["ids"]) == (
        "NOT_FOUND", ["storeIds", "0"], [gid("Store", other.store_id)],
    )  # fmt: skip


def test_no_other_token_fetches_a_file_or_learns_that_it_is_there(api: Api, shop: Shop, other: Shop) -> None:
    mine = api.token(Role.MANAGER, name="fetcher", stores=(shop.store_id,))
    job = finished(api, mine)
    assert fetch(api, job["url"], mine).status_code == 200
    nothing = fetch(api, f"/exports/{uuid4()}", mine)
    assert nothing.status_code == 404 and nothing.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    strangers = [
        api.token(Role.MANAGER, name="fetcher", stores=(other.store_id,)),
        api.token(Role.MANAGER, name="else", stores=(shop.store_id,)),
        api.token(Role.WAREHOUSE, name="fetcher", stores=(shop.store_id,)),
        api.token(Role.OWNER),
        api.token(Role.AUDITOR),
        api.token(Role.STOREFRONT, stores=(shop.store_id,)),
    ]
    for token in strangers:
        answer = fetch(api, job["url"], token)
        assert (answer.status_code, answer.json()) == (404, nothing.json())
    document = "query ($id: UUID!) { exportJob(id: $id) { id } exportJobs(first: 100) { nodes { id } } }"
    for token in strangers[:5]:
        found = api.ask(document, {"id": job["id"]}, token=token)
        assert found["exportJob"] is None
        assert job["id"] not in [each["id"] for each in found["exportJobs"]["nodes"]]
    for token in (None, "opscore_nonsense", "opscore_" + "A" * 43):
        answer = fetch(api, job["url"], token)
        assert answer.status_code == 401 and "Bearer" in answer.headers["www-authenticate"]


def test_a_revoked_token_fetches_nothing(api: Api, shop: Shop, other: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opscore.tokens.TRUSTED_SECONDS", 0.0)
    _, token = create_token(api.server.database, "leaver", Role.MANAGER, store_ids=[shop.store_id])
    job = finished(api, token)
    [row] = [each for each in list_tokens(api.server.database) if each.name == "leaver"]
    revoke_token(api.server.database, row.id)
    assert fetch(api, job["url"], token).status_code == 401


def test_a_token_that_was_given_for_less_gets_no_more_by_way_of_a_file(api: Api, shop: Shop, other: Shop) -> None:
    def token(*scopes: str) -> str:
        database = api.server.database
        return create_token(database, "scoped", Role.MANAGER, store_ids=[shop.store_id], scopes=scopes)[1]

    full = token("startExport", "exportJob", "orders")
    job = finished(api, full)
    assert fetch(api, job["url"], full).status_code == 200
    [error] = start(api, full, dataset="KPI_DAILY")["userErrors"]
    assert error["code"] == "NOT_AUTHORISED"
    for less in (token("startExport", "exportJob"), token("startExport", "orders"), token("skus")):
        assert fetch(api, job["url"], less).status_code == 404
    [error] = api.errors(START, {"input": {"dataset": "ORDERS", "format": "CSV", "idempotencyKey": "k"}},
                         token=token("read"))  # fmt: skip
    assert error["extensions"]["code"] == "FORBIDDEN"


def test_while_the_database_does_not_answer_a_file_is_asked_for_again(
    api: Api, shop: Shop, other: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = api.token(Role.MANAGER, name="patient", stores=(shop.store_id,))
    job = finished(api, token)
    assert fetch(api, job["url"], token).status_code == 200

    def away(*_: object, **__: object) -> None:
        raise psycopg.errors.AdminShutdown("terminating connection of secret_4711")

    with monkeypatch.context() as patch:
        patch.setattr(ConnectionPool, "connection", away)
        # Somebody whom the server remembers, and somebody whom it has to ask the database about.
        for asked in (token, "opscore_" + "B" * 43):
            answer = fetch(api, job["url"], asked)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            [error] = answer.json()["errors"]
            assert error["extensions"]["code"] == "NOT_READY" and "again in a moment" in error["message"]
            assert "4711" not in answer.text
    assert fetch(api, job["url"], token).status_code == 200


def test_a_fault_of_ours_tells_whoever_fetches_a_file_no_more_than_an_id(
    api: Api, shop: Shop, other: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = finished(api)

    def broken(*_: object) -> None:
        raise RuntimeError("a secret of 4711")

    logged: list[dict[str, Any]] = []
    monkeypatch.setattr(error_log, "error", lambda _, **facts: logged.append(facts), raising=False)
    monkeypatch.setattr("opscore.api.exports.file_of", broken)
    answer = fetch(api, job["url"], api.token())
    assert answer.status_code == 500 and "4711" not in answer.text
    [error] = answer.json()["errors"]
    assert error["extensions"]["code"] == "INTERNAL" and error["extensions"]["id"] in error["message"]
    assert answer.headers["connection"] == "close", "the server does not keep it"
    [entry] = logged
    assert entry["error_id"] == error["extensions"]["id"]


@pytest.mark.parametrize("path", ["/exports/", "/exports/x", "/exports/..%2f..%2fmaster.key", "/exports/%00"])
def test_an_address_that_names_no_file_leads_nowhere(api: Api, path: str) -> None:
    answer = fetch(api, path, api.token())
    assert answer.status_code == 404


def test_a_file_that_went_is_said_to_have_gone(api: Api, other: Shop) -> None:
    job = finished(api)
    (api.server.settings.exports_folder / f"{job['id']}.csv").unlink()
    answer = fetch(api, job["url"], api.token())
    assert answer.status_code == 404 and "OPSCORE_EXPORTS_DIR" in answer.text


def test_a_file_that_is_not_done_is_not_there(api: Api, other: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()

    def nothing() -> bool:
        asked.set()
        return False

    with monkeypatch.context() as patch:
        patch.setattr(api.server.exports, "run_once", nothing)
        api.server.exports.hint()
        assert asked.wait(30), "from now on no job is carried out"
        job = start(api)["exportJob"]
        assert job["url"] is None
        cancel = "mutation ($id: UUID!) { cancelExport(input: {exportId: $id}) { exportJob { state url } } }"
        cancelled = api.ask(cancel, {"id": job["id"]})["cancelExport"]["exportJob"]
        assert cancelled == {"state": "CANCELLED", "url": None}
        assert fetch(api, f"/exports/{job['id']}", api.token()).status_code == 404


def test_the_exports_of_a_holder_are_paged_latest_first(api: Api, shop: Shop, other: Shop) -> None:
    token = api.token(Role.FINANCE, name="many", stores=(shop.store_id,))
    made = [start(api, token)["exportJob"]["id"] for _ in range(5)]
    document = """
    query ($after: String) {
      exportJobs(first: 2, after: $after) { totalCount nodes { id } pageInfo { hasNextPage endCursor } }
    }
    """
    found, after = [], None
    while True:
        page = api.ask(document, {"after": after}, token=token)["exportJobs"]
        found += [each["id"] for each in page["nodes"]]
        assert page["totalCount"] == len(made)
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert found == made[::-1]


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"dataset": "KPI_DAILY", "since": "2030-01-01T00:00:00Z"}, "INVALID_FIELD", ["since"]),
        ({"storeIds": []}, "INVALID_FIELD", ["storeIds"]),
        ({"idempotencyKey": ""}, "INVALID_FIELD", ["idempotencyKey"]),
    ],
)
def test_what_cannot_be_exported_is_refused_where_the_fault_is(
    api: Api, given: dict[str, Any], code: str, path: list[str]
) -> None:
    answer = start(api, **given)
    assert answer["exportJob"] is None
    [error] = answer["userErrors"]
    assert (error["code"], error["path"]) == (code, path)


@pytest.mark.parametrize("role", [Role.MANAGER, Role.WAREHOUSE, Role.EDITOR])
def test_a_role_exports_what_it_may_ask_for(api: Api, shop: Shop, role: Role) -> None:
    token = api.token(role, name=f"x-{role}", stores=(shop.store_id,))
    codes = {
        dataset: [error["code"] for error in start(api, token, dataset=dataset)["userErrors"]]
        for dataset in ("ORDERS", "EVENTS", "KPI_DAILY", "COMPARES")
    }
    assert codes["ORDERS"] == [] and codes["EVENTS"] == ["NOT_AUTHORISED"] and codes["COMPARES"] == ["NOT_AUTHORISED"]
    assert codes["KPI_DAILY"] == ([] if role is Role.MANAGER else ["NOT_AUTHORISED"])

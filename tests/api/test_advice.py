"""Mistakes that newcomers make: the answer says in the question's own terms what is wrong and what to do."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest

from opscore.api.faults import explained
from tests.api.conftest import Api, gid
from tests.shop import Shop


@pytest.mark.parametrize(
    "query",
    [
        "kpiDaily(fromDay: $f, toDay: $t) { orders }",
        "kpiTotals(fromDay: $f, toDay: $t) { orders }",
        "kpiPeriods(grain: MONTH, fromDay: $f, toDay: $t) { orders }",
        "retentionCohorts(fromDay: $f, toDay: $t) { customers }",
        'kpi(code: "K002", fromDay: $f, toDay: $t, grain: DAY) { rows { value } }',
    ],
)
def test_a_window_that_ends_before_it_begins_is_refused(api: Api, query: str) -> None:
    document = f"query ($f: Date!, $t: Date!) {{ {query} }}"
    [error] = api.errors(document, {"f": "2026-02-01", "t": "2026-01-31"})

    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert re.fullmatch(r".*ends on 2026-01-31, before it begins on 2026-02-01.* fromDay\.", error["message"])


def test_a_window_of_moments_that_holds_none_is_refused(api: Api) -> None:
    [error] = api.errors(
        '{ topSkus(placedFrom: "2026-02-01T00:00:00Z", placedBefore: "2026-01-01T00:00:00Z") { units } }'
    )
    assert error["extensions"]["code"] == "BAD_USER_INPUT" and "placedFrom" in error["message"]


def test_a_version_that_is_not_there_yet_is_not_taken_for_the_newest(api: Api, shop: Shop) -> None:
    question = "query ($id: ID!, $v: Int!) { store(id: $id, asOf: {version: $v}) { version } }"
    store = gid("Store", shop.store_id)
    newest = api.ask("query ($id: ID!) { store(id: $id) { version } }", {"id": store})["store"]["version"]

    assert api.ask(question, {"id": store, "v": newest})["store"] == {"version": newest}
    [error] = api.errors(question, {"id": store, "v": newest + 1})
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "newest": newest}
    assert str(newest + 1) in error["message"] and str(newest) in error["message"]
    assert api.ask(question, {"id": gid("Store", UUID(int=1)), "v": 9999})["store"] is None


def test_a_read_model_or_cell_that_there_is_not_is_answered_by_those_that_there_are(api: Api) -> None:
    query = "query ($p: String!, $c: String!) { explain(projection: $p, cell: $c, key: {}, first: 1) { totalCount } }"
    [unknown] = api.errors(query, {"p": "kpi_dayly", "c": "kpi_daily"})
    assert "kpi_dayly" in unknown["message"] and "kpi_daily" in unknown["message"].replace("kpi_dayly", "")
    assert "rebuild" not in unknown["message"]
    [cell] = api.errors(query, {"p": "stock_ledger", "c": "levels"})
    assert "stock_levels" in cell["message"]


@pytest.mark.parametrize(
    ("command", "fields", "path", "says"),
    [
        ("placeOrder", {"lines": []}, ["lines"], "lines has 0 entries and needs at least 1"),
        ("placeOrder", {"channel": ""}, ["channel"], "channel has 0 characters and needs at least 1"),
        ("placeOrder", {"freightMinor": -5}, ["freightMinor"], "freightMinor is -5 and has to be at least 0"),
        ("registerSku", {"name": "x" * 300}, ["name"], "name has 300 characters and may have at most 200"),
        ("registerSku", {"code": ""}, ["code"], "code has 0 characters and needs at least 1"),
    ],
)
def test_a_field_that_cannot_be_used_is_named_with_what_was_given_and_what_is_allowed(
    api: Api, shop: Shop, command: str, fields: dict[str, Any], path: list[str], says: str
) -> None:
    line = {"skuId": gid("Sku", UUID(int=1)), "quantity": "1"}
    usual = {"placeOrder": {"lines": [line]}, "registerSku": {"code": "N-1", "name": "New", "category": "gifts"}}
    payload = api.give(
        command,
        "userErrors { code message path }",
        {"storeId": gid("Store", shop.store_id), **usual[command], **fields},
    )

    assert payload["userErrors"] == [
        {"code": "INVALID_FIELD", "message": f"This value cannot be used: {says}.", "path": path}
    ]


@pytest.mark.parametrize(
    ("error", "fields", "expected"),
    [
        ("Expected `int` >= 1 - at `$.a_b`", {"a_b": 0}, ("aB is 0 and has to be at least 1", ["aB"])),
        ("Expected `int` < 9 - at `$.a`", {"a": 9}, ("a is 9 and has to be less than 9", ["a"])),
        (
            "Expected `str` of length >= 1 - at `$.rows[1].tag_names[0]`",
            {"rows": [{}, {"tag_names": [""]}]},
            ("tagNames has 0 characters and needs at least 1", ["rows", 1, "tagNames", 0]),
        ),
        (
            "Expected `array` of length <= 1 - at `$.a`",
            {"a": [1, 2]},
            ("a has 2 entries and may have at most 1", ["a"]),
        ),
        (
            "Expected `str` matching regex '^[A-Z]{3}$' - at `$.currency`",
            {"currency": "pounds"},
            ('currency is "pounds" and has to match ^[A-Z]{3}$', ["currency"]),
        ),
        ("Object missing required field `sku_id` - at `$.l[2]`", {"l": []}, ("skuId is missing", ["l", 2, "skuId"])),
        (
            "Invalid enum value 'x' - at `$.kind`",
            {"kind": "x"},
            ('kind is "x", which is nothing that it can be', ["kind"]),
        ),
        ("it closes before it opens - at `$.hours`", {}, ("it closes before it opens", ["hours"])),
        ("it closes before it opens", {}, ("it closes before it opens", [])),
        (
            "Invalid enum value 'x' - at `$.kind`",
            {"kind": "x" * 50},
            (f'kind is "{"x" * 40}...", which is nothing that it can be', ["kind"]),
        ),
    ],
)
def test_a_fault_is_put_into_words(error: str, fields: Any, expected: tuple[str, list[Any]]) -> None:
    assert explained(error, fields) == expected

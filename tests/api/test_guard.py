"""What one document may ask for: refused before it costs anything, with a code, however it is dressed up."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import parse

from opscore.api import documents as documents_module
from opscore.api import guard as guard_module
from opscore.api.documents import Documents
from opscore.api.errors import ApiError, ParseFailed, TooComplex
from opscore.api.guard import Limits, judge
from opscore.api.schema import build_schema, mutations
from opscore.api.sizing import returns_list
from tests.api.conftest import Api


def doubling(levels: int) -> str:
    """A document that asks for two to the power of `levels` fields in a few characters each."""
    parts = [f"fragment F{i} on Store {{ ...F{i + 1} ...F{i + 1} }}" for i in range(levels)]
    return " ".join(["{ stores(first: 1) { nodes { ...F0 } } }", *parts, f"fragment F{levels} on Store {{ name }}"])


def nested(levels: int) -> str:
    return "{ stores(first: 1) { nodes " + "{ a " * levels + "}" * levels + " } }"


HOSTILE = {
    "fragments that double 20 times": doubling(20),
    "fragments that double 29 times": doubling(29),
    "fragments that double 120 times": doubling(120),
    "a cycle of fragments": "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
    "a fragment in itself": "{ ...A } fragment A on Query { ...A }",
    "a thousand unused fragments": "{ __typename } "
    + " ".join(f"fragment F{i} on Query {{ head {{ hash }} }}" for i in range(99)),
    "depth by fields": nested(13),
    "depth 300": nested(300),
    "depth 2000": nested(2_000),
    "depth by inline fragments": "{ " + "... { " * 200 + "__typename" + " }" * 200 + " }",
    "16 aliases": "{ " + " ".join(f"a{i}: __typename" for i in range(16)) + " }",
    "2000 aliases": "{ " + " ".join(f"a{i}: __typename" for i in range(2_000)) + " }",
    "the same command again and again": "mutation { "
    + " ".join(f'a{i}: openStore(input: {{storeId: "x", idempotencyKey: "k{i}"}}) {{ replayed }}' for i in range(40))
    + " }",
    "one field 3000 times": "{ " + "__typename " * 3_000 + "}",
    "900 directives": "{ __typename " + "@include(if: true) " * 900 + "}",
    "150 overlapping fragments": "{ "
    + " ".join(f"...F{i}" for i in range(150))
    + " } "
    + " ".join(f"fragment F{i} on Query {{ head {{ hash }} }}" for i in range(150)),
    "300 introspections": "{ " + " ".join(f"a{i}: __schema {{ types {{ name }} }}" for i in range(300)) + " }",
    "introspection in circles": "{ __schema { types " + "{ fields { type " * 6 + "{ name }" + " } }" * 6 + " } }",
    "a long document": "{ __typename } #" + "x" * 20_000,
    "a string of one megabyte": '{ a(b: "' + "x" * 90_000 + '") }',
    "a page of 101": "{ stores(first: 101) { nodes { name } } }",
    "a page of minus one": "{ stores(first: -1) { nodes { name } } }",
    "a page of 5000 digits": "{ stores(first: " + "9" * 5_000 + ") { nodes { name } } }",
    "a page of two to the 31": "{ stores(first: 2147483648) { nodes { name } } }",
    "no page size": "{ stores { nodes { name } } }",
    "two page sizes": "{ stores(first: 1, last: 1) { nodes { name } } }",
    "a string with U+0000": '{ skuByCode(storeId: "\\u0000", code: "x") { name } }',
    "a string with braces of U+0000": '{ skuByCode(storeId: "\\u{0}", code: "x") { name } }',
    "half a surrogate": '{ skuByCode(storeId: "\\ud800", code: "x") { name } }',
}


@pytest.mark.parametrize("query", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_document_is_refused_with_a_code(api: Api, query: str) -> None:
    answer = api.post({"query": query})
    assert answer.status_code in (200, 413)
    errors = answer.json()["errors"]
    assert all(error["extensions"]["code"] not in ("INTERNAL", None) for error in errors), errors
    assert answer.json().get("data") is None
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("levels", [6, 30, 60])
def test_each_selection_of_a_document_is_looked_at_once(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(fragments=10**9, fields=10**999, aliases=10**999, cost=10**999, nodes=10**999, depth=10**6)
    looked = 0
    measure = guard_module._Pass.measure

    def counted(*args: Any) -> Any:
        nonlocal looked
        looked += 1
        return measure(*args)

    monkeypatch.setattr(guard_module._Pass, "measure", counted)
    document = parse(doubling(levels))
    judge(document, document.definitions[0], {}, limits)  # type: ignore[arg-type]
    # The operation has three selection sets and a field, each fragment one; a walk of every spread would see 2^levels.
    assert levels <= looked <= 2 * levels + 10


@pytest.mark.parametrize(
    ("query", "variables", "cost", "nodes"),
    [
        ("{ head { hash } }", {}, 1, 1),
        ("{ stores(first: 10) { nodes { name } } }", {}, 11, 20),
        ("query ($n: Int) { stores(first: $n) { nodes { name } } }", {"n": 5}, 6, 10),
        ("query ($n: Int) { stores(first: $n) { nodes { name } } }", {}, 101, 200),
        ("{ ...A ...A } fragment A on Query { head { hash } }", {}, 2, 2),
    ],
)
def test_the_cost_counts_objects_times_the_page_sizes_above_them(
    query: str, variables: dict[str, Any], cost: int, nodes: int
) -> None:
    document = parse(query)

    verdict, _ = judge(document, document.definitions[0], variables, Limits())  # type: ignore[arg-type]

    assert (verdict.measure.cost, verdict.measure.nodes) == (cost, nodes)


SCHEMA = build_schema()._schema
IDS = '["' + '", "'.join("a" * 20 for _ in range(100)) + '"]'
YEAR = 'fromDay: "2026-01-01", toDay: "2026-12-31"'

LISTS = [
    # What is asked for by name: one row for each.
    (f"nodes(ids: {IDS}) {{ id }}", {}, 101),
    ("nodes(ids: $l) { id }", {"l": ["a"] * 100}, 101),
    ("nodes(ids: $l) { id }", {"l": "a"}, 2),
    (f"stockLevels(skuIds: {IDS}) {{ onHand unitCost {{ amount }} }}", {}, 201),
    ("stockLevels(skuIds: $l) { onHand }", {"l": ["a"] * 50}, 51),
    (f"stockValuation(skuIds: {IDS}) {{ value {{ amount }} }}", {}, 201),
    (f"stockMovementTotals(skuIds: {IDS}) {{ skuId }}", {}, 101),
    (f"customerCards(customerIds: {IDS}) {{ points sales {{ orders }} }}", {}, 201),
    # As many as asked for, or as the schema says where nobody does.
    ("topSkus { name }", {}, 21),
    ("topSkus(first: 100) { name amount { amount } }", {}, 201),
    ("topSkus(first: $n) { name }", {"n": 7}, 8),
    ("topSkus(first: $n) { name }", {}, 21),
    ("campaignResults { name }", {}, 51),
    ("campaignResults(first: 3) { name }", {}, 4),
    (f"campaignResults(campaignIds: {IDS}) {{ name }}", {}, 151),
    ('ordersDue(before: "2026-01-01T00:00:00Z") { what }', {}, 51),
    ("stockWorth(first: 10) { unitCost { amount } }", {}, 21),
    ('webhookDeadLetters(webhookId: "x", first: 100) { position }', {}, 101),
    # A row for each part of a window.
    (f"kpiDaily({YEAR}) {{ day }}", {}, 366),
    (f"kpiDaily({YEAR}) {{ gmv {{ amount }} gross {{ amount }} }}", {}, 1 + 365 * 3),
    ("kpiDaily(fromDay: $a, toDay: $b) { day }", {"a": "2024-01-01", "b": "2026-12-31"}, 1097),
    ('kpiDaily(fromDay: "2026-01-01", toDay: $b) { day }', {"b": "2026-01-01"}, 2),
    (f"kpiPeriods(grain: DAY, {YEAR}) {{ startsOn }}", {}, 1 + 366),
    (f"kpiPeriods(grain: MONTH, {YEAR}) {{ startsOn }}", {}, 1 + 13),
    (f'kpi(code: "K017", grain: HOUR, {YEAR}) {{ rows {{ value }} }}', {}, 1 + 365 * 24),
    (f'kpi(code: "K017", grain: TOTAL, {YEAR}) {{ rows {{ value }} }}', {}, 2),
    (f"salesBooks(grain: WEEK, {YEAR}) {{ rows {{ startsOn }} }}", {}, 1 + 53),
    (f"retentionCohorts({YEAR}) {{ customers }}", {}, 1 + 13),
    # Conditions cost what they have; what is only looked at costs a tenth.
    (f"stockTotals(storeIds: {IDS}) {{ currencyCode }}", {}, 101),
    ("verification { holds }", {}, 2_001),
    ("verification(limit: 1) { holds }", {}, 2),
    ("verification(limit: $n) { holds }", {"n": 500}, 51),
    ("verification(limit: 19999) { head { hash } }", {}, 2_002),
]


@pytest.mark.parametrize(("selection", "variables", "cost"), LISTS, ids=[each[0][:60] for each in LISTS])
def test_a_list_costs_as_many_rows_as_its_arguments_may_bring(
    selection: str, variables: dict[str, Any], cost: int
) -> None:
    for query in (f"{{ {selection} }}", f"{{ ...A }} fragment A on Query {{ {selection} }}"):
        document = parse(query)
        verdict, settled = judge(document, document.definitions[0], variables, Limits(cost=10**9, nodes=10**9), SCHEMA)  # type: ignore[arg-type]

        assert verdict.measure.cost == cost
        assert settled is ("$" not in query)


def test_no_list_at_the_root_is_counted_as_one_row_whatever_is_asked_of_it() -> None:
    """Each is sized by its arguments (and in the table above), or is charged for what it turns out to bring."""
    lists = {name for name, field in SCHEMA.query_type.fields.items() if returns_list(field)}  # type: ignore[union-attr]
    sized = {selection.partition("(")[0].partition(" ")[0] for selection, _, _ in LISTS}
    for name in sorted(lists - sized):
        document = parse(f"{{ a: {name} {{ b }} }}")
        verdict, _ = judge(document, document.definitions[0], {}, Limits(), SCHEMA)  # type: ignore[arg-type]

        assert verdict.measure.cost == 1
        assert (verdict.unused({"a": []}), verdict.unused({"a": [1]}), verdict.unused({"a": [1] * 50})) == (0, 0, -49)


def test_rows_that_did_not_come_are_given_back_and_those_beyond_the_count_are_charged() -> None:
    document = parse(f"{{ kpiDaily({YEAR}) {{ gmv {{ amount }} }} }}")
    verdict, _ = judge(document, document.definitions[0], {}, Limits(), SCHEMA)  # type: ignore[arg-type]

    # Three stores have three rows a day.
    assert verdict.unused({"kpiDaily": [1] * 365}) == 0
    assert verdict.unused({"kpiDaily": []}) == 730
    assert verdict.unused({"kpiDaily": [1] * 3 * 365}) == -2 * 730


def test_pages_within_pages_are_refused_by_what_they_multiply_to() -> None:
    query = "query ($n: Int) { a(first: $n) { b(first: $n) { c(first: $n) { d { e } } } } }"
    document = parse(query)

    judge(document, document.definitions[0], {"n": 3}, Limits())  # type: ignore[arg-type]
    with pytest.raises(TooComplex):
        judge(document, document.definitions[0], {"n": 100}, Limits())  # type: ignore[arg-type]


def test_a_document_is_parsed_and_validated_once_for_a_hundred_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = documents_module.validate
    monkeypatch.setattr(documents_module, "validate", lambda *a, **k: calls.append(1) or real(*a, **k))
    kept = Documents(build_schema()._schema, Limits())

    for _ in range(100):
        kept.get("{ head { hash } }")

    assert len(calls) == 1


def test_a_text_that_cannot_be_stored_is_found_wherever_it_stands_in_the_document() -> None:
    kept = Documents(build_schema()._schema, Limits())

    for text in (
        '{ node(id: "\\u0000") { id } }',
        '{ node(id: "a\\u{0}b") { id } }',
        '{ node(id: """a\x00b""") { id } }',
    ):
        with pytest.raises((ParseFailed, ApiError)):
            kept.get(text)


def test_names_are_not_suggested_where_the_schema_is_not_shown() -> None:
    open_to_all = Documents(build_schema()._schema, Limits(), suggestions=True)
    closed = Documents(build_schema()._schema, Limits(), suggestions=False)

    with pytest.raises(ApiError) as told:
        open_to_all.get("{ heat { hash } }")
    with pytest.raises(ApiError) as silent:
        closed.get("{ heat { hash } }")

    assert "Did you mean" in str(told.value.errors)  # type: ignore[attr-defined]
    assert "Did you mean" not in str(silent.value.errors)  # type: ignore[attr-defined]


def test_every_command_can_be_given_with_all_its_answers_within_the_limits() -> None:
    kept = Documents(build_schema()._schema, Limits())
    for name, mutation in mutations().items():
        query = (
            f"mutation ($input: {mutation.command.__name__}Input!) {{ {name}(input: $input) {{"
            f" {mutation.aggregate_field} {{ id version }} position replayed"
            " userErrors { code message path ids currentVersion retryable } } }"
        )
        assert kept.get(query).operations

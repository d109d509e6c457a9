"""What one document may ask for: refused before it costs anything, with a code, however it is dressed up."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import parse

from opscore.api import documents as documents_module, guard as guard_module
from opscore.api.documents import Documents
from opscore.api.errors import ApiError, ParseFailed, TooComplex
from opscore.api.guard import Limits, judge
from opscore.api.schema import build_schema, mutations
from opscore.api.sizing import returns_list
from tests.api.conftest import Api

SCHEMA = build_schema()._schema


def doubling(levels: int) -> str:
    """A document that asks for two to the power of `levels` fields in a few characters each."""
    parts = [f"fragment F{i} on Store {{ ...F{i + 1} ...F{i + 1} }}" for i in range(levels)]
    return " ".join(["{ stores(first: 1) { nodes { ...F0 } } }", *parts, f"fragment F{levels} on Store {{ name }}"])


def nested(levels: int) -> str:
    return "{ stores(first: 1) { nodes " + "{ a " * levels + "}" * levels + " } }"


def chained(levels: int) -> str:
    """A document that is deep by a chain of named fragments, each of them shallow."""
    parts = [f"fragment F{i} on Store {{ a {{ ...F{i + 1} }} }}" for i in range(levels)]
    return " ".join(["{ stores(first: 1) { nodes { ...F0 } } }", *parts, f"fragment F{levels} on Store {{ name }}"])


def circling(levels: int) -> str:
    """Introspection that goes from types to fields to their types, and on."""
    return '{ __type(name: "Query") ' + "{ fields { type " * levels + "{ name }" + " } }" * levels + " }"


def times(count: int, part: str) -> str:
    """The part so many times, # being its number."""
    return "{ " + " ".join(part.replace("#", str(number)) for number in range(count)) + " }"


def fragments(count: int) -> str:
    return " ".join(f"fragment F{i} on Query {{ head {{ hash }} }}" for i in range(count))


PARSE, VALID, PAGE, COMPLEX = (
    "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "INVALID_PAGE_SIZE", "QUERY_TOO_COMPLEX",
)  # fmt: skip
COMMAND = 'openStore(input: {storeId: "x", idempotencyKey: "k"}) { replayed }'

HOSTILE = {
    "fragments that double 20 times": (doubling(20), COMPLEX, "fields"),
    "fragments that double 29 times": (doubling(29), COMPLEX, "fields"),
    "fragments that double 120 times": (doubling(120), COMPLEX, "fragments"),
    "a cycle of fragments": (
        "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }", COMPLEX, "fragment_cycle",
    ),
    "a fragment in itself": ("{ ...A } fragment A on Query { ...A }", COMPLEX, "fragment_cycle"),
    "31 unused fragments": (f"{{ __typename }} {fragments(31)}", COMPLEX, "fragments"),
    "30 unused fragments": (f"{{ __typename }} {fragments(30)}", VALID, None),
    "31 operations": (" ".join(f"query Q{n} {{ __typename }}" for n in range(31)), COMPLEX, "operations"),
    "depth 13": (nested(13), COMPLEX, "depth"),
    "depth 60": (nested(60), COMPLEX, "depth"),
    "depth 150": (nested(150), COMPLEX, "depth"),
    "depth 300": (nested(300), COMPLEX, "depth"),
    "depth by 12 named fragments": (chained(12), COMPLEX, "depth"),
    "depth by 29 named fragments": (chained(29), COMPLEX, "depth"),
    "depth by inline fragments": ("{ " + "... { " * 150 + "__typename" + " }" * 150 + " }", COMPLEX, "depth"),
    "depth of fields in inline fragments": (
        "{ stores(first: 1) { nodes " + "{ ... on Store { a " * 13 + "}}" * 13 + " } }", COMPLEX, "depth",
    ),
    "16 aliases": (times(16, "a#: __typename"), COMPLEX, "aliases"),
    "400 aliases": (times(400, "a#: __typename"), COMPLEX, "aliases"),
    "16 aliases in a fragment": (
        "{ ...A } fragment A on Query { head " + times(16, "a#: hash") + " }", COMPLEX, "aliases",
    ),
    "the same command again and again": ("mutation " + times(40, f"a#: {COMMAND}"), COMPLEX, "aliases"),
    "the same command without aliases": ("mutation " + times(16, COMMAND), COMPLEX, "root_fields"),
    "one field 1000 times": (times(1_000, "__typename"), COMPLEX, "root_fields"),
    "one field 1900 times below": (f"{{ head {times(1_900, 'hash')} }}", VALID, None),
    "more tokens than are read": (f"{{ head {times(2_000, 'hash')} }}", COMPLEX, "tokens"),
    "fields by the thousand": (
        "{ stores(first: 1) { nodes { ...A ...A } } } fragment A on Store { ...B ...B ...B ...B }"
        f" fragment B on Store {times(300, 'name')}", COMPLEX, "fields",
    ),
    "51 directives": ("{ __typename " + "@include(if: true) " * 51 + "}", COMPLEX, "directives"),
    "280 directives": ("{ __typename " + "@include(if: true) " * 280 + "}", COMPLEX, "directives"),
    "51 directives on an operation": ("query " + "@a " * 51 + "{ __typename }", COMPLEX, "directives"),
    "30 overlapping fragments": (times(30, "...F#") + fragments(30), COMPLEX, "root_fields"),
    "150 overlapping fragments": (times(150, "...F#") + fragments(150), COMPLEX, "fragments"),
    "3 introspections": (times(3, "a#: __schema { types { name } }"), COMPLEX, "introspection_fields"),
    "3 introspections in a fragment": (
        "{ ...A } fragment A on Query " + times(3, "a#: __schema { types { name } }"), COMPLEX, "introspection_fields",
    ),
    "introspection in 8 circles": (circling(8), COMPLEX, "depth"),
    "introspection in 100 circles": (circling(100), COMPLEX, "depth"),
    "introspection in a fragment that circles": (
        "{ __schema { types { ...T } } } fragment T on __Type { fields { type { ...T } } }", COMPLEX, "fragment_cycle",
    ),
    "pages within pages": (
        "{ stores(first: 100) { nodes { a(first: 100) { nodes { b(first: 9) { nodes { c } } } } } } }",
        COMPLEX,
        "nodes",
    ),
    "a long document": ("{ __typename } #" + "x" * 20_000, COMPLEX, "characters"),
    "a string of 90 kB": ('{ skuByCode(storeId: "x", code: "' + "x" * 90_000 + '") { name } }', COMPLEX, "characters"),
    "a page of 101": ("{ stores(first: 101) { nodes { name } } }", PAGE, None),
    "a page of minus one": ("{ stores(first: -1) { nodes { name } } }", PAGE, None),
    "a page of 5000 digits": ("{ stores(first: " + "9" * 5_000 + ") { nodes { name } } }", VALID, None),
    "a page of two to the 31": ("{ stores(first: 2147483648) { nodes { name } } }", VALID, None),
    "no page size": ("{ stores { nodes { name } } }", PAGE, None),
    "two page sizes": ("{ stores(first: 1, last: 1) { nodes { name } } }", PAGE, None),
    "a string with U+0000": ('{ skuByCode(storeId: "\\u0000", code: "x") { name } }', PARSE, None),
    "a string with braces of U+0000": ('{ skuByCode(storeId: "\\u{0}", code: "x") { name } }', PARSE, None),
    "half a surrogate": ('{ skuByCode(storeId: "\\ud800", code: "x") { name } }', PARSE, None),
}  # fmt: skip
"""What is sent, the code it is refused with, and which limit does so."""

LARGE = {
    "1000 unused fragments": (f"{{ __typename }} {fragments(1_000)}", "fragments"),
    "1000 operations": (" ".join(f"query Q{n} {{ __typename }}" for n in range(1_000)), "operations"),
    "depth 2000": (nested(2_000), "depth"),
    "2000 aliases": (times(2_000, "a#: __typename"), "aliases"),
    "10,000 aliases": (times(10_000, "a#: __typename"), "aliases"),
    "one field 3000 times": (times(3_000, "__typename"), "root_fields"),
    "one field below 3000 times": (f"{{ head {times(3_000, 'hash')} }}", "fields"),
    "900 directives": ("{ __typename " + "@include(if: true) " * 900 + "}", "directives"),
    "300 introspections": (times(300, "__schema { types { name } }"), "root_fields"),
    "300 introspections by aliases": (times(300, "a#: __schema { types { name } }"), "aliases"),
}
"""What is refused for its length alone, and the limit that would if any length were taken."""


@pytest.mark.parametrize(("query", "code", "limit"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_document_is_refused_by_the_limit_that_is_for_it(
    api: Api, query: str, code: str, limit: str | None
) -> None:
    answer = api.post({"query": query})

    assert answer.status_code == 200
    errors = answer.json()["errors"]
    assert {error["extensions"]["code"] for error in errors} == {code}, errors
    assert errors[0]["extensions"].get("limit") == limit, errors
    assert answer.json().get("data") is None
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("size", [1_000_000, 10_000_000])
def test_a_string_of_megabytes_is_not_even_read(api: Api, size: int) -> None:
    answer = api.post({"query": '{ skuByCode(storeId: "x", code: "' + "x" * size + '") { name } }'})

    assert answer.status_code == 413
    assert answer.json()["errors"][0]["extensions"]["code"] == "BODY_TOO_LARGE"


@pytest.mark.parametrize(("query", "limit"), LARGE.values(), ids=LARGE.keys())
def test_what_is_too_long_anyway_would_be_refused_for_what_it_asks(api: Api, query: str, limit: str) -> None:
    [error] = api.post({"query": query}).json()["errors"]
    found = error["extensions"]
    assert found["code"] == "BODY_TOO_LARGE" or found["limit"] in ("characters", "tokens", limit)

    with pytest.raises(TooComplex) as refused:
        Documents(SCHEMA, Limits(characters=10**9, tokens=10**9)).get(query)

    assert refused.value.extensions["limit"] == limit


BY_THE_GUARD = {
    **{name: query for name, (query, _, limit) in HOSTILE.items() if limit not in (None, "characters", "tokens")},
    **{name: query for name, (query, _) in LARGE.items()},
}


@pytest.mark.parametrize("query", BY_THE_GUARD.values(), ids=BY_THE_GUARD.keys())
def test_the_guard_looks_at_nothing_twice_and_spares_validation(query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    measure, sized = guard_module._Pass.measure, guard_module.size_of
    monkeypatch.setattr(
        guard_module._Pass, "measure", lambda self, *given: looked.append("set") or measure(self, *given)
    )
    monkeypatch.setattr(guard_module, "size_of", lambda *given: looked.append("field") or sized(*given))
    monkeypatch.setattr(documents_module, "validate", lambda *_, **__: looked.append("validated"))

    with pytest.raises(TooComplex):
        Documents(SCHEMA, Limits(characters=10**9, tokens=10**9)).get(query)

    # Each selection set, and each field that may have one, takes a word at the least.
    words = len(query.replace("{", " { ").split())
    assert looked.count("set") <= words and looked.count("field") <= words
    assert "validated" not in looked


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
    judge(document, document.definitions[0], {}, limits)
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

    verdict, _ = judge(document, document.definitions[0], variables, Limits())

    assert (verdict.measure.cost, verdict.measure.nodes) == (cost, nodes)


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
    ('campaignCandidates(storeId: "x", by: DEEPEST_CUT) { skuCode }', {}, 21),
    ('reorderProposals(storeId: "x", first: 9) { skuCode quote { supplierId } }', {}, 19),
    (f'storeGrades(storeIds: {IDS}, month: "2026-01-01") {{ grade figures {{ margin }} }}', {}, 201),
    ("campaignResults { name }", {}, 51),
    ("campaignResults(first: 3) { name }", {}, 4),
    (f"campaignResults(campaignIds: {IDS}) {{ name }}", {}, 151),
    # Each object that an order names is one more, as its lines are.
    ("orders(first: 10) { nodes { id } }", {}, 11),
    ("orders(first: 10) { nodes { store { name } customer { tier } lines { sku { code } } } }", {}, 51),
    ('ordersDue(before: "2026-01-01T00:00:00Z") { what }', {}, 51),
    ('campaignsDue(before: "2026-01-01T00:00:00Z", first: 7) { what }', {}, 8),
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
        verdict, settled = judge(document, document.definitions[0], variables, Limits(cost=10**9, nodes=10**9), SCHEMA)

        assert verdict.measure.cost == cost
        assert settled is ("$" not in query)


def test_no_list_at_the_root_is_counted_as_one_row_whatever_is_asked_of_it() -> None:
    """Each is sized by its arguments (and in the table above), or is charged for what it turns out to bring."""
    lists = {name for name, field in SCHEMA.query_type.fields.items() if returns_list(field)}
    sized = {selection.partition("(")[0].partition(" ")[0] for selection, _, _ in LISTS}
    for name in sorted(lists - sized):
        document = parse(f"{{ a: {name} {{ b }} }}")
        verdict, _ = judge(document, document.definitions[0], {}, Limits(), SCHEMA)

        assert verdict.measure.cost == 1
        assert (verdict.unused({"a": []}), verdict.unused({"a": [1]}), verdict.unused({"a": [1] * 50})) == (0, 0, -49)


def test_rows_that_did_not_come_are_given_back_and_those_beyond_the_count_are_charged() -> None:
    document = parse(f"{{ kpiDaily({YEAR}) {{ gmv {{ amount }} }} }}")
    verdict, _ = judge(document, document.definitions[0], {}, Limits(), SCHEMA)

    # Three stores have three rows a day.
    assert verdict.unused({"kpiDaily": [1] * 365}) == 0
    assert verdict.unused({"kpiDaily": []}) == 730
    assert verdict.unused({"kpiDaily": [1] * 3 * 365}) == -2 * 730


def test_pages_within_pages_are_refused_by_what_they_multiply_to() -> None:
    query = "query ($n: Int) { a(first: $n) { b(first: $n) { c(first: $n) { d { e } } } } }"
    document = parse(query)

    judge(document, document.definitions[0], {"n": 3}, Limits())
    with pytest.raises(TooComplex):
        judge(document, document.definitions[0], {"n": 100}, Limits())


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

    assert "Did you mean" in str(told.value.errors)
    assert "Did you mean" not in str(silent.value.errors)


def test_every_command_can_be_given_with_all_its_answers_within_the_limits() -> None:
    kept = Documents(build_schema()._schema, Limits())
    for name, mutation in mutations().items():
        query = (
            f"mutation ($input: {mutation.command.__name__}Input!) {{ {name}(input: $input) {{"
            f" {mutation.aggregate_field} {{ id version }} position replayed"
            " userErrors { code message path ids currentVersion retryable } } }"
        )
        assert kept.get(query).operations

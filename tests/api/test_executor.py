"""The compiled executor against the stock one: on whatever is asked of whatever data, not one byte differs."""

from __future__ import annotations

import asyncio
import datetime
import enum
import gc
import inspect
import os
import random
import uuid
import weakref
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    OverlappingFieldsCanBeMergedRule,
    Undefined,
    execute,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    parse,
    validate,
)

from opscore.api.engine import GraphQLEngine
from opscore.api.executor import PLANS_KEPT, CompiledExecutor, Plans, run_with
from opscore.api.guard import Limits
from opscore.api.http import GraphQLRequest
from opscore.api.money import Money
from opscore.api.order_lists import LINE, ORDER
from opscore.api.orders import Order
from opscore.api.paging import Window, connection_of_rows, edges_of
from opscore.api.rows import Found, Made, MadeObject, Rows, columns_of
from opscore.api.schema import build_schema
from opscore.domain.order_state import OrderStatus
from opscore.settings import Settings
from tests.api.conftest import Api, gid
from tests.reached import wait_for
from tests.shop import Shop

QUERIES = int(os.environ.get("OPSCORE_EXECUTOR_QUERIES", "7000"))
"""How many questions are made up, the same ones each time: three thousand more would ask for twelve more fields, beside
nineteen hundred. Not by hypothesis-graphql: it makes no fragments, no @skip and no field asked twice, which is where
two executors could part."""

REAL = build_schema()._schema
assert REAL.query_type is not None
DEPTH_MAX = 7
SWITCHES = {"yes": "Boolean!", "no": "Boolean = false"}


def _root_field(name: str, field: GraphQLField) -> GraphQLField:
    return GraphQLField(field.type, resolve=lambda source, _info: source[name])


# The real types, all of them, below root fields that hand out what a test has made.
SCHEMA = GraphQLSchema(
    query=GraphQLObjectType(
        "Query", {name: _root_field(name, field) for name, field in REAL.query_type.fields.items()}
    ),
    types=[type_ for type_ in REAL.type_map.values() if isinstance(type_, GraphQLObjectType) and type_.interfaces],
)
assert SCHEMA.query_type is not None


class Soon:
    """Something to be awaited, as often as one likes."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Iterator[Any]:
        yield from ()
        return self.value


class Text(enum.StrEnum):
    SOME = "some"


class Shy(Exception):
    """An error that is given instead of raised."""


SCALARS: dict[str, Callable[[int], Any]] = {
    "String": lambda number: f"text {number} \u4e2d\u6587",
    "ID": lambda number: f"id{number}",
    "Int": lambda number: number - 5_000,
    "Boolean": lambda number: number % 2 == 0,
    "Decimal": lambda number: Decimal(number).scaleb(-(number % 5)),
    "DateTime": lambda number: datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=number),
    "Date": lambda number: datetime.date(2026, 1, 1 + number % 28),
    "UUID": lambda number: uuid.UUID(int=number),
    "Position": lambda number: number,
    "MinorUnits": lambda number: -number,
    "JSON": lambda number: {"a": [number, None]} if number % 2 else "json",
}
"""How a right value of each scalar is made of a number."""


class Maker:
    """Makes objects of the schema's types, right or with faults strewn in."""

    def __init__(self, chance: random.Random, faults: float) -> None:
        self.chance = chance
        self.faults = faults

    def value(self, type_: Any, depth: int = 0) -> Any:
        """Return a value of a type."""
        if self.faults and self.chance.random() < self.faults:
            return self.fault(type_, depth)
        if isinstance(type_, GraphQLNonNull):
            return self.given(type_.of_type, depth)
        if depth > DEPTH_MAX or self.chance.random() < 0.15:
            return None
        return self.given(type_, depth)

    def given(self, type_: Any, depth: int) -> Any:
        if isinstance(type_, GraphQLList):
            items = [self.value(type_.of_type, depth + 1) for _ in range(self.chance.choice((0, 1, 2, 2, 3)))]
            return tuple(items) if self.chance.random() < 0.1 else items
        if isinstance(type_, GraphQLEnumType):
            return self.chance.choice(list(type_.wrapped_cls))
        if isinstance(type_, GraphQLScalarType):
            return self.scalar(type_.name)
        if isinstance(type_, GraphQLInterfaceType):
            return self.given(self.chance.choice(SCHEMA.get_possible_types(type_)), depth)
        return self.object(type_, depth)

    def scalar(self, name: str) -> Any:
        return SCALARS[name](self.chance.randrange(10_000))

    def object(self, type_: GraphQLObjectType, depth: int) -> Any:
        origin = type_.extensions["strawberry-definition"].origin
        values: dict[str, Any] = {}
        raising: dict[str, Any] = {}
        for field in type_.fields.values():
            name = field.extensions["strawberry-definition"].python_name
            if self.faults and self.chance.random() < self.faults / 2:
                if self.chance.random() < 0.5:
                    raising[name] = property(_raise)
                continue
            values[name] = self.value(field.type, depth + 1)
        if type_.name == "Order":
            values["loaded_customer"] = self.value(type_.fields["customer"].type, depth + 1)
            values["loaded_store"] = self.value(type_.fields["store"].type, depth + 1)
        if type_.name == "OrderLine":
            values["loaded_sku"] = self.value(type_.fields["sku"].type, depth + 1)
        made = object.__new__(type(origin.__name__, (origin,), raising) if raising else origin)
        made.__dict__.update(values)
        return made

    def fault(self, type_: Any, depth: int) -> Any:
        """Return what a resolver should not have given, or would not often give."""
        number = self.chance.randrange(100)
        right = self.given(get_nullable_type(type_), depth + 1)
        return self.chance.choice(self.faults_of(type_, number, right))

    @staticmethod
    def faults_of(type_: Any, number: int, right: Any) -> tuple[Any, ...]:
        """Return every kind of fault there is; `right` is a right value."""
        return (
            None,
            Undefined,
            Shy("given, not raised"),
            Soon(right),
            Soon(None),
            (each for each in ()) if isinstance(type_, GraphQLScalarType) else {number},
            Text.SOME,
            "text",
            True,
            number,
            2**31 + number,
            2**60,
            float("nan"),
            1.5,
            float(number),
            Decimal("NaN"),
            Decimal("Infinity"),
            datetime.datetime(2026, 1, 1),
            {"a": number},
            [],
            [right],
            object(),
            right,
            -(2**31) - 1,
            (right,),
        )


def _raise(_: Any) -> Any:
    raise RuntimeError("this attribute cannot be read")


class Asker:
    """Makes up documents: fragments, directives, aliases, repeated fields, several roots."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.fragments: list[str] = []
        self.several_types = False
        """Whether fields of several types stand side by side, which may not go together under one name."""

    def document(self) -> str:
        """Return a document over the schema, nearly always a valid one."""
        assert SCHEMA.query_type is not None
        roots = []
        for name in self.chance.sample(sorted(SCHEMA.query_type.fields), self.chance.choice((1, 1, 1, 2))):
            roots.append(self.field(name, SCHEMA.query_type.fields[name].type, 0))
        text = " ".join([f"{{ {' '.join(roots)} }}", *self.fragments])
        declared = [f"${name}: {type_}" for name, type_ in SWITCHES.items() if f"${name})" in text]
        return f"query ({', '.join(declared)}) {text}" if declared else text

    def selection(self, type_: Any, depth: int) -> str:
        if isinstance(type_, GraphQLInterfaceType):
            return self.of_interface(type_, depth)
        parts = []
        for name in self.chance.choices(sorted(type_.fields), k=self.chance.randrange(1, 5)):
            field = type_.fields[name]
            if depth > DEPTH_MAX and not is_leaf_type(get_named_type(field.type)):
                continue
            parts.append(self.wrapped(self.field(name, field.type, depth), type_))
        if not parts or self.chance.random() < 0.15:
            parts.append("__typename")
        return " ".join(parts)

    def of_interface(self, type_: GraphQLInterfaceType, depth: int) -> str:
        parts = ["__typename", *self.chance.sample(sorted(type_.fields), self.chance.randrange(len(type_.fields)))]
        parts = [
            part for part in parts if part == "__typename" or is_leaf_type(get_named_type(type_.fields[part].type))
        ]
        self.several_types = True
        for possible in self.chance.sample(sorted(SCHEMA.get_possible_types(type_), key=str), 2):
            parts.append(f"... on {possible.name} {{ {self.selection(possible, depth + 1)} }}")
        return " ".join(parts)

    def field(self, name: str, type_: Any, depth: int) -> str:
        alias = f"{self.chance.choice('ab')}_{name}: " if self.chance.random() < 0.2 else ""
        named = get_named_type(type_)
        below = "" if is_leaf_type(named) else f" {{ {self.selection(named, depth + 1)} }}"
        return f"{alias}{name}{self.directive()}{below}"

    def goes_together(self, document: DocumentNode) -> bool:
        """Say whether its fields can be merged; all else about it is valid as it is made.

        Of one type they always can: none has arguments, and an alias names its field. Validating takes as long as
        parsing.
        """
        return not (self.several_types and validate(SCHEMA, document, [OverlappingFieldsCanBeMergedRule]))

    def directive(self) -> str:
        if self.chance.random() > 0.12:
            return ""
        kind, given = self.chance.choice(("skip", "include")), self.chance.choice(("$yes", "$no", "true", "false"))
        return f" @{kind}(if: {given})"

    def wrapped(self, part: str, type_: GraphQLObjectType) -> str:
        """Return a field as it is, in an inline fragment or in a fragment of its own."""
        roll = self.chance.random()
        if roll < 0.8:
            return part
        if roll < 0.9:
            named = f" on {type_.name}" if roll < 0.85 else ""
            return f"...{named}{self.directive()} {{ {part} }}"
        name = f"F{len(self.fragments)}"
        self.fragments.append(f"fragment {name} on {type_.name} {{ {part} }}")
        return f"...{name}{self.directive()} ...{name}"


async def _run(
    document: Any, root: Any, variables: dict[str, Any], plans: Plans | None, schema: GraphQLSchema = SCHEMA
) -> ExecutionResult:
    running: Any = execute(schema, document, root, variable_values=variables, hide_suggestions=True, **run_with(plans))
    result: ExecutionResult = await running if inspect.isawaitable(running) else running
    return result


def shown(result: ExecutionResult) -> str:
    """Return everything about a result, the order of keys and the types of values included."""
    return repr((result.data, [(error.formatted, type(error.original_error)) for error in result.errors or ()]))


def roots(seed: int, faults: float) -> dict[str, Any]:
    """Return something for every root field to hand out."""
    assert SCHEMA.query_type is not None
    maker = Maker(random.Random(seed), faults)
    return {name: maker.value(field.type) for name, field in SCHEMA.query_type.fields.items()}


def test_the_compiled_executor_answers_what_the_stock_one_answers_errors_included() -> None:
    data = [roots(seed, 0.0) for seed in range(3)] + [roots(seed, 0.01 * (1 + seed % 6)) for seed in range(3, 15)]
    gc.freeze()  # Half a million objects, which nobody has to walk to see that all of them are in use.
    asked = failed = ran = left = seed = 0

    async def differ() -> None:
        nonlocal asked, failed, ran, left, seed
        while asked < QUERIES:
            seed += 1
            chance = random.Random(seed)
            asker = Asker(chance)
            document = parse(asker.document())
            if not asker.goes_together(document):
                continue
            asked += 1
            plans = Plans(document)
            for variables in ({"yes": True}, {"yes": False, "no": True}):
                root = chance.choice(data)
                stock = await _run(document, root, variables, None)
                compiled = await _run(document, root, variables, plans)
                assert shown(compiled) == shown(stock), f"seed {seed}"
                failed += bool(stock.errors)
            ran += plans.ran
            left += plans.left

    asyncio.run(differ())

    assert seed < asked * 1.2 + 10, "too many of the documents are not valid"
    print(f"{asked} documents, {failed} answers with errors; {ran} compiled calls, {left} left to the stock executor")
    assert ran > asked and left > asked / 10 and failed > asked / 5


def row_page(chance: random.Random, faults: float) -> Any:
    """Return a page of orders as the order book hands it out: rows, some of them perhaps with what no column holds."""
    maker = Maker(chance, 0.0)

    def value(column: str) -> Any:
        if column in PLAIN and chance.random() < faults:
            return chance.choice([None, Undefined, "text", 1, 2**40, True, object(), Decimal("NaN"), [1]])
        if column.endswith("_at") or column in ("ship_by", "ship_by_hard"):
            return chance.choice([None, maker.scalar("DateTime")])
        if column.endswith("_id"):
            return maker.scalar("UUID")
        if column.endswith("_minor"):
            return chance.randrange(10**6)
        if column.endswith("_price") or column in QUANTITIES:
            return maker.scalar("Decimal")
        match column:
            case "status":
                return chance.choice(list(OrderStatus)).value
            case "currency":
                return chance.choice(["GBP", "CNY", "JPY", "KWD"])
            case "campaign_ids":
                return [maker.scalar("UUID")]
            case "line":
                return chance.randrange(9)
            case "surge" | "expired" | "gift" | "service":
                return True
            case "kind":
                return "sale"
            case "price_source":
                return "opscore"
            case "traffic_source":
                return chance.choice([None, "direct"])
        return maker.scalar("String")

    def rows(of: MadeObject, number: int) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        names = of.columns(of.fields)
        return names, [tuple(map(value, names)) for _ in range(number)]

    columns, orders = rows(ORDER, chance.randrange(5))
    line_columns, lines = rows(LINE, 4)
    place = columns.index("order_id")
    found = Found(line_columns, {row[place]: lines[: chance.randrange(5)] for row in orders if chance.random() < 0.9})
    asked = Window(chance.choice((3, 9)), None, None, chance.random() < 0.5)
    page = Rows(ORDER, columns, orders, {"lines": found})
    return connection_of_rows(page, asked, "orders", ["placed_at", "order_id"], 7, edges=chance.random() < 0.9)


def test_edges_of_rows_are_one_compiled_call_too_and_objects_for_whoever_looks_at_them() -> None:
    page = next(made for seed in range(1, 99) if (made := row_page(random.Random(seed), 0.0)).edges)
    document = parse("{ orders { edges { cursor node { id total { amount } lines { line amount { amount } } } } } }")
    plans = Plans(document)

    compiled = asyncio.run(_run(document, {"orders": page}, {}, plans))
    stock = asyncio.run(_run(document, {"orders": page}, {}, None))

    assert compiled.errors is stock.errors is None
    assert compiled.data == stock.data and compiled.data is not None
    assert (plans.ran, plans.left) == (1, 0)
    assert all(edge["node"]["total"] for edge in compiled.data["orders"]["edges"])


def test_what_was_not_fetched_of_a_row_is_no_attribute_of_its_object() -> None:
    [edge] = edges_of(Rows(ORDER, ("order_id",), [(uuid.UUID(int=7),)]), lambda _: "cursor")

    assert edge.node.id and not hasattr(edge.node, "total")


def test_what_is_made_of_the_same_columns_again_and_again_is_made_and_written_once() -> None:
    made: list[int] = []

    def amount(minor: int) -> Decimal | None:
        made.append(minor)
        return Decimal(minor) if minor else None

    of = MadeObject(Order, {"total": MadeObject(Money, {"amount": Made(("total_minor",), amount, repeats=True)})})
    document = parse("{ orders { nodes { total { amount } } } }")
    plans = Plans(document)

    def answered(*amounts: int) -> ExecutionResult:
        rows = Rows(of, ("total_minor",), [(each,) for each in amounts])
        page = connection_of_rows(rows, Window(9, None, None, True), "orders", ["total_minor"], None, edges=False)
        return asyncio.run(_run(document, {"orders": page}, {}, plans))

    first, again = answered(5, 7, 5), answered(7, 5)

    assert [each["total"]["amount"] for each in [*first.data["orders"]["nodes"], *again.data["orders"]["nodes"]]] == [
        "5", "7", "5", "7", "5"
    ]  # fmt: skip
    assert made == [5, 7] and (plans.ran, plans.left) == (2, 0)
    # There is no amount that is null: whoever reports faults is to see it.
    assert answered(0).errors and plans.left > 0


QUANTITIES = frozenset({"quantity", "cancelled", "exchanged", "returned", "refunded"})

MADE = [each for of in (ORDER, LINE) for each in of.attributes.values()]
PLAIN = {name for each in MADE if isinstance(each, Made) and each.make is None for name in each.columns} - {
    name for each in MADE if not isinstance(each, Made) or each.make is not None for name in columns_of(each)
}
"""Columns that are handed out as they are. What cannot be made of others fails a whole row for whoever makes objects
of them, and for the compiled executor only if it is asked for."""


def test_rows_of_a_read_model_are_answered_as_the_objects_they_stand_for_would_be() -> None:
    assert SCHEMA.query_type is not None
    type_ = SCHEMA.query_type.fields["orders"].type
    ran = left = failed = asked = seed = 0

    async def differ() -> None:
        nonlocal ran, left, failed, asked, seed
        while asked < QUERIES // 6:
            seed += 1
            chance = random.Random(seed)
            asker = Asker(chance)
            text = " ".join([f"{{ {asker.field('orders', type_, 0)} }}", *asker.fragments])
            declared = ", ".join(f"${name}: {kind}" for name, kind in SWITCHES.items() if f"${name})" in text)
            document = parse(f"query ({declared}) {text}" if declared else text)
            if not asker.goes_together(document):
                continue
            asked += 1
            root = {"orders": row_page(chance, chance.choice((0.0, 0.0, 0.01)))}
            plans = Plans(document)
            for variables in ({"yes": True}, {"yes": False, "no": True}):
                stock = await _run(document, root, variables, None)
                compiled = await _run(document, root, variables, plans)
                assert shown(compiled) == shown(stock), f"seed {seed}"
                failed += bool(stock.errors)
            ran += plans.ran
            left += plans.left

    asyncio.run(differ())

    assert ran > asked // 2 and left > asked // 20 and failed > asked // 20


def test_every_kind_of_fault_in_every_kind_of_field_is_answered_as_the_stock_executor_answers_it() -> None:
    kinds = [
        type_
        for type_ in REAL.type_map.values()
        if isinstance(type_, GraphQLObjectType)
        and not type_.name.startswith("__")
        and type_ not in (REAL.query_type, REAL.mutation_type)
    ]
    schema = GraphQLSchema(
        query=GraphQLObjectType(
            "Query", {kind.name: GraphQLField(kind, resolve=lambda source, _info: source) for kind in kinds}
        )
    )
    tried: set[tuple[str, bool, bool]] = set()
    ran = left = 0
    maker, loop = Maker(random.Random(1), 0.0), asyncio.new_event_loop()
    for kind in kinds:
        for name, field in [("", GraphQLField(GraphQLNonNull(kind))), *kind.fields.items()]:
            named: Any = get_named_type(field.type)
            leaf = named.name if isinstance(named, GraphQLScalarType) else type(named).__name__
            plain = not name or field.extensions["strawberry-definition"].is_basic_field
            shape = (str(field.type).replace(named.name, leaf), getattr(named, "is_type_of", None) is not None, plain)
            if shape in tried or kind.name.endswith("Payload"):
                continue
            tried.add(shape)
            below = "" if is_leaf_type(named) else "{ __typename }"
            document = parse(f"{{ {kind.name} {{ {name} {below if name else '__typename'} }} }}")
            plans = Plans(document)
            for fault in Maker.faults_of(field.type, 7, maker.given(get_nullable_type(field.type), 3)):
                root = fault
                if name:
                    root = maker.object(kind, 3)
                    root.__dict__[field.extensions["strawberry-definition"].python_name] = fault
                stock = loop.run_until_complete(_run(document, root, {}, None, schema))
                compiled = loop.run_until_complete(_run(document, root, {}, plans, schema))
                assert shown(compiled) == shown(stock), f"{kind.name}.{name}: {field.type} as {fault!r}"
            ran, left = ran + plans.ran, left + plans.left
    loop.close()

    assert len(tried) > 25 and ran > len(tried) and left > len(tried) * 5


ORDERS = """
    query ($lines: Boolean! = true) {
      orders {
        edges { cursor node { ...Card ...Card } }
        nodes { id status ... on Order { total { amount currencyCode } } lines @include(if: $lines) { sku: skuCode } }
        pageInfo { hasNextPage __typename }
      }
    }
    fragment Card on Order { id placedAt number: version ... @skip(if: $lines) { channel } }
"""


def page_of(root: dict[str, Any]) -> Any:
    return root["orders"]


def test_a_page_of_objects_is_one_compiled_call_and_is_compiled_once_for_each_form_of_the_selection() -> None:
    root = next(
        made for made in (roots(seed, 0.0) for seed in range(1, 99)) if page_of(made).nodes and page_of(made).edges
    )
    document = parse(ORDERS)
    plans = Plans(document)

    answers = [
        asyncio.run(_run(document, root, variables, plans)) for variables in ({}, {"lines": False}, {"lines": True}, {})
    ]

    assert (plans.ran, plans.left) == (4, 0), "the whole page is one call"
    assert len(plans) == 2, "with the lines and without them"
    assert plans.switches == ("lines",)
    assert answers[0].data == answers[2].data == answers[3].data
    assert answers[0].data is not None and answers[1].data is not None
    assert "lines" in answers[0].data["orders"]["nodes"][0] and "lines" not in answers[1].data["orders"]["nodes"][0]
    assert "channel" in answers[1].data["orders"]["edges"][0]["node"]


def test_what_an_operation_was_run_with_is_freed_with_its_answer_and_not_by_the_collector_of_cycles() -> None:
    kept: list[weakref.ref[Any]] = []

    class Noted(CompiledExecutor):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            kept.append(weakref.ref(self))

    document, page = parse("{ orders { nodes { id } } }"), row_page(random.Random(1), 0.0)

    async def answered(given: Any) -> ExecutionResult:
        running: Any = execute(SCHEMA, document, {"orders": given}, executor_class=Noted, plans=Plans(document))
        result: ExecutionResult = await running if inspect.isawaitable(running) else running
        return result

    async def later() -> Any:
        return page

    gc.disable()
    try:
        for given in (page, later()):
            result = asyncio.run(answered(given))
            assert result.errors is None and result.data is not None
        assert len(kept) == 2 and all(each() is None for each in kept)
    finally:
        gc.enable()


def test_one_bad_row_is_left_to_the_stock_executor_and_the_other_rows_are_not() -> None:
    root = roots(1, 0.0)
    document = parse("{ orders { nodes { channel } } }")
    made = Maker(random.Random(3), 0.0)
    root["orders"].nodes = [made.object(SCHEMA.type_map["Order"], 0) for _ in range(9)]
    root["orders"].nodes[4].channel = None
    plans = Plans(document)

    compiled = asyncio.run(_run(document, root, {}, plans))

    assert shown(compiled) == shown(asyncio.run(_run(document, root, {}, None)))
    assert compiled.errors is not None and compiled.errors[0].path == ["orders", "nodes", 4, "channel"]
    assert (plans.ran, plans.left) == (4, 3), "rows 0 to 3; the page, its nodes and row 4"


def test_a_field_with_a_resolver_of_its_own_is_run_by_the_stock_executor_and_what_is_below_it_is_compiled() -> None:
    document = parse("{ orders { nodes { id customer { id tier } lines { line } } } }")
    root = roots(1, 0.0)
    made = Maker(random.Random(3), 0.0)
    order = made.object(SCHEMA.type_map["Order"], 0)
    order.loaded_customer = made.object(SCHEMA.type_map["Customer"], 0)
    root["orders"].nodes = [order]
    plans = Plans(document)

    result = asyncio.run(_run(document, root, {}, plans))

    assert result.errors is None and result.data is not None
    assert result.data["orders"]["nodes"][0]["customer"]["id"] == order.loaded_customer.id
    assert (plans.ran, plans.left) == (2, 0), "the customer and the lines"


def test_a_document_of_many_forms_keeps_a_bounded_number_of_functions() -> None:
    names = [f"v{number}" for number in range(8)]
    declared = ", ".join(f"${name}: Boolean!" for name in names)
    fields = " ".join(f"{name}: position @include(if: ${name})" for name in names)
    document = parse(f"query ({declared}) {{ head {{ {fields} hash }} }}")
    root, plans = roots(1, 0.0), Plans(document)

    for bits in range(2 ** len(names)):
        variables = {name: bool(bits >> number & 1) for number, name in enumerate(names)}
        result = asyncio.run(_run(document, root, variables, plans))
        assert result.data is not None
        assert list(result.data["head"]) == [name for name in names if variables[name]] + ["hash"]

    assert plans.ran == len(plans) == PLANS_KEPT


def test_a_server_compiles_the_selections_of_its_queries_unless_it_is_told_not_to(api: Api, shop: Shop) -> None:
    sku = shop.sku("MUG", stock=10, price="2.50", cost="1.00")
    wait_for(api.server.projector, "directory", api.server.services.log.head().position)
    text = "{ skus(first: 5) { nodes { id code name } } stores(first: 5) { nodes { id name status } } }"
    limits = Limits()

    def asked(compiled: bool) -> tuple[bytes, Plans]:
        engine = GraphQLEngine(REAL, api.server.services, limits, compiled=compiled)
        request = GraphQLRequest(
            query=text,
            operation_name=None,
            variables={},
            read_only=False,
            authorization=f"Bearer {api.token()}",
            request_id="r",
        )
        for _ in range(3):
            answer = asyncio.run(engine.run(request))
        return answer.body, engine._documents.get(text).plans

    body, plans = asked(compiled=True)
    stock_body, unused = asked(compiled=False)

    assert (plans.ran, plans.left, len(plans)) == (6, 0, 2)
    assert (unused.ran, unused.left, len(unused)) == (0, 0, 0)
    assert body == stock_body and gid("Sku", sku).encode() in body


def test_compiling_is_a_setting() -> None:
    assert Settings(_env_file=None).compiled_executor
    assert not Settings(_env_file=None, compiled_executor=False).compiled_executor

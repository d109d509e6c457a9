"""Whatever the SDL lets a client send, made up by chance: right values, odd ones, and wrong ones."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

from opscore.api.inputs import aggregate_of
from tests.api.anything import SCHEMA, everything_of, snake

DEPTH_MAX = 4
LIFE = "allowedCommands { name allowed code reason }"

RIGHT: dict[str, list[Any]] = {
    "String": ["x", "Tea", "\u8336"],
    "Boolean": [True, False],
    "Int": [1, 2, 50],
    "Decimal": ["1", "2"],
    "MinorUnits": [1, 950],
    "Date": ["2026-01-01", "2024-02-29"],
    "DateTime": ["2026-01-01T00:00:00Z", "2036-03-30T01:30:00+01:00"],
    "Position": [1, 7],
    "JSON": [{}, {"sku_id": "x", "day": "2026-01-01"}],
}
"""What a scalar takes, by its name."""

NAMED: dict[str, list[Any]] = {
    "currency": ["GBP"], "currencyCode": ["GBP"], "method": ["card"], "courier": ["DPD"], "timeZone": ["Europe/London"],
    "platform": ["own"], "language": ["en"], "url": ["http://127.0.0.1:9/hook"], "name": ["kpi_daily"],
    "projection": ["kpi_daily"], "query": ["days"], "cell": ["kpi_daily"], "code": ["TEA"], "kpi.code": ["K017"],
    "explainKpi.code": ["K017"], "explain.projection": ["stock_ledger"], "explain.cell": ["stock_values"],
    "externalReference": ["T-77"], "reference": ["T-77"], "first": [1, 5], "last": [2], "limit": [10], "version": [1],
    "fromDay": ["2026-01-01"], "toDay": ["2026-01-03"], "parameters": [{}], "atLeast": [1], "opens": ["09:00"],
    "closes": ["17:00"], "types": ["OrderPlaced"], "streamType": ["Order"],
    "expectedVersion": [None], "occurredAt": [None],
    "placeOrder.externalReference": [None], "registerSku.code": ["NEW-1", "NEW-2", "NEW-3"], "peakHour": [9],
    "quantityPlaces": [0], "receiver": ["desk"], "rule": ["guest_order_is_buyer"], "value": ["false"],
    "tier": ["member"], "kind": ["after_sale"], "oldVersion": [1], "newVersion": [1],
}  # fmt: skip
"""What means something in a field of one name, or of one name below one root field."""

ODD: dict[str, list[Any]] = {
    "String": [
        "", " ", "\t\r\n", "x" * 256, "y" * 9000, "\u202e\u200b", "\u0130\u1e9e", "\U0001f375", "\u0000", "\ud800",
        "%s%(x)s{0}", "' OR 1=1 --", "\\", '"', "$1", "NaN", "null", "-1", "1e400", "../../etc/passwd", "<b>",
        "Query:1", "2026-13-01", "http://[::1", "https://user:pw@host:99999/", "file:///etc/hosts", "b2Zmc2V0OjE=",
        "WzFd", "=1+1",
    ],
    "Boolean": ["true", 0],
    "Int": [0, -1, 2**31 - 1, -(2**31), 2**31, 101, 1.5, "1"],
    "Decimal": ["0", "-1", "-0.000001", "999999999999999999.999999", "1e5", "NaN", "Infinity", "\u0661", "1_0", "", 1],
    "MinorUnits": [0, -1, 10**12, -(10**12), 10**15, 2**53, 2**63, 0.5],
    "Date": ["0001-01-01", "9999-12-31", "1000-01-01", "8999-12-31", "2026-02-30", "1970-01-01", "2026-1-1", "", 0],
    "DateTime": [
        "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-12:00",
        "1000-01-01T00:00:00+14:00", "8999-12-31T23:59:59.999999-12:00",
        "2026-03-29T01:30:00", "2026-01-01T24:00:00Z", "2026-01-01T00:00:60Z", "1900-01-01T00:00:00+00:01", "",
    ],
    "Position": [0, -1, 2**53 - 1, 2**63, "1"],
    "JSON": [[], "x", None, 1.5, 10**30, {"": {}}, {"a": [[[[[[1]]]]]]}, {"x" * 500: True}, {"day": "9999-12-31"}],
    "ID": [
        "", "x", "Query:1", "T3JkZXI6MQ==", "U3RvcmU6", "T3JkZXI6MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAw", 1,
    ],
    "UUID": ["", "x", "00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", 1],
}  # fmt: skip
"""What a scalar takes at its very edge, and what it has to refuse."""


@dataclass(frozen=True)
class Known:
    """What there is: global ids by the name of the type, and plain ids of what has none by what asks for them."""

    ids: dict[str, list[str]]
    parts: dict[str, list[str]]


@dataclass
class Drawing:
    """Draws one input. odd: how many of a hundred values are odd. optional: how many that need not be given are."""

    dice: random.Random
    known: Known
    root: str
    odd: int
    optional: int

    def chance(self, percent: int) -> bool:
        return self.dice.randrange(100) < percent

    def one(self, values: list[Any]) -> Any:
        return self.dice.choice(values)

    def value(self, name: str, kind: Any, depth: int = 0) -> Any:
        """Return a value for an argument or a field."""
        if isinstance(kind, GraphQLNonNull):
            return None if self.chance(self.odd // 4) else self.value(name, kind.of_type, depth)
        if isinstance(kind, GraphQLList):
            items = [self.value(name, kind.of_type, depth + 1) for _ in range(self.one([1, 1, 2]))]
            return items * self.one([0, 2, 60]) if self.chance(self.odd // 2) else items
        if isinstance(kind, GraphQLInputObjectType):
            return "x" if self.chance(self.odd // 4) else self.members(kind, depth)
        if isinstance(kind, GraphQLEnumType):
            return self.one(["NOTHING", 1, ""] if self.chance(self.odd // 2) else list(kind.values))
        return self.scalar(name, kind.name)

    def members(self, kind: GraphQLInputObjectType, depth: int) -> dict[str, Any]:
        chosen = [key for key, field in kind.fields.items() if self.wanted(field, depth)]
        if kind.is_one_of:
            chosen = [self.one(list(kind.fields))] if not self.chance(self.odd) else chosen
        found = {key: self.value(key, kind.fields[key].type, depth + 1) for key in chosen}
        if self.chance(self.odd // 4):
            found["nothing"] = 1
        return found

    def wanted(self, field: GraphQLInputField | GraphQLArgument, depth: int) -> bool:
        needed = is_required_argument if isinstance(field, GraphQLArgument) else is_required_input_field
        if needed(field):
            return not self.chance(self.odd // 8)
        return depth < DEPTH_MAX and self.chance(self.optional)

    def scalar(self, name: str, kind: str) -> Any:
        if self.chance(self.odd):
            return self.one(ODD[kind])
        if name == "idempotencyKey":
            return str(uuid4())  # Never the same: another command's would be refused for the key alone.
        about = self.root if name in ("id", "ids") else name
        if kind in ("ID", "UUID"):
            there = self.known.ids if kind == "ID" else self.known.parts
            every = [each for ids in there.values() for each in ids]
            key = aggregate_of(snake(about)) or aggregate_of(f"{snake(about)}_id") or about if kind == "ID" else about
            return self.one(there.get(key, every))
        if name == "key" and self.root == "explain":
            return {"sku_id": self.one(self.known.ids["Sku"])}
        own = f"{self.root}.{name}"
        return self.one(NAMED.get(own) or self.known.parts.get(own) or NAMED.get(name) or RIGHT[kind])


def request(dice: random.Random, operation: str, name: str, known: Known, *, plain: bool = False) -> dict[str, Any]:
    """Return a request that selects a root field: its arguments as variables or as literals.

    plain: with nothing odd in it, and nothing that may be left out.
    """
    root = {"query": SCHEMA.query_type, "mutation": SCHEMA.mutation_type, "subscription": SCHEMA.subscription_type}
    field = root[operation].fields[name]
    odd, optional = dice.choice([0, 0, 8, 30]), dice.choice([0, 25, 25, 70])
    drawing = Drawing(dice, known, name, 0 if plain else odd, 0 if plain else optional)
    paged = {"first"} & field.args.keys()
    given = {
        key: drawing.value(key, each.type)
        for key, each in field.args.items()
        if drawing.wanted(each, 0) or (key in paged and not drawing.chance(drawing.odd // 4))
    }
    below = "" if is_leaf_type(get_named_type(field.type)) else f" {{ {selection_of(field.type)} }}"
    if drawing.chance(30):
        passed = ", ".join(f"{key}: {literal(each, field.args[key].type)}" for key, each in given.items())
        return {"query": f"{operation} {{ {name}{f'({passed})' if passed else ''}{below} }}"}
    declared = ", ".join(f"${key}: {field.args[key].type}" for key in given)
    passed = ", ".join(f"{key}: ${key}" for key in given)
    head = f"{operation} ({declared})" if given else operation
    return {"query": f"{head} {{ {name}{f'({passed})' if given else ''}{below} }}", "variables": given}


def selection_of(kind: Any) -> str:
    """Return a selection of nearly everything of what a root field gives."""
    inner: Any = get_named_type(kind)
    if isinstance(inner, GraphQLInterfaceType):
        return f"__typename id ... on Stream {{ version {LIFE} }}"
    if "nodes" in inner.fields:
        node = get_named_type(inner.fields["nodes"].type).name
        more = "totalCount " if "totalCount" in inner.fields else ""
        return (
            f"{more}nodes {{ {everything_of(node, 3)} }} edges {{ cursor }} pageInfo {{ {everything_of('PageInfo')} }}"
        )
    return everything_of(inner.name, 3)


def literal(value: Any, kind: Any) -> str:
    """Return a value as it stands in a document; enum values are bare words, all else as JSON, right or wrong."""
    inner: Any = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
    if isinstance(value, dict):
        fields = getattr(inner, "fields", {})
        members = (
            f"{key}: {literal(each, fields[key].type if key in fields else None)}" for key, each in value.items()
        )
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list):
        return f"[{', '.join(literal(each, getattr(inner, 'of_type', None)) for each in value)}]"
    if isinstance(inner, GraphQLEnumType) and value in inner.values:
        return str(value)
    return json.dumps(value, ensure_ascii=False)

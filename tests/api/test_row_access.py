"""Rows of another store and of another customer: asked for by every way there is, and named in every command.

The documents and inputs are made from the schema, so that a question or command that is added is tried as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

from opscore.api.inputs import SUCCESSORS, aggregate_of
from opscore.api.naming import camel
from opscore.api.numbers import number_of
from opscore.domain.campaign_commands import PlanCampaign
from opscore.domain.campaign_events import CampaignGoal
from opscore.domain.command import COMMANDS, Role
from opscore.domain.order import Order
from opscore.domain.order_commands import ConfirmOrder, PackParcel, PayOrder, ScannedLine, ShipOrder
from opscore.domain.order_notes import NoteOrder, TagOrder
from opscore.domain.stock_commands import ReserveStock
from opscore.log.event_log import EventLog
from tests.api.anything import SCHEMA, everything_of, snake, value_of
from tests.api.conftest import Api, gid
from tests.api.socket_client import socket
from tests.shop import Shop

KINDS = ("Store", "Sku", "Order", "Campaign", "Customer")


@pytest.fixture(scope="module")
def world(api: Api) -> dict[str, dict[str, Any]]:
    """Two stores with one of everything each, and in the first a second customer with an order."""
    found: dict[str, dict[str, Any]] = {}
    for name in ("mine", "theirs"):
        shop = Shop.open(api.server.writer, name=f"Shop {name}")
        sku = shop.sku(f"S-{name}", stock=20)
        found[name] = {"shop": shop, "Store": shop.store_id, "Sku": sku, "locationId": shop.location_id}
        found[name] |= _buyer(shop, sku, name)
        goal = CampaignGoal.RAISE_SALES
        found[name]["Campaign"] = shop.do(PlanCampaign(store_id=shop.store_id, name=f"Sale {name}", goal=goal))
        shop.do(ReserveStock(sku_id=sku, location_id=shop.location_id, quantity=Decimal(1), reference=f"hold {name}"))
    shop = found["mine"]["shop"]
    found["neighbour"] = {**found["mine"], **_buyer(shop, found["mine"]["Sku"], "neighbour")}
    position = api.server.services.log.head().position
    api.ask("query ($p: Position) { stockTotals(atLeast: $p) { skus } }", {"p": position})
    api.ask("query ($p: Position) { orders(first: 1, atLeast: $p) { nodes { id } } }", {"p": position})
    return found


def _buyer(shop: Shop, sku: UUID, name: str) -> dict[str, Any]:
    customer = shop.customer(external_reference=f"person {name}", region=f"region {name}")
    order = shop.do(shop.order((sku, 1), customer_id=customer, external_reference=f"R-{name}"))
    shop.do(PayOrder(order_id=order, amount_minor=1000, method="card", provider_reference=f"pay {name}"))
    shop.do(ConfirmOrder(order_id=order))
    parcel = uuid4()
    scanned = (ScannedLine(line=1, sku_id=sku, quantity=Decimal(1)),)
    shop.do(PackParcel(order_id=order, location_id=shop.location_id, lines=scanned, parcel_id=parcel))
    shop.do(ShipOrder(order_id=order, parcel_id=parcel, courier="DPD", waybill=f"W-{name}"))
    shop.do(NoteOrder(order_id=order, text=f"note {name}"))
    shop.do(TagOrder(order_id=order, tag=f"tag {name}"))
    placed = EventLog(shop.writer.database.pool.connection).aggregate(Order, order)
    assert placed is not None and placed.first_position is not None
    return {"Customer": customer, "Order": order, "parcelId": parcel, "number": number_of(placed.first_position)}


def marks(whose: dict[str, Any], name: str, kinds: tuple[str, ...] = KINDS) -> list[str]:
    """Return texts by which anything of somebody would be known."""
    ids = [whose[kind] for kind in kinds]
    found = [*map(str, ids), *(gid(kind, whose[kind]) for kind in kinds), str(whose["parcelId"])]
    found += [f"R-{name}", f"W-{name}", f"pay {name}", f"person {name}", f"region {name}"]
    found += [f"note {name}", f"tag {name}"]
    if "Store" in kinds:
        found += [f"S-{name}", f"Shop {name}", f"Sale {name}", f"hold {name}", str(whose["locationId"])]
    return found


# Questions -----------------------------------------------------------------------------------------------------------


def _given(name: str, kind: Any, theirs: dict[str, Any], said: str) -> Any:
    """Return a value for an argument: an id of theirs wherever an id goes."""
    inner = get_named_type(kind)
    if isinstance(kind, GraphQLNonNull):
        return _given(name, kind.of_type, theirs, said)
    if isinstance(kind, GraphQLList):
        return [_given(name, kind.of_type, theirs, said)]
    if inner.name == "ID":
        about = aggregate_of(snake(name)) or aggregate_of(f"{said}_id") or ("Order" if said == "node" else "Sku")
        return gid(about, theirs[about])
    if inner.name == "UUID":
        return str(theirs.get(name) or theirs["locationId"])
    day = datetime.now(UTC).date()
    special = {
        "first": 20, "projection": "stock_ledger", "cell": "stock_values", "key": {"sku_id": str(theirs["Sku"])},
        "fromDay": str(day - timedelta(days=2)), "toDay": str(day + timedelta(days=2)), "day": str(day),
        "before": (datetime.now(UTC) + timedelta(days=90)).isoformat(), "currencyCode": "GBP",
        "number": theirs["number"], "externalReference": "R-theirs", "reference": "person theirs", "code": "S-theirs",
    }  # fmt: skip
    return special.get(name, value_of(name, kind))


def documents(theirs: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give (name, document, variables) for each question: as it must be asked, then with each id that it may name."""
    assert SCHEMA.query_type is not None
    for name, field in SCHEMA.query_type.fields.items():
        inner = get_named_type(field.type)
        if is_leaf_type(inner):
            continue
        if inner.name == "Node":
            below = " ".join(f"... on {kind} {{ {_renamed(everything_of(kind, 3), kind)} }}" for kind in KINDS)
        elif "nodes" in inner.fields:
            below = f"nodes {{ {everything_of(get_named_type(inner.fields['nodes'].type).name, 4)} }}"
        else:
            below = everything_of(inner.name, 4)
        needed = {key for key, each in field.args.items() if is_required_argument(each)}
        needed |= {"first"} & set(field.args)
        named = {key for key, each in field.args.items() if get_named_type(each.type).name in ("ID", "UUID")}
        dated = {"asOf"} & set(field.args)
        for chosen in ({*needed}, {*needed, *named}, {*needed, *named, *dated}):
            given = {key: _given(key, field.args[key].type, theirs, name) for key in chosen}
            declared = ", ".join(f"${key}: {field.args[key].type}" for key in given)
            passed = ", ".join(f"{key}: ${key}" for key in given)
            head = f"query ({declared})" if given else "query"
            yield name, f"{head} {{ {name}{f'({passed})' if given else ''} {{ {below} }} }}", given


def _renamed(selection: str, kind: str) -> str:
    """Return a selection whose fields cannot clash with another type's of the same name in one answer."""
    return selection if kind == "Order" else "id"


@pytest.mark.parametrize("role", [Role.OWNER, Role.AUDITOR, Role.STOREFRONT])
def test_no_question_shows_another_stores_row(api: Api, world: dict[str, Any], role: Role) -> None:
    token = api.token(role, name=f"mine {role}", stores=(world["mine"]["Store"],))
    texts = marks(world["theirs"], "theirs")
    for name, document, variables in documents(world["theirs"]):
        answer = api.post({"query": document, "variables": variables}, token=token)
        given = str(variables)
        shown = [each for each in texts if each in answer.text and each not in given]
        assert not shown, (name, shown, answer.text[:500])
        assert "INTERNAL" not in answer.text, (name, answer.text)
        assert "VALIDATION" not in answer.text and "TOO_COMPLEX" not in answer.text, (name, answer.text)
        rows = answer.json().get("data") or {}
        if role is Role.OWNER and name in {"node", "store", "sku", "order", "campaign", "customer"}:
            assert rows[name] is None, name


def test_no_question_shows_a_customer_another_ones_row(api: Api, world: dict[str, Any]) -> None:
    token = api.token(Role.CUSTOMER, name="mine", customer=world["mine"]["Customer"])
    texts = marks(world["neighbour"], "neighbour", ("Order", "Customer"))
    for name, document, variables in documents(world["neighbour"]):
        answer = api.post({"query": document, "variables": variables}, token=token)
        shown = [each for each in texts if each in answer.text and each not in str(variables)]
        assert not shown, (name, shown, answer.text[:500])
        assert "INTERNAL" not in answer.text, (name, answer.text)
    own = api.ask("{ orders(first: 9) { nodes { id customer { id } } } }", token=token)["orders"]["nodes"]
    mine = world["mine"]
    assert own == [{"id": gid("Order", mine["Order"]), "customer": {"id": gid("Customer", mine["Customer"])}}]


def test_the_marks_would_be_found(api: Api, world: dict[str, Any]) -> None:
    """The test above could not fail if nobody at all were shown these rows."""
    texts = set(marks(world["theirs"], "theirs")) - {"hold theirs", "pay theirs"}
    seen = "".join(
        api.post({"query": document, "variables": variables}).text
        for _, document, variables in documents(world["theirs"])
    )

    assert {each for each in texts if each not in seen} == set()


# Subscriptions -------------------------------------------------------------------------------------------------------


def test_no_subscription_brings_another_stores_row(api: Api, world: dict[str, Any]) -> None:
    token = api.token(Role.AUDITOR, name="mine follows", stores=(world["mine"]["Store"],))
    texts = marks(world["theirs"], "theirs")
    heads = {
        "events": f"events(after: 0) {{ {everything_of('LogEvent')} }}",
        "named": f"events(after: 0, filter: {{storeIds: $stores}}) {{ {everything_of('LogEvent')} }}",
        "figures": f"figures {{ {everything_of('KpiDay')} }}",
        "named figures": f"figures(storeIds: $stores) {{ {everything_of('KpiDay')} }}",
    }
    for name, head in heads.items():
        with socket(api.url, token) as client:
            declared = "($stores: [ID!])" if "$stores" in head else ""
            client.subscribe(
                f"subscription {declared} {{ {head} }}",
                {"stores": [gid("Store", world["theirs"]["Store"])]} if declared else {},
            )
            came = []
            until = time.monotonic() + 1.5
            while (left := until - time.monotonic()) > 0:
                try:
                    came.append(str(client.receive(left)))
                except TimeoutError:
                    break
            assert not [each for each in texts if each in "".join(came)], name
            assert bool(came) is (name != "named"), name


@pytest.mark.parametrize(
    "document",
    [
        "subscription { events(after: 0) { position } }",
        "subscription { ...A } fragment A on Subscription { events(after: 0) { position } }",
        "subscription { figures { orders } }",
        "subscription { projectionProgress { name } }",
    ],
)
def test_a_customer_follows_nothing(api: Api, world: dict[str, Any], document: str) -> None:
    """What there is to follow is the shop's: its log, figures and machinery. A customer asks for its own orders."""
    with socket(api.url, api.token(Role.CUSTOMER, name="mine", customer=world["mine"]["Customer"])) as client:
        client.subscribe(document)
        message = client.receive()
        assert message["type"] == "error" and message["payload"][0]["extensions"]["code"] == "FORBIDDEN", message


# Commands ------------------------------------------------------------------------------------------------------------

OPEN_TO_ALL = {"addLocation", "creditSpend"}
"""Commands that take any id as it is: for a new place, and for an order that may be another system's."""


def _paths(kind: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Give the way to every id in an input."""
    if isinstance(kind, GraphQLNonNull):
        yield from _paths(kind.of_type, above)
    elif isinstance(kind, GraphQLList):
        yield from _paths(kind.of_type, (*above, 0))
    elif isinstance(kind, GraphQLInputObjectType):
        for name, field in kind.fields.items():
            if not kind.is_one_of:
                yield from _paths(field.type, (*above, name))
    elif kind.name in ("ID", "UUID"):
        yield above


NEW = {each.name: {camel(old)} for old, each in SUCCESSORS.items()}
"""Members that take the place of deprecated ones: one of the two is given."""


def _about(name: str) -> str | None:
    """Return the aggregate that the member of an input names by a global id."""
    return "Customer" if name in NEW else aggregate_of(snake(name))


def _input(name: str, kind: Any, mine: dict[str, Any], wanted: set[str]) -> Any:
    """Return an input with what it needs and what is wanted, and ids of ours."""
    if isinstance(kind, GraphQLNonNull):
        return _input(name, kind.of_type, mine, wanted)
    if isinstance(kind, GraphQLList):
        return [_input(name, kind.of_type, mine, wanted)]
    if isinstance(kind, GraphQLInputObjectType) and not kind.is_one_of:
        return {
            key: _input(key, field.type, mine, wanted)
            for key, field in kind.fields.items()
            if is_required_input_field(field) or key in wanted or (key in NEW and not wanted & NEW[key])
        }
    about = _about(name) if kind.name in ("ID", "UUID") else None
    if about is not None:
        return gid(about, mine[about])
    return str(_plain_id(name, mine)) if kind.name == "UUID" else value_of(name, kind)


def _plain_id(name: str, whose: dict[str, Any]) -> UUID:
    found = {"toLocationId": "locationId", "otherId": "Customer", "referrerId": "Customer"}.get(name, name)
    key: UUID = whose.get(found) or uuid4()
    return key


def _put(value: Any, path: tuple[str | int, ...], new: str) -> None:
    for step in path[:-1]:
        value = value[step]
    value[path[-1]] = new


@pytest.mark.parametrize("whose", ["theirs", "neighbour"])
def test_naming_what_is_anothers_is_answered_like_naming_nothing(api: Api, world: dict[str, Any], whose: str) -> None:
    """Each id of each command in turn is another's, then nobody's; the others are ours. The answers are the same."""
    mine, theirs = world["mine"], world[whose]
    token = (
        api.token(Role.OWNER, name="mine owner", stores=(mine["Store"],))
        if whose == "theirs"
        else api.token(Role.CUSTOMER, name="mine", customer=mine["Customer"])
    )
    assert SCHEMA.mutation_type is not None
    tried = 0
    for command in sorted(set(COMMANDS) - OPEN_TO_ALL):
        kind = SCHEMA.mutation_type.fields[command].args["input"].type
        for path in _paths(kind):
            steps = [step for step in path if isinstance(step, str)]
            about = _about(steps[-1])
            if whose == "neighbour" and about not in ("Order", "Customer"):
                continue
            answers = []
            for key in (_plain_id(steps[-1], theirs) if about is None else theirs[about], uuid4()):
                shown = str(key) if about is None else gid(about, key)
                given = _input("input", kind, mine, set(steps))
                _put(given, path, shown)
                given["idempotencyKey"] = str(uuid4())
                document = f"""mutation ($input: {kind}) {{
                    {command}(input: $input) {{ userErrors {{ code message path ids currentVersion }} }}
                }}"""
                answer = api.post({"query": document, "variables": {"input": given}}, token=token).json()
                text = str(answer).replace(shown, "<id>").replace(str(key), "<key>")
                # Refusals name a customer by the global id, however the input named it.
                answers.append(text.replace(gid("Customer", key), "<id>"))
                tried += 1
            assert answers[0] == answers[1], (command, path)
            assert "NOT_FOUND" in answers[0] or "INTERNAL" not in answers[0]
    assert tried > (200 if whose == "theirs" else 80)

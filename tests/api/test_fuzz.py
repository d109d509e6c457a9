"""Every query, command and subscription with whatever a client may send: answered, or refused in a sentence of ours."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis_graphql import Mode, mutations, nodes, queries
from websockets.exceptions import ConnectionClosed

from opscore.api.ids import AGGREGATE_NAMES, key_of
from opscore.domain.campaign_commands import PlanCampaign
from opscore.domain.campaign_events import CampaignGoal
from opscore.domain.command import Role
from opscore.domain.commissions import ApproveCommissionScheme, CommissionTierTerms, ProposeCommissionScheme
from opscore.domain.order_commands import ConfirmOrder, PackParcel, PayOrder, ScannedLine
from opscore.domain.store_commands import SetPolicy
from tests.api.anything import SCHEMA
from tests.api.conftest import Api, gid
from tests.api.odd import ODD, RIGHT, Known, request
from tests.api.socket_client import socket
from tests.shop import SECOND, Shop

EXAMPLES = int(os.environ.get("OPSCORE_FUZZ_EXAMPLES", "12"))
"""How many requests are made up for each operation, the same ones each time; a thousand take an hour."""

EXAMPLES_OF_OTHERS = max(1, EXAMPLES // 6)
"""How many of them for each role beside the owner's."""

MADE_UP = int(os.environ.get("OPSCORE_FUZZ_DOCUMENTS", "40"))
"""How many whole documents Hypothesis makes up of questions, and of commands, right ones and wrong ones each."""

SLOW = {"rebuildProjection": 4, "projectionPlan": 2, "pingWebhook": 6}
"""How many for those that take a good part of a second each."""

MALFORMED = 4400
"""How a socket is closed on a message that is no request."""

ENDS = re.compile(r"close|erase|retire|cancel|delist|block|suspend|merge|drop|delete|promote|fail|reject|end|complete")
"""Commands after which others find nothing to do; they come last."""

Ask = Callable[[dict[str, Any]], dict[str, Any] | None]

PROGRAM = re.compile(
    r"Traceback|\b[A-Z]\w*(Error|Exception)\b|object has no|subscriptable|NoneType|positional argument|unhashable"
    r"|psycopg|msgspec|strawberry|<class|line \d+, in|invalid (input )?syntax|relation \"|column \"|constraint \""
    r"|out of range|\bdict\b|\btuple\b|\bint\(|Decimal\(|UUID\(|datetime\.|Overflow"
)
"""What only a program says, never a sentence for people."""


@pytest.fixture(scope="module")
def known(api: Api, shop: Shop) -> Known:
    """Some of everything, and orders that are placed, paid, confirmed and packed."""
    tenth = (CommissionTierTerms(from_minor=0, rate=Decimal("0.1")),)
    shop.do(ProposeCommissionScheme(store_id=shop.store_id, effective_month=date(1000, 1, 1), tiers=tenth))
    shop.do(ApproveCommissionScheme(store_id=shop.store_id, scheme_version=1), actor=SECOND)
    groups = {"segments": [{"segment": "all"}]}
    shop.do(SetPolicy(store_id=shop.store_id, kind="customer_segments", params=groups))
    skus = [shop.sku("TEA", stock=900), shop.sku("MUG", stock=900)]
    customers = [shop.customer(external_reference="T-77"), shop.customer()]
    orders = [shop.do(shop.order((skus[0], 1), customer_id=customers[0])) for _ in range(4)]
    orders.append(shop.do(shop.order((skus[0], 1), customer_id=customers[0], external_reference="T-77")))
    for order in orders[1:]:
        shop.do(PayOrder(order_id=order, amount_minor=1000, method="card"))
    for order in orders[2:]:
        shop.do(ConfirmOrder(order_id=order))
    scanned = (ScannedLine(line=1, sku_id=skus[0], quantity=Decimal(1)),)
    parcels = [UUID(int=number) for number in (1, 2)]
    for order, parcel in zip(orders[3:], parcels, strict=True):
        shop.do(PackParcel(order_id=order, location_id=shop.location_id, lines=scanned, parcel_id=parcel))
    campaign = shop.do(PlanCampaign(store_id=shop.store_id, name="Sale", goal=CampaignGoal.RAISE_SALES))
    keys = {"Store": [shop.store_id], "Sku": skus, "Order": orders, "Campaign": [campaign], "Customer": customers}
    job = api.give("startExport", "exportJob { id }", {"dataset": "ORDERS", "format": "CSV"})["exportJob"]["id"]
    rule = {"rule": "guest_order_is_buyer", "value": "false"}
    compared = api.give("whatIfProjection", "compareId", {"name": "kpi_daily", "rules": [rule]})["compareId"]
    url = {"url": "http://127.0.0.1:9/hook", "types": ["CampaignEnded"]}
    hook = api.give("registerWebhook", "webhook { id }", url)["webhook"]["id"]
    asked = {"id": gid("Order", orders[0])}
    number = api.ask("query ($id: ID!) { order(id: $id) { number } }", asked)["order"]["number"]
    parts = {
        "locationId": [str(shop.location_id)], "parcelId": [str(each) for each in parcels], "webhookId": [hook],
        "exportJob": [job], "exportId": [job], "projectionCompare": [compared], "orderByNumber.number": [number],
        "segmentCustomers.segment": ["all"],
    }  # fmt: skip
    return Known({kind: [gid(kind, key) for key in keys[kind]] for kind in AGGREGATE_NAMES}, parts)


@pytest.fixture(scope="module")
def others(api: Api, shop: Shop, known: Known) -> dict[Role, str]:
    """Tokens of people who see and may little: of one customer, one store's warehouse, an auditor."""
    customer = key_of(known.ids["Customer"][0], "Customer")
    stores = (shop.store_id,)
    return {
        Role.CUSTOMER: api.token(Role.CUSTOMER, stores=stores, customer=customer),
        Role.WAREHOUSE: api.token(Role.WAREHOUSE, stores=stores),
        Role.AUDITOR: api.token(Role.AUDITOR),
    }


def faults(body: dict[str, Any]) -> list[str]:
    """Return what no client should ever be shown in an answer."""
    said = list(body.get("errors") or ())
    for payload in (body.get("data") or {}).values():
        rows = payload.get("rows") if isinstance(payload, dict) else None
        for each in (payload, *(rows if isinstance(rows, list) else ())):
            own = each.get("userErrors") or () if isinstance(each, dict) else ()
            # A document need not ask for what a command says of its refusal.
            said += [error for error in own if {"code", "message"} <= error.keys()]
    return [str(each) for each in said if _is_fault(each)]


def _is_fault(error: dict[str, Any]) -> bool:
    code = error.get("code") or error.get("extensions", {}).get("code", "INTERNAL")
    return code == "INTERNAL" or PROGRAM.search(error["message"]) is not None


def sweep(operation: str, name: str, known: Known, ask: Ask) -> None:
    """Ask what is drawn for one root field and look at each answer; at least one has to be more than a refusal."""
    ran, refused = 0, set()
    for number in range(min(EXAMPLES, SLOW.get(name, EXAMPLES))):
        # One of each is plain: of a field with many arguments, few of what is drawn goes together.
        made = request(random.Random(f"{name} {number}"), operation, name, known, plain=number == 1)
        body = ask(made) or {}
        assert not faults(body), made
        ran += (body.get("data") or {}).get(name) is not None
        refused |= {each["message"] for each in body.get("errors", ())}
    assert ran, f"nothing that was made up got as far as an answer: {refused}"


def sweep_as(role: Role, operation: str, name: str, known: Known, ask: Ask) -> None:
    """Likewise for a role that may be refused whatever it asks."""
    for number in range(EXAMPLES_OF_OTHERS):
        made = request(random.Random(f"{name} {role} {number}"), operation, name, known)
        assert not faults(ask(made) or {}), (role, made)


def _posted(api: Api, token: str = "") -> Ask:
    def ask(made: dict[str, Any]) -> dict[str, Any] | None:
        # As bytes, so that a lone surrogate goes out as well.
        answer = api.post(json.dumps(made).encode(), token=token)
        assert answer.status_code < 500, (answer.text, made)
        body: dict[str, Any] = answer.json()
        return body

    return ask


def _followed(api: Api, token: str = "") -> Ask:
    def ask(made: dict[str, Any]) -> dict[str, Any] | None:
        """Return the first that comes; None when nothing comes at once, as from a position that is still to come."""
        with socket(api.url, token or api.token(), close_timeout=0.1) as client:
            client.send({"id": "1", "type": "subscribe", "payload": made})
            try:
                message = client.receive(0.3)
            except TimeoutError:
                return None
            except ConnectionClosed as end:
                assert end.rcvd is not None and end.rcvd.code == MALFORMED, made
                return {"errors": [{"message": end.rcvd.reason, "code": "MALFORMED"}]}
        payload = message.get("payload")
        return {"errors": payload} if message["type"] == "error" else payload

    return ask


def _last_things_last(name: str) -> tuple[bool, str]:
    return ENDS.match(name) is not None, name


@pytest.mark.parametrize("name", sorted(SCHEMA.query_type.fields))
def test_no_question_gets_an_answer_that_a_program_wrote(
    api: Api, known: Known, others: dict[Role, str], name: str
) -> None:
    sweep("query", name, known, _posted(api))
    for role, token in others.items():
        sweep_as(role, "query", name, known, _posted(api, token))


@pytest.mark.parametrize("name", sorted(SCHEMA.mutation_type.fields, key=_last_things_last))
def test_no_command_gets_an_answer_that_a_program_wrote(
    api: Api, known: Known, others: dict[Role, str], name: str
) -> None:
    sweep("mutation", name, known, _posted(api))
    for role, token in others.items():
        sweep_as(role, "mutation", name, known, _posted(api, token))


@pytest.mark.parametrize("name", sorted(SCHEMA.subscription_type.fields))
def test_no_subscription_begins_with_what_a_program_wrote(
    api: Api, known: Known, others: dict[Role, str], name: str
) -> None:
    sweep("subscription", name, known, _followed(api))
    for role, token in others.items():
        sweep_as(role, "subscription", name, known, _followed(api, token))


# Whole documents of Hypothesis, which makes the smallest of those that fail ------------------------------------------


def scalars(known: Known) -> dict[str, Any]:
    """Return strategies for our scalars: what they take, what they refuse, and some ids of what there is."""
    ids = [each for group in known.parts.values() for each in group]

    def drawn(name: str, make: Callable[[Any], Any], kind: type) -> Any:
        values = [each for each in (*RIGHT.get(name, ()), *ODD[name]) if type(each) is kind]
        return st.sampled_from(values).map(make)

    texts = {name: drawn(name, nodes.String, str) for name in ("Decimal", "Date", "DateTime", "JSON")}
    numbers = {name: drawn(name, nodes.Int, int) for name in ("Position", "MinorUnits")}
    return {**texts, **numbers, "UUID": st.sampled_from([*ids, *ODD["UUID"][:-1]]).map(nodes.String)}


# The server is in this process, and leaves half of the time that webhooks wait to chance while documents are made up.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning")
@pytest.mark.parametrize("mode", [Mode.POSITIVE, Mode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize("kind", [queries, mutations])
def test_no_document_whatever_gets_an_answer_that_a_program_wrote(
    api: Api, known: Known, others: dict[Role, str], kind: Callable[..., st.SearchStrategy[str]], mode: Mode
) -> None:
    tokens = ["", *others.values()]

    @settings(max_examples=MADE_UP, deadline=None, database=None, derandomize=True, suppress_health_check=HealthCheck)
    @given(document=kind(SCHEMA, custom_scalars=scalars(known), mode=mode), token=st.sampled_from(tokens))
    def answered(document: str, token: str) -> None:
        body = _posted(api, token)({"query": document}) or {}
        assert not faults(body)

    answered()

"""The table of permissions: complete, shown in the schema, and tried entry by entry with every role."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from graphql import FieldDefinitionNode, ObjectTypeDefinitionNode, parse
from graphql.language import EnumValueNode, ListValueNode

from opscore.api.ids import key_of
from opscore.api.schema import export_schema, mutations
from opscore.domain.campaign_commands import (
    AddCampaignLine,
    AddPromotion,
    CheckCampaignPrices,
    CheckedPriceTerms,
    CouponTermsOffered,
    PlanCampaign,
    RecordAdSpend,
    ScheduleCampaign,
    SetCampaignBudget,
    SetForecast,
    StartCampaign,
)
from opscore.domain.campaign_events import CampaignGoal, LineRole
from opscore.domain.command import COMMANDS, Role
from opscore.domain.stock_commands import AllocateCampaignStock
from opscore.domain.store_commands import SubmitStoreDocument
from opscore.domain.store_events import DocumentKind
from opscore.permissions import ALWAYS, FIELDS, OPERATES, READS, commands_of, table
from tests.api.anything import SCHEMA, differences, everything_of, question, value_of
from tests.api.conftest import Api, gid
from tests.api.socket_client import socket
from tests.shop import SECOND, Shop

HOLDERS = [role for role in Role if role is not Role.SYSTEM]
"""The roles that a token can have."""


@pytest.fixture(scope="module")
def goods(api: Api, shop: Shop) -> dict[str, str]:
    """Global ids of one of everything, with something in every field that not all may see."""
    sku = shop.sku(stock=10)
    customer = shop.customer()
    order = shop.do(shop.order((sku, 1), customer_id=customer))
    store = shop.store_id
    shop.do(SubmitStoreDocument(store_id=store, kind=DocumentKind.TAX_REGISTRATION, number="T-1"))
    goal = CampaignGoal.RAISE_SALES
    campaign = shop.do(PlanCampaign(store_id=store, name="Sale", goal=goal, target="to be rid of it"))
    shop.do(AddCampaignLine(campaign_id=campaign, sku_id=sku, role=LineRole.BASE, price=Decimal(9), quota=Decimal(5)))
    offer = CouponTermsOffered(code="TEN", off_minor=10)
    shop.do(AddPromotion(campaign_id=campaign, label="ten off", offer=offer))
    shop.do(SetCampaignBudget(campaign_id=campaign, budget_minor=9000, currency="GBP"))
    shop.do(SetForecast(campaign_id=campaign, visitors=9, conversion=Decimal("0.1"), units=Decimal(3), gmv_minor=2700))
    day = api.server.services.log.head().recorded_at.date()  # type: ignore[union-attr]
    shop.do(RecordAdSpend(campaign_id=campaign, day=day, channel="search", cost_minor=100, currency="GBP"))
    now = datetime.now(UTC)
    minute = timedelta(minutes=1)
    shop.do(ScheduleCampaign(campaign_id=campaign, starts_at=now - minute, ends_at=now + 60 * minute))
    nine = CheckedPriceTerms(sku_id=sku, label=Decimal(9), detail=Decimal(9), plan=Decimal(9))
    shop.do(CheckCampaignPrices(campaign_id=campaign, lines=(nine,)), actor=SECOND)
    shop.do(AllocateCampaignStock(sku_id=sku, campaign_id=campaign, location_id=shop.location_id, quantity=Decimal(5)))
    shop.do(StartCampaign(campaign_id=campaign))
    shop.do(shop.order((sku, 1), customer_id=customer, campaign_ids=(campaign,), coupon_code="TEN"))
    position = api.server.services.log.head().position
    api.ask("query ($p: Position) { stockTotals(atLeast: $p) { skus } }", {"p": position})
    found = {"Store": shop.store_id, "Sku": sku, "Customer": customer, "Order": order, "Campaign": campaign}
    return {kind: gid(kind, key) for kind, key in found.items()}


def _token(api: Api, role: Role, goods: dict[str, str]) -> str:
    return api.token(role, customer=key_of(goods["Customer"], "Customer") if role is Role.CUSTOMER else None)


# The table itself ----------------------------------------------------------------------------------------------------


def test_every_root_field_has_an_entry_and_every_entry_a_field() -> None:
    roots = {
        f"{root.name}.{name}"
        for root in (SCHEMA.query_type, SCHEMA.mutation_type, SCHEMA.subscription_type)
        if root is not None
        for name in root.fields
    }

    assert set(table()) == roots | set(FIELDS)
    for place in FIELDS:
        type_name, name = place.split(".")
        assert name in SCHEMA.type_map[type_name].fields  # type: ignore[union-attr]


def test_the_schema_shows_the_table() -> None:
    shown: dict[str, set[str]] = {}
    for definition in parse(export_schema()).definitions:
        if isinstance(definition, ObjectTypeDefinitionNode):
            for field in definition.fields or ():
                roles = _shown_roles(field)
                if roles is not None:
                    shown[f"{definition.name.value}.{field.name.value}"] = roles

    assert shown == {place: {role.name for role in roles - {Role.SYSTEM}} for place, roles in table().items()}


def _shown_roles(field: FieldDefinitionNode) -> set[str] | None:
    for directive in field.directives or ():
        if directive.name.value == "access":
            [argument] = directive.arguments or ()
            assert isinstance(argument.value, ListValueNode)
            return {value.value for value in argument.value.values if isinstance(value, EnumValueNode)}
    return None


def test_owner_and_platform_may_everything_and_an_auditor_changes_nothing() -> None:
    assert all(roles >= ALWAYS for roles in table().values())
    assert commands_of(Role.AUDITOR) == {name for name, command in COMMANDS.items() if command.DISCLOSES}, (
        "an auditor reads; personal data for a reason that is on record"
    )


# What section 1.10 of the requirements asks of the roles
@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        (Role.MANAGER, "planCampaign setPolicy addPromotion approveReturn refundOrder suspendStore", "applyForStore"),
        (Role.SERVICE, "placeOrder amendOrderPrice requestReturn declineReturn refundOrder listSku delistSku",
         "priceSku receiveStock planCampaign setPolicy"),
        (Role.EDITOR, "listSku delistSku setSkuContent registerSku", "refundOrder receiveStock startCampaign payOrder"),
        (Role.PROMOTER, "planCampaign startCampaign addPromotion recordAdSpend reportTraffic", "priceSku refundOrder"),
        (Role.WAREHOUSE, "receiveStock packParcel unpackParcel shipOrder countStock writeOffStock transferStock",
         "priceSku setTierPrices amendOrderPrice refundOrder payOrder placeOrder"),
        (Role.FINANCE, "payOrder refundOrder recordExpense closePeriod", "priceSku shipOrder listSku"),
        (Role.CUSTOMER, "placeOrder cancelOrder requestReturn setConsent", "payOrder refundOrder registerCustomer"),
    ],
)  # fmt: skip
def test_a_role_does_the_work_that_is_its_own(role: Role, may: str, may_not: str) -> None:
    own = commands_of(role)

    assert set(may.split()) <= own
    assert not set(may_not.split()) & own


# Every entry, every role ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", HOLDERS)
def test_every_question_is_answered_or_refused_as_the_table_says(api: Api, goods: dict[str, str], role: Role) -> None:
    token = _token(api, role, goods)
    for name in READS:
        document, variables = question("query", name)
        answer = api.post({"query": document, "variables": variables}, token=token)
        codes = {error["extensions"]["code"] for error in answer.json().get("errors", ())}
        allowed = role in table()[f"Query.{name}"]
        assert ("FORBIDDEN" in codes) is not allowed, (name, codes)
        assert (answer.status_code == 403) is not allowed, (name, answer.text)
        assert "INTERNAL" not in codes, (name, answer.text)


@pytest.mark.parametrize("role", HOLDERS)
def test_no_fragment_hides_a_question_that_is_refused(api: Api, goods: dict[str, str], role: Role) -> None:
    token = _token(api, role, goods)
    for name in READS:
        if role not in table()[f"Query.{name}"]:
            document, variables = question("query", name)
            head, _, body = document.partition("{")
            hidden = f"{head} {{ viewer {{ name }} ...A }} fragment A on Query {{{body}"
            answer = api.post({"query": hidden, "variables": variables}, token=token)
            assert answer.status_code == 403, (name, answer.text)


@pytest.mark.parametrize("role", HOLDERS)
def test_every_command_is_decided_or_refused_as_the_table_says(api: Api, goods: dict[str, str], role: Role) -> None:
    """Each names things that are not there, so that whoever may give it is refused for another reason."""
    token = _token(api, role, goods)
    assert SCHEMA.mutation_type is not None
    for name in mutations():
        given = value_of("input", SCHEMA.mutation_type.fields[name].args["input"].type)
        payload = api.give(
            name, "userErrors { code message path }", {**given, "idempotencyKey": role.value + name}, token=token
        )
        codes = {error["code"] for error in payload["userErrors"]}
        assert "INVALID_FIELD" not in codes, (name, payload)
        assert ("NOT_AUTHORISED" in codes) is (role not in table()[f"Mutation.{name}"]), (name, payload)


@pytest.mark.parametrize("role", HOLDERS)
def test_what_else_a_mutation_does_is_done_or_refused_as_the_table_says(
    api: Api, goods: dict[str, str], role: Role
) -> None:
    token = _token(api, role, goods)
    assert SCHEMA.mutation_type is not None
    for name in OPERATES:
        kind = SCHEMA.mutation_type.fields[name].args["input"].type
        document = f"mutation ($input: {kind}) {{ {name}(input: $input) {{ __typename }} }}"
        answer = api.post({"query": document, "variables": {"input": value_of("input", kind)}}, token=token)
        codes = {error["extensions"]["code"] for error in answer.json().get("errors", ())}
        allowed = role in table()[f"Mutation.{name}"]
        assert ("FORBIDDEN" in codes) is (answer.status_code == 403) is not allowed, (name, answer.text)
        assert "INTERNAL" not in codes, (name, answer.text)


@pytest.mark.parametrize("role", HOLDERS)
def test_everything_is_followed_or_refused_as_the_table_says(api: Api, goods: dict[str, str], role: Role) -> None:
    assert SCHEMA.subscription_type is not None
    with socket(api.url, _token(api, role, goods)) as client:
        for name in SCHEMA.subscription_type.fields:
            document, variables = question("subscription", name)
            client.subscribe(document, variables, key=name)
            if role in table()[f"Subscription.{name}"]:
                client.send({"type": "ping"})
                message = client.receive()
                while message["type"] == "next":
                    message = client.receive()
                assert message["type"] == "pong", message
                client.send({"id": name, "type": "complete"})
            else:
                message = client.receive()
                assert (message["id"], message["type"]) == (name, "error"), message
                assert message["payload"][0]["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize("role", HOLDERS)
@pytest.mark.parametrize("kind", ["Store", "Sku", "Order", "Campaign", "Customer"])
def test_of_one_and_the_same_object_roles_see_all_but_what_the_table_says(
    api: Api, goods: dict[str, str], kind: str, role: Role
) -> None:
    """Whoever is to see less has to be in the table: any other difference between two roles' answers is found."""
    document = f"query ($id: ID!) {{ node(id: $id) {{ ... on {kind} {{ {everything_of(kind)} }} }} }}"
    whole = api.ask(document, {"id": goods[kind]})["node"]
    seen = api.ask(document, {"id": goods[kind]}, token=_token(api, role, goods))["node"]
    if role not in table()[f"Query.{kind.lower()}"]:
        assert seen is None, "who may not ask for a kind does not get it as a node either"
        return
    inside = {"Sku": {"prices.cost": "SkuPrice.cost"}, "Campaign": {"promotions.coupon": "Promotion.coupon"}}
    places = inside.get(kind, {})
    places |= {place.partition(".")[2]: place for place in FIELDS if place.startswith(f"{kind}.")}
    found = {place.removesuffix(".amount") for place in differences(whole, seen)}

    assert found == {path for path, place in places.items() if role not in table()[place]}


@pytest.mark.parametrize("role", HOLDERS)
@pytest.mark.parametrize(
    ("name", "type_name", "selection"),
    [("stockLevels", "StockBalance", "stockLevels(skuIds: [$id]) {{ {} }}"),
     ("stockLedger", "StockMovement", "stockLedger(skuId: $id, first: 10) {{ nodes {{ {} }} }}")],
)  # fmt: skip
def test_rows_of_the_ledger_show_cost_to_those_whom_the_table_names(
    api: Api, goods: dict[str, str], role: Role, name: str, type_name: str, selection: str
) -> None:
    if role not in table()[f"Query.{name}"]:
        return
    document = f"query ($id: ID!) {{ rows: {selection.format(everything_of(type_name))} }}"
    whole = api.ask(document, {"id": goods["Sku"]})["rows"]
    seen = api.ask(document, {"id": goods["Sku"]}, token=_token(api, role, goods))["rows"]
    hidden = {
        place.partition(".")[2]
        for place, roles in FIELDS.items()
        if place.startswith(f"{type_name}.") and role not in roles | ALWAYS
    }

    assert {place.removeprefix("nodes.") for place in differences(whole, seen)} == hidden

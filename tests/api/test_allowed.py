"""`allowedCommands`: what a viewer may do with an object now, and that it is what happens."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from opscore.api import allowed
from opscore.api.ids import key_of
from opscore.domain.campaign_commands import AddPromotion, FixedTerms
from opscore.domain.command import COMMANDS, Role
from opscore.domain.order_commands import PayOrder
from opscore.permissions import table
from tests.api.anything import SCHEMA, value_of
from tests.api.conftest import Api, gid
from tests.api.test_figures import statements
from tests.shop import Shop

FIELDS = "allowedCommands { name allowed code reason }"
KINDS = ("Store", "Sku", "Order", "Campaign", "Customer")
MINE = FIELDS.replace("allowedCommands", "allowedCommands(mine: true)")


@pytest.fixture(scope="module")
def goods(api: Api, shop: Shop) -> dict[str, str]:
    """Global ids of one of everything; the order is placed and not paid."""
    sku = shop.sku(stock=500)
    customer = shop.customer()
    return {
        "Store": gid("Store", shop.store_id),
        "Sku": gid("Sku", sku),
        "Customer": gid("Customer", customer),
        "Order": gid("Order", shop.do(shop.order((sku, 1), customer_id=customer))),
        "Campaign": gid("Campaign", shop.campaign()),
    }


def said(api: Api, key: str, token: str = "", selection: str = FIELDS) -> dict[str, dict[str, Any]]:
    """Return what is said of each command about an object."""
    document = f"query ($id: ID!) {{ node(id: $id) {{ ... on Stream {{ {selection} }} }} }}"
    return {each["name"]: each for each in api.ask(document, {"id": key}, token=token)["node"]["allowedCommands"]}


def test_what_an_order_lets_a_manager_and_a_packer_do(api: Api, goods: dict[str, str]) -> None:
    manager = said(api, goods["Order"], api.token(Role.MANAGER))
    packer = said(api, goods["Order"], api.token(Role.WAREHOUSE))

    assert manager["payOrder"] == {"name": "payOrder", "allowed": True, "code": None, "reason": None}
    assert manager["packParcel"]["code"] == packer["packParcel"]["code"] == "WRONG_STATE"
    assert "this needs it to be confirmed" in manager["packParcel"]["reason"]
    assert packer["payOrder"]["code"] == "NOT_AUTHORISED" and not packer["payOrder"]["allowed"]


@pytest.mark.parametrize(
    ("kind", "role"),
    [
        *((kind, role) for kind in KINDS for role in (Role.OWNER, Role.SERVICE)),
        ("Order", Role.WAREHOUSE), ("Sku", Role.EDITOR), ("Store", Role.AUDITOR),
    ],
)  # fmt: skip
def test_a_page_may_leave_out_what_is_never_for_the_viewer(
    api: Api, goods: dict[str, str], kind: str, role: Role
) -> None:
    token = api.token(role)
    every, mine = (said(api, goods[kind], token, selection) for selection in (FIELDS, MINE))

    assert mine == {name: each for name, each in every.items() if role in COMMANDS[name].ROLES}
    assert all(mine[name] == each for name, each in every.items() if each["allowed"])


def test_who_edits_a_campaign_takes_back_what_was_entered_as_long_as_the_buttons_say_so(api: Api, shop: Shop) -> None:
    sku = shop.sku()
    campaign = shop.campaign("Sumer", {sku: Decimal(8)})
    shop.do(AddPromotion(campaign_id=campaign, label="a pound off", offer=FixedTerms(off_minor=100)))
    key, token = gid("Campaign", campaign), api.token(Role.PROMOTER)
    taken_back = {"removeCampaignLine", "removePromotion"}
    selection = "name lines { skuId } promotions { promotionId }"

    def allowed_now() -> set[str]:
        return {name for name, each in said(api, key, token).items() if each["allowed"]} & {
            *taken_back,
            "renameCampaign",
        }

    def give(command: str, **fields: Any) -> dict[str, Any]:
        payload = api.give(
            command, f"userErrors {{ code }} campaign {{ {selection} }}", {"campaignId": key, **fields}, token=token
        )
        assert payload["userErrors"] == []
        found: dict[str, Any] = payload["campaign"]
        return found

    assert allowed_now() == {*taken_back, "renameCampaign"}
    [offer] = give("renameCampaign", name="Summer")["promotions"]
    assert give("removePromotion", **offer)["promotions"] == []
    assert allowed_now() == {"removeCampaignLine", "renameCampaign"}
    assert give("removeCampaignLine", skuId=gid("Sku", sku)) == {"name": "Summer", "lines": [], "promotions": []}
    assert allowed_now() == {"renameCampaign"}


ROLES = [Role.OWNER, Role.MANAGER, Role.SERVICE, Role.AFTER_SALES, Role.PROMOTER, Role.WAREHOUSE, Role.FINANCE]


@pytest.mark.parametrize("role", [*ROLES, Role.EDITOR, Role.AUDITOR, Role.STOREFRONT, Role.CUSTOMER])
@pytest.mark.parametrize("kind", ["Store", "Sku", "Customer", "Order", "Campaign"])
def test_what_is_not_allowed_is_refused_with_the_same_code(
    api: Api, goods: dict[str, str], kind: str, role: Role
) -> None:
    assert SCHEMA.mutation_type is not None
    customer = key_of(goods["Customer"], "Customer") if role is Role.CUSTOMER else None
    token = api.token(role, name=f"allowed {role}", customer=customer)
    node = api.ask("query ($id: ID!) { node(id: $id) { id } }", {"id": goods[kind]}, token=token)["node"]
    if node is None:
        assert role not in table()[f"Query.{kind.lower()}"] or (role, kind) == (Role.CUSTOMER, "Campaign")
        return
    tried = 0
    for name, each in said(api, goods[kind], token).items():
        if each["allowed"] or each["code"] == "DONE_ALREADY":
            continue
        given = value_of("input", SCHEMA.mutation_type.fields[name].args["input"].type)
        fields = {**given, f"{kind.lower()}Id": goods[kind], "idempotencyKey": f"not allowed {name}"}
        payload = api.give(name, "userErrors { code message }", fields, token=token)
        assert payload["userErrors"] == [{"code": each["code"], "message": each["reason"]}], name
        tried += 1
    assert tried >= 3


def test_every_command_about_an_object_is_named_once(api: Api, goods: dict[str, str]) -> None:
    document = f"query ($id: ID!) {{ node(id: $id) {{ ... on Stream {{ {FIELDS} }} }} }}"
    found = api.ask(document, {"id": goods["Store"]})["node"]["allowedCommands"]
    names = [each["name"] for each in found]

    assert names == sorted(set(names))
    assert {"passAudit", "suspendStore", "reportTraffic"} <= set(names) <= set(COMMANDS)
    assert "applyForStore" not in names and "placeOrder" not in names, "these begin something else"


def test_the_answer_to_a_command_says_what_comes_next(api: Api, shop: Shop) -> None:
    order = gid("Order", shop.do(shop.order((shop.sku(), 1))))
    payment = {"orderId": order, "amountMinor": 1000, "method": "card"}
    found = api.give("payOrder", f"order {{ {FIELDS} }}", payment)["order"]["allowedCommands"]

    assert {"confirmOrder"} <= {each["name"] for each in found if each["allowed"]}
    assert "payOrder" not in {each["name"] for each in found if each["allowed"]}


def test_a_past_state_says_what_it_let_be_done(api: Api, shop: Shop) -> None:
    key = shop.do(shop.order((shop.sku(), 1)))
    shop.do(PayOrder(order_id=key, amount_minor=1000, method="card"))
    document = f"query ($id: ID!) {{ then: order(id: $id, asOf: {{version: 1}}) {{ {FIELDS} }} now: order(id: $id) {{ {FIELDS} }} }}"  # noqa: E501
    found = api.ask(document, {"id": gid("Order", key)})

    def may_pay(which: str) -> bool:
        return next(each["allowed"] for each in found[which]["allowedCommands"] if each["name"] == "payOrder")

    assert may_pay("then") and not may_pay("now")


def test_nothing_is_computed_that_is_not_selected(
    api: Api, goods: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    real = allowed.readiness
    monkeypatch.setattr(allowed, "readiness", lambda *given, **more: asked.append(given[0]) or real(*given, **more))

    api.ask("query ($id: ID!) { node(id: $id) { id ... on Order { status } } }", {"id": goods["Order"]})
    assert not asked
    said(api, goods["Order"])
    assert len(asked) == 1


def test_a_list_costs_the_same_statements_however_long_it_is(
    api: Api, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sku = shop.sku(stock=100)
    for _ in range(12):
        shop.do(shop.order((sku, 1), customer_id=shop.customer()))
    position = api.server.services.log.head().position
    document = f"""query ($first: Int!, $p: Position) {{
        orders(first: $first, atLeast: $p) {{ nodes {{ id {FIELDS} customer {{ id {FIELDS} }} }} }}
    }}"""
    counts = []
    for first in (1, 12):
        api.ask(document, {"first": first, "p": position})
        with statements(monkeypatch) as sent:
            found = api.ask(document, {"first": first, "p": position})["orders"]["nodes"]
        assert len(found) == first and all(each["allowedCommands"] for each in found)
        assert all(each["customer"]["allowedCommands"] for each in found)
        counts.append(len(sent))

    assert counts[0] == counts[1] <= 10, counts

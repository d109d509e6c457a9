"""`priceCart`: what is told is what the order then costs, to the last figure and refusal, and nothing is written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from opscore.domain.campaign_commands import (
    AddCampaignLine,
    AddPromotion,
    CouponTermsOffered,
    FreeShippingTerms,
    GiftTerms,
    PercentageTerms,
    ThresholdStepTerms,
    ThresholdTerms,
)
from opscore.domain.campaign_events import CampaignKind, LineRole
from opscore.domain.command import Role
from opscore.domain.customer_commands import EarnPoints, GrantCoupon, JoinMembership
from opscore.domain.customer_events import MembershipSource
from opscore.domain.pricing import PromotionScope
from opscore.domain.sku_commands import DelistSku, SetTierPrices, TierPriceEntry
from opscore.domain.sku_events import DelistReason
from opscore.domain.stock_commands import ReceiveStock
from opscore.domain.store_commands import SetPolicy
from tests.api.anything import everything_of
from tests.api.conftest import Api, gid
from tests.api.test_figures import statements
from tests.shop import Shop

STORE = PromotionScope.STORE
CART = everything_of("PricedCart")
ERRORS = "userErrors { code message path ids }"
PRICE = f"query ($input: CartInput!) {{ priceCart(input: $input) {{ cart {{ {CART} }} {ERRORS} }} }}"
LINE = (
    "line skuId quantity listPrice { amount } unitPrice { amount } gross { amount } discount { amount }"
    " amount { amount } campaignId gift service"
)
WHOLE = "goods discount freight freightWaived total pointsValue"
AMOUNTS = " ".join(f"{each} {{ amount }}" for each in WHOLE.split())
ORDER = f"order {{ lines {{ {LINE} }} {AMOUNTS} pointsSpent couponCode campaignIds currencyCode }}"


def a_member(api: Api, shop: Shop) -> tuple[UUID, str]:
    """Return a member with points, and the id of a coupon that they hold."""
    member = shop.customer()
    shop.do(JoinMembership(customer_id=member, source=MembershipSource.GRANTED, tier="member"))
    shop.do(EarnPoints(customer_id=member, rule="manual", reference="gift", points=4000, reason="a gift"))
    shop.do(GrantCoupon(customer_id=member, code="HELD", currency="GBP", off_minor=300, spend_minor=1000, held_max=1))
    query = "query ($id: ID!) { customer(id: $id) { coupons { couponId } } }"
    [held] = api.ask(query, {"id": gid("Customer", member)})["customer"]["coupons"]
    return member, held["couponId"]


@pytest.fixture(scope="module")
def market(api: Api, shop: Shop) -> dict[str, Any]:
    """Articles that run out, offers of every form, and buyers: a member with points and coupons, a customer, nobody."""
    do, store = shop.do, shop.store_id
    do(SetPolicy(store_id=store, kind="freight", params={"flat_minor": 450, "free_from_minor": 20000}))
    do(SetPolicy(store_id=store, kind="points", params={"value_minor": 1, "share_of_goods_max": "0.5"}))
    skus = {"plenty": shop.sku(stock=5000), "few": shop.sku(stock=40, price="33.33"), "rare": shop.sku(stock=6)}
    skus["off sale"] = shop.sku()
    do(DelistSku(sku_id=skus["off sale"], reason=DelistReason.MANUAL))
    gift = shop.sku(stock=8)
    (member, held), customer = a_member(api, shop), shop.customer()
    do(SetTierPrices(sku_id=skus["plenty"], tiers=(TierPriceEntry(tier="member", factor=Decimal("0.93")),)))
    campaigns = {}
    official = CampaignKind.OFFICIAL
    prices = {skus["plenty"]: Decimal("8.5"), skus["few"]: Decimal(30)}
    campaigns["prices"] = shop.campaign("prices", {skus["few"]: prices[skus["few"]]}, kind=official)
    limited = AddCampaignLine(
        campaign_id=campaigns["prices"], sku_id=skus["plenty"], role=LineRole.TRAFFIC, price=prices[skus["plenty"]],
        max_per_customer=9,
    )  # fmt: skip
    do(limited)
    campaigns["offers"] = shop.campaign("offers", {}, kind=official)
    for label, offer, stackable in (
        ("a tenth", PercentageTerms(percent=Decimal(10)), True),
        ("five off", ThresholdTerms(steps=(ThresholdStepTerms(spend_minor=5000, off_minor=500),)), True),
        ("a gift", GiftTerms(sku_id=gift, spend_minor=3000), True),
        ("sent free", FreeShippingTerms(spend_minor=4000, regions=("north",)), True),
        ("TEN", CouponTermsOffered(code="TEN", off_minor=1000, spend_minor=2000, per_customer_limit=3), False),
    ):
        do(AddPromotion(campaign_id=campaigns["offers"], label=label, offer=offer, stackable=stackable, scope=STORE))
    shop.start(campaigns["prices"], prices)
    shop.start(campaigns["offers"], {})
    campaigns["planned"] = shop.campaign("planned", {}, kind=official)
    return {
        "skus": skus,
        "buyers": {"member": member, "customer": customer},
        "campaigns": campaigns,
        "held": held,
        "gift": gift,
    }


def cart_of(shop: Shop, market: dict[str, Any], drawn: dict[str, Any]) -> dict[str, Any]:
    """Return the input of `priceCart` for what was drawn."""
    lines = [
        {
            "skuId": gid("Sku", market["skus"].get(name, uuid4())),
            "quantity": quantity,
            **({"clientUnitPrice": "9.30"} if shown else {}),
        }
        for name, quantity, shown in drawn["lines"]
    ]
    found: dict[str, Any] = {"storeId": gid("Store", shop.store_id), "lines": lines}
    if drawn["buyer"] in market["buyers"]:
        found["customerId"] = gid("Customer", market["buyers"][drawn["buyer"]])
    found["campaignIds"] = [gid("Campaign", market["campaigns"].get(name, uuid4())) for name in drawn["campaigns"]]
    if drawn["code"]:
        found["couponCode"] = drawn["code"]
    if drawn["held"]:
        found["couponId"] = market["held"]
    if drawn["points"]:
        found["pointsToSpend"] = drawn["points"]
    if drawn["region"]:
        found["region"] = drawn["region"]
    return found


SKUS = st.sampled_from(["plenty", "few", "rare", "off sale", "unknown"]) | st.just("plenty") | st.just("few")
QUANTITIES = st.sampled_from(["1", "2", "3", "7", "0", "0.5"]) | st.just("2")
DRAWN = st.fixed_dictionaries(
    {
        "lines": st.lists(
            st.tuples(SKUS, QUANTITIES, st.sampled_from([0] * 9 + [1])),
            min_size=1, max_size=4,
        ),
        "buyer": st.sampled_from(["member", "customer", "guest"]),
        "campaigns": st.lists(st.sampled_from(["prices", "offers", "offers", "planned", "unknown"]), max_size=3)
        | st.just(["prices", "offers"]) | st.just(["offers"]),
        "code": st.sampled_from(["", "", "", "TEN", "NOPE"]),
        "held": st.sampled_from([False, False, False, True]),
        "points": st.sampled_from([0, 0, 150, 10**6]),
        "region": st.sampled_from(["", "north"]),
    }
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=DRAWN, asks=st.sampled_from([Role.OWNER, Role.STOREFRONT, Role.CUSTOMER]))
def test_a_cart_costs_what_the_order_then_costs(
    api: Api, shop: Shop, market: dict[str, Any], drawn: dict[str, Any], asks: Role
) -> None:
    cart = cart_of(shop, market, drawn)
    herself = market["buyers"]["member"] if asks is Role.CUSTOMER else None
    token = api.token(asks, name=f"{asks} of carts", customer=herself)
    if herself is not None:
        cart["customerId"] = gid("Customer", herself)
    told = api.ask(PRICE, {"input": cart}, token=token)["priceCart"]
    placed = api.give("placeOrder", f"{ORDER} {ERRORS}", cart, token=token)

    assert told["userErrors"] == placed["userErrors"]
    assert (told["cart"] is None) is bool(placed["userErrors"]) is (placed["order"] is None)
    if told["cart"] is None:
        return
    cart_told, order = told["cart"], placed["order"]

    def money(row: dict[str, Any], names: str) -> dict[str, Any]:
        return {name: row[name]["amount"] for name in names.split()}

    def line(row: dict[str, Any]) -> dict[str, Any]:
        plain = {name: row[name] for name in ("line", "skuId", "quantity", "campaignId", "gift", "service")}
        return plain | money(row, "listPrice unitPrice gross discount amount")

    assert [line(row) for row in cart_told["lines"]] == [line(row) for row in order["lines"]]
    assert money(cart_told, WHOLE) == money(order, WHOLE)
    for name in ("pointsSpent", "couponCode", "campaignIds", "currencyCode"):
        assert cart_told[name] == order[name], name
    for row in cart_told["lines"]:
        assert sum(Decimal(part["amount"]["amount"]) for part in row["discounts"]) == Decimal(row["discount"]["amount"])
        assert all(part["reason"] for part in row["discounts"])


def test_the_carts_above_meet_every_way_out(api: Api, shop: Shop, market: dict[str, Any]) -> None:
    """What the law is tried on: a price of every source, and the refusals that a storefront has to tell apart."""
    plain: dict[str, Any] = {"buyer": "member", "campaigns": [], "code": "", "held": False, "points": 0, "region": ""}
    member, held = a_member(api, shop)
    market = {**market, "buyers": {**market["buyers"], "member": member}, "held": held}
    shop.do(ReceiveStock(sku_id=market["gift"], location_id=shop.location_id, quantity=Decimal(9)))
    told: set[str] = set()
    for more in (
        {"lines": [("plenty", "2", 0)], "campaigns": ["prices"]},
        {"lines": [("plenty", "8", 0)], "campaigns": ["offers"], "region": "north", "points": 100},
        {"lines": [("plenty", "8", 0)], "held": True},
        {"lines": [("plenty", "3", 0)], "code": "TEN"},
        {"lines": [("rare", "900", 0)]},
        {"lines": [("off sale", "1", 0)]},
        {"lines": [("plenty", "10", 0)], "campaigns": ["prices"]},
        {"lines": [("plenty", "1", 0)], "code": "NOPE"},
        {"lines": [("plenty", "2", 0)], "code": "TEN"},
        {"lines": [("plenty", "1", 1)], "buyer": "customer"},
        {"lines": [("plenty", "1", 0)], "campaigns": ["planned"]},
        {"lines": [("plenty", "1", 0)], "points": 10**6},
        {"lines": [("plenty", "1", 0)], "campaigns": ["prices"], "buyer": "guest"},
    ):
        answer = api.ask(PRICE, {"input": cart_of(shop, market, {**plain, **more})})["priceCart"]
        told |= {error["code"] for error in answer["userErrors"]}
        parts = [part for row in (answer["cart"] or {"lines": []})["lines"] for part in row["discounts"]]
        told |= {part["source"] for part in parts + (answer["cart"] or {"freightWaivers": []})["freightWaivers"]}

    assert told >= {
        "TIER", "CAMPAIGN_PRICE", "PERCENTAGE", "THRESHOLD", "GIFT", "FREE_SHIPPING", "COUPON", "POINTS",
        "STOCK_INSUFFICIENT", "SKU_NOT_LISTED", "CAMPAIGN_LIMIT_REACHED", "COUPON_INVALID",
        "COUPON_THRESHOLD_NOT_REACHED",
        "PRICE_CHANGED", "CAMPAIGN_NOT_LIVE", "POINTS_INSUFFICIENT", "REGISTRATION_NEEDED",
    }  # fmt: skip


def test_nothing_is_written_and_no_stock_is_taken(api: Api, shop: Shop, market: dict[str, Any]) -> None:
    sku = shop.sku(stock=3)
    cart = {"storeId": gid("Store", shop.store_id), "lines": [{"skuId": gid("Sku", sku), "quantity": "3"}]}
    head = api.server.services.log.head()
    rows = "SELECT (SELECT count(*) FROM commands), (SELECT count(*) FROM claims)"
    with api.server.database.connect() as connection:
        before = connection.execute(rows).fetchone()
        for _ in range(3):
            assert api.ask(PRICE, {"input": cart})["priceCart"]["cart"]["total"]["amount"] == "34.50"
        assert connection.execute(rows).fetchone() == before
    assert api.server.services.log.head() == head


def test_a_cart_costs_the_same_statements_however_much_is_in_it(
    api: Api, shop: Shop, market: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    skus, (member, _) = [shop.sku() for _ in range(12)], a_member(api, shop)
    campaigns = [gid("Campaign", market["campaigns"][name]) for name in ("offers", "prices")]
    counts = []
    for many in (1, 12):
        cart = {
            "storeId": gid("Store", shop.store_id),
            "customerId": gid("Customer", member),
            "lines": [{"skuId": gid("Sku", sku), "quantity": "9"} for sku in skus[:many]],
            "campaignIds": campaigns[:many],
            "couponCode": "TEN",
        }
        with statements(monkeypatch) as sent:
            told = api.ask(PRICE, {"input": cart})["priceCart"]
        assert len(told["cart"]["lines"]) >= many
        counts.append(sent)

    assert len(counts[0]) == len(counts[1]) == 4, counts


def test_a_customer_asks_for_themselves_and_for_nobody_else(api: Api, shop: Shop, market: dict[str, Any]) -> None:
    token = api.token(Role.CUSTOMER, name="member", customer=market["buyers"]["member"])
    cart = {
        "storeId": gid("Store", shop.store_id),
        "lines": [{"skuId": gid("Sku", market["skus"]["plenty"]), "quantity": "1"}],
    }

    def priced(token: str, **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = api.ask(PRICE, {"input": {**cart, **more}}, token=token)["priceCart"]
        return found

    assert priced(token)["cart"]["lines"][0]["unitPrice"]["amount"] == "9.3", "the tier of who asks"
    other = {"customerId": gid("Customer", market["buyers"]["customer"])}
    assert [error["code"] for error in priced(token, **other)["userErrors"]] == ["NOT_AUTHORISED"]
    assert [error["code"] for error in priced(token, freightMinor=1)["userErrors"]] == ["NOT_AUTHORISED"]
    assert priced(api.token(Role.STOREFRONT))["cart"]["lines"][0]["unitPrice"]["amount"] == "10", "a guest has no tier"


def test_what_is_no_cart_is_said_where_it_is_wrong(api: Api, shop: Shop, market: dict[str, Any]) -> None:
    cart = {"storeId": gid("Store", shop.store_id), "lines": [], "couponCode": " "}
    [error] = api.ask(PRICE, {"input": cart})["priceCart"]["userErrors"]

    assert (error["code"], error["path"]) == ("INVALID_FIELD", ["lines"])

"""Reviews as a service desk, a page of an article and a customer see them, and what articles are rated."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.api import reviews
from opscore.api.filters import condition
from opscore.domain.command import Actor, Role
from opscore.domain.customer_commands import EraseCustomer
from opscore.domain.order_commands import (
    CompleteOrder,
    ConfirmOrder,
    DeliverOrder,
    EraseGuest,
    PackParcel,
    PayOrder,
    ScannedLine,
    ShipOrder,
)
from opscore.domain.order_disputes import Arbiter
from opscore.domain.order_review_commands import (
    DecideReview,
    FlagReview,
    PostReview,
    ReplyReview,
    SetReviewConsent,
    SupplementReview,
)
from opscore.domain.order_reviews import FlagReason
from tests.api.conftest import Api, gid
from tests.api.test_figures import statements
from tests.shop import Shop

FRONT = Actor(id="front", role=Role.STOREFRONT)
SUE = Actor(id="sue", role=Role.SERVICE)
MAX = Actor(id="max", role=Role.MANAGER)
REVIEW = """orderId line storeId skuId score status text photos republish externalReference replyBy waitsSince
    addition { text photos } replies { author text } flag { reason flaggedBy upheld decidedBy decisionReason }"""
LIST = f"""query ($f: OrderReviewFilter, $s: OrderReviewSort, $n: Int, $after: String, $at: Position) {{
    reviews(filter: $f, sort: $s, first: $n, after: $after, atLeast: $at) {{
        totalCount nodes {{ {REVIEW} }} pageInfo {{ endCursor }} }} }}"""
RATINGS = """query ($skus: [ID!]!, $stores: [ID!], $at: Position) {
    skuRatings(skuIds: $skus, storeIds: $stores, atLeast: $at) {
        storeId skuId reviews meanScore positiveShare hidden } }"""


def completed(shop: Shop, sku: UUID, **fields: Any) -> UUID:
    """Return an order of one unit that was completed."""
    order_id = shop.do(shop.order((sku, 1), **fields))
    parcel: dict[str, Any] = {"order_id": order_id, "parcel_id": uuid4()}
    shop.do(PayOrder(order_id=order_id, amount_minor=1000, method="card"))
    shop.do(ConfirmOrder(order_id=order_id))
    line = ScannedLine(line=1, sku_id=sku, quantity=Decimal(1))
    shop.do(PackParcel(**parcel, location_id=shop.location_id, lines=(line,)))
    shop.do(ShipOrder(**parcel, courier="DPD", waybill=str(parcel["parcel_id"])))
    shop.do(DeliverOrder(**parcel))
    shop.do(CompleteOrder(order_id=order_id))
    return order_id


def reviewed(shop: Shop, sku: UUID, score: int, *, customer: UUID | None = None, **fields: Any) -> UUID:
    order_id = completed(shop, sku, customer_id=customer)
    shop.do(PostReview(order_id=order_id, line=1, score=score, **fields), actor=FRONT)
    return order_id


def hide(shop: Shop, order_id: UUID) -> None:
    shop.do(FlagReview(order_id=order_id, line=1, reason=FlagReason.EXTORTION), actor=SUE)
    decision = {"upheld": True, "decided_by": Arbiter.PLATFORM, "reason": "asked for money"}
    shop.do(DecideReview(order_id=order_id, line=1, **decision), actor=MAX)


def listed(api: Api, sku: UUID, *, token: str = "", **asked: Any) -> list[dict[str, Any]]:
    """Return the reviews of an article, once the list has all that was recorded."""
    filter_ = {"skuId": {"eq": gid("Sku", sku)}, **asked.pop("f", {})}
    given = {"f": filter_, "n": 20, "at": api.server.services.log.head().position, **asked}
    found: list[dict[str, Any]] = api.ask(LIST, given, token=token)["reviews"]["nodes"]
    return found


def ratings(api: Api, *skus: UUID, token: str = "", stores: list[str] | None = None) -> list[dict[str, Any]]:
    given = {"skus": [gid("Sku", each) for each in skus], "stores": stores}
    given["at"] = api.server.services.log.head().position
    found: list[dict[str, Any]] = api.ask(RATINGS, given, token=token)["skuRatings"]
    return found


def sent_for(api: Api, monkeypatch: pytest.MonkeyPatch, document: str, variables: dict[str, Any]) -> int:
    """Return how many statements a question takes that was asked before."""
    api.ask(document, variables)
    with statements(monkeypatch) as sent:
        api.ask(document, variables)
    return len(sent)


def test_a_desk_finds_who_waits_longest_for_an_answer_first(api: Api, shop: Shop) -> None:
    sku = shop.sku()
    first, second, third = (reviewed(shop, sku, score) for score in (2, 4, 5))
    shop.do(ReplyReview(order_id=first, line=1, text="sorry, Ann"), actor=SUE)
    waiting = [gid("Order", order_id) for order_id in (second, third, first)]

    found = listed(api, sku, s={"by": "WAITS_SINCE"})
    assert [each["orderId"] for each in found] == waiting
    assert [each["waitsSince"] is None for each in found] == [False, False, True]
    assert [each["orderId"] for each in listed(api, sku, f={"waitsSince": {"isSet": True}})] == waiting[1::-1]
    assert [each["orderId"] for each in listed(api, sku, f={"score": {"to": 3}})] == [waiting[2]]
    assert [each["score"] for each in listed(api, sku, s={"by": "SCORE", "direction": "DESC"})] == [5, 4, 2]
    page = {"f": {"skuId": {"eq": gid("Sku", sku)}}, "s": {"by": "WAITS_SINCE"}, "n": 2}
    cursor = api.ask(LIST, page)["reviews"]["pageInfo"]["endCursor"]
    rest = api.ask(LIST, {**page, "after": cursor})["reviews"]
    assert (rest["totalCount"], [each["orderId"] for each in rest["nodes"]]) == (3, waiting[2:])

    # What is added after an answer waits for another one.
    shop.do(SupplementReview(order_id=first, line=1, text="broke", photos=("p/9",)), actor=FRONT)
    [last] = listed(api, sku, f={"photos": {"from": 1}, "addedAt": {"isSet": True}, "waitsSince": {"isSet": True}})
    assert (last["orderId"], last["addition"]) == (waiting[2], {"text": "broke", "photos": ["p/9"]})
    assert last["replies"] == [{"author": "sue", "text": "sorry, Ann"}] and last["waitsSince"] is not None


def test_a_review_stands_alike_on_its_order_and_in_the_list(api: Api, shop: Shop) -> None:
    sku = shop.sku()
    order_id = reviewed(shop, sku, 1, text="pay or else", photos=("p/1",), external_reference="tb-7")
    shop.do(SetReviewConsent(order_id=order_id, line=1, granted=True), actor=FRONT)
    [flagged] = [listed(api, sku, f={"hasText": True, "republish": True})[0]]
    assert flagged["flag"] is None
    hide(shop, order_id)

    [review] = listed(api, sku, f={"status": {"eq": "HIDDEN"}, "flagReason": {"eq": "EXTORTION"}})
    order = api.ask(
        f"query ($id: ID!) {{ order(id: $id) {{ reviews {{ {REVIEW} }} }} }}", {"id": gid("Order", order_id)}
    )
    assert order["order"]["reviews"] == [review]
    assert (review["text"], review["photos"], review["externalReference"]) == ("pay or else", ["p/1"], "tb-7")
    assert review["waitsSince"] is None, "nobody waits for an answer to it"
    assert review["flag"] == {
        "reason": "EXTORTION", "flaggedBy": "sue", "upheld": True, "decidedBy": "PLATFORM",
        "decisionReason": "asked for money",
    }  # fmt: skip
    then = api.ask(
        f"query ($id: ID!, $v: Int) {{ order(id: $id, asOf: {{version: $v}}) {{ reviews {{ {REVIEW} }} }} }}",
        {"id": gid("Order", order_id), "v": version_before_flag(api, order_id)},
    )
    assert then["order"]["reviews"] == [flagged], "what was known then is shown of then"


def version_before_flag(api: Api, order_id: UUID) -> int:
    found = api.ask("query ($id: ID!) { order(id: $id) { version } }", {"id": gid("Order", order_id)})
    return int(found["order"]["version"]) - 2


@pytest.mark.parametrize("role", [Role.STOREFRONT, Role.CUSTOMER])
def test_buyers_read_what_others_wrote_but_not_whose_it_is_nor_what_is_malicious(
    api: Api, shop: Shop, role: Role
) -> None:
    sku, ann, bob = shop.sku(), shop.customer(), shop.customer()
    shown = reviewed(shop, sku, 4, customer=ann, text="fine")
    shop.do(ReplyReview(order_id=shown, line=1, text="thanks"), actor=SUE)
    hide(shop, reviewed(shop, sku, 1, customer=ann, text="pay or else"))
    token = api.token(role, customer=bob if role is Role.CUSTOMER else None, stores=(shop.store_id,))

    [review] = listed(api, sku, token=token)
    assert (review["text"], review["score"], review["replies"]) == ("fine", 4, [{"author": None, "text": "thanks"}])
    assert review["orderId"] == (None if role is Role.CUSTOMER else gid("Order", shown))
    assert [review[name] for name in ("replyBy", "waitsSince", "flag", "externalReference")] == [None] * 4
    assert listed(api, sku, token=token, f={"status": {"eq": "HIDDEN"}}) == []
    hidden = [{"waitsSince": {"isSet": True}}, {"replyBy": {"isSet": True}}, {"flaggedAt": {"isSet": True}}]
    if role is Role.CUSTOMER:
        hidden.append({"orderId": {"eq": gid("Order", shown)}})
    for given in hidden:
        assert api.errors(LIST, {"f": given}, token=token)[0]["extensions"]["code"] == "FORBIDDEN"
    assert api.errors(LIST, {"s": {"by": "WAITS_SINCE"}}, token=token)[0]["extensions"]["code"] == "FORBIDDEN"
    [rating] = ratings(api, sku, token=token)
    assert (rating["reviews"], rating["meanScore"], rating["hidden"]) == (1, "4", None)


def test_what_was_hidden_a_moment_ago_is_not_shown_to_buyers_either(
    api: Api, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sku = shop.sku()
    hide(shop, reviewed(shop, sku, 1, text="pay or else"))
    # As if the list did not know it yet.
    monkeypatch.setattr(reviews, "_condition", lambda context, given: condition(given, context.viewer.role))
    assert listed(api, sku, token=api.token(Role.STOREFRONT)) == []
    assert [each["status"] for each in listed(api, sku)] == ["HIDDEN"]


def test_an_article_is_rated_without_what_is_malicious_in_each_store_by_itself(api: Api, shop: Shop) -> None:
    sku, unrated = shop.sku(), shop.sku()
    for score in (5, 4, 2):
        reviewed(shop, sku, score)
    hide(shop, reviewed(shop, sku, 1))
    expected = {
        "storeId": gid("Store", shop.store_id), "skuId": gid("Sku", sku), "reviews": 3, "meanScore": "3.666667",
        "positiveShare": "0.666667", "hidden": 1,
    }  # fmt: skip
    assert ratings(api, sku, unrated) == [expected]
    other = Shop.open(api.server.writer, name=f"Other {uuid4()}")
    assert ratings(api, sku, stores=[gid("Store", other.store_id)]) == []
    assert ratings(api, sku, token=api.token(Role.SERVICE, stores=(other.store_id,))) == []
    assert api.errors(RATINGS, {"skus": []})[0]["extensions"]["code"] == "BAD_USER_INPUT"


def test_the_catalogue_shows_what_articles_are_rated_in_as_many_statements_as_for_one(
    api: Api, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    skus = [shop.sku() for _ in range(3)]
    for sku in skus[:2]:
        reviewed(shop, sku, 5)
    document = """query ($store: ID!, $ids: [ID!], $at: Position) { catalogue(storeId: $store, first: 10,
        filter: {skuId: {in: $ids}}, atLeast: $at) { nodes { skuId %s } } }"""
    given = {
        "store": gid("Store", shop.store_id), "ids": [gid("Sku", sku) for sku in skus],
        "at": api.server.services.log.head().position,
    }  # fmt: skip
    wanted = document % "rating { reviews meanScore }"
    nodes = api.ask(wanted, given)["catalogue"]["nodes"]
    assert {each["skuId"]: each["rating"] for each in nodes} == {
        gid("Sku", skus[0]): {"reviews": 1, "meanScore": "5"},
        gid("Sku", skus[1]): {"reviews": 1, "meanScore": "5"},
        gid("Sku", skus[2]): None,
    }
    ratings(api, *skus)
    del given["at"]
    plain, rated = (sent_for(api, monkeypatch, text, given) for text in (document % "code", wanted))
    assert rated > plain
    given["ids"] = given["ids"][:1]
    assert sent_for(api, monkeypatch, wanted, given) == rated, "as many statements for one article as for three"


def test_a_page_of_reviews_takes_as_many_statements_as_one_of_them(
    api: Api, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sku = shop.sku()
    for score in (1, 2, 3, 4):
        order_id = reviewed(shop, sku, score, text=f"{score} of 5")
        shop.do(ReplyReview(order_id=order_id, line=1, text="thanks"), actor=SUE)
    assert [each["text"] for each in listed(api, sku)] == ["4 of 5", "3 of 5", "2 of 5", "1 of 5"]
    asked = {"f": {"skuId": {"eq": gid("Sku", sku)}}}
    one, all_ = (sent_for(api, monkeypatch, LIST, {**asked, "n": number}) for number in (1, 4))
    assert one == all_


@pytest.mark.parametrize("guest", [True, False])
def test_what_a_review_says_goes_with_whoever_wrote_it(api: Api, shop: Shop, guest: bool) -> None:
    sku = shop.sku()
    customer = None if guest else shop.customer()
    order_id = reviewed(shop, sku, 4, customer=customer, text="Ann likes it")
    shop.do(ReplyReview(order_id=order_id, line=1, text="thank you, Ann"), actor=SUE)
    shop.do(SupplementReview(order_id=order_id, line=1, text="says Ann"), actor=FRONT)
    [review] = listed(api, sku)
    assert (review["text"], review["addition"]["text"]) == ("Ann likes it", "says Ann")
    shop.do(EraseGuest(order_id=order_id) if customer is None else EraseCustomer(customer_id=customer))

    [review] = listed(api, sku)
    assert (review["score"], review["text"], review["addition"]["text"], review["replies"][0]["text"]) == (
        4,
        *[None] * 3,
    )
    with api.server.database.pool.connection() as connection:
        rows = connection.execute("SELECT data::text FROM events WHERE stream_id = %s", (order_id,)).fetchall()
    assert not [row for row in rows if "Ann" in row[0]]


def test_a_customer_posts_a_review_and_sees_it_in_the_timeline(api: Api, shop: Shop) -> None:
    ann, sku = shop.customer(), shop.sku()
    order_id = completed(shop, sku, customer_id=ann)
    token = api.token(Role.CUSTOMER, customer=ann)
    fields = {"orderId": gid("Order", order_id), "line": 1, "score": 5, "text": "lovely", "republish": True}
    answer = "order { reviews { score text republish } } userErrors { code }"
    posted = api.give("postReview", answer, fields, token=token)
    assert posted == {"order": {"reviews": [{"score": 5, "text": "lovely", "republish": True}]}, "userErrors": []}
    assert api.give("postReview", answer, fields, token=token)["userErrors"] == [{"code": "ALREADY_REVIEWED"}]
    reply = {"orderId": fields["orderId"], "line": 1, "text": "me too"}
    refused = api.give("replyReview", "userErrors { code }", reply, token=token)
    assert refused["userErrors"] == [{"code": "NOT_AUTHORISED"}]
    timeline = api.ask(
        "query ($id: ID!) { order(id: $id) { history(last: 1) { nodes { type data } } } }",
        {"id": gid("Order", order_id)},
        token=token,
    )["order"]["history"]["nodes"]
    assert [each["type"] for each in timeline] == ["ReviewPosted"]
    assert (timeline[0]["data"]["score"], timeline[0]["data"].get("text")) == (5, None)

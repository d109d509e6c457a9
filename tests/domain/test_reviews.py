"""Buyers review what they bought; staff answer, and flag what is malicious; somebody else decides on that."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from opscore.domain.command import Actor, Command, Origin, Role
from opscore.domain.customer import Customer
from opscore.domain.customer_commands import EarnPoints, EraseCustomer
from opscore.domain.order import Order
from opscore.domain.order_commands import CancelOrderLines, CompleteOrder, DeliverOrder, EraseGuest, LineQuantity
from opscore.domain.order_disputes import Arbiter
from opscore.domain.order_events import CancelReason
from opscore.domain.order_review_commands import (
    PHOTOS_MAX,
    REPLIES_MAX,
    DecideReview,
    FlagReview,
    PostReview,
    ReplyReview,
    SetReviewConsent,
    SupplementReview,
)
from opscore.domain.order_reviews import (
    AlreadyReviewed,
    FlagReason,
    NotCompleted,
    Review,
    ReviewPosted,
    ReviewSourceMissing,
    ReviewStatus,
    ReviewWindowClosed,
    SellerCannotDecide,
)
from opscore.domain.readiness import DONE_ALREADY
from opscore.domain.refusals import InvalidField, NotAuthorised, NotFound, Refusal, SamePerson, WrongState
from opscore.domain.store_commands import SetPolicy
from tests.domain.desk import BUYER, MANAGER, SERVICE
from tests.domain.selling import Shop
from tests.domain.test_followups import follow
from tests.domain.test_readiness import codes

OTHER_DESK = Actor(id="ada", role=Role.AFTER_SALES)
COMMANDS = (PostReview, SupplementReview, ReplyReview, FlagReview, DecideReview, SetReviewConsent)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def completed(shop: Shop, *lines: tuple[UUID, str], **fields: Any) -> UUID:
    """Return an order that was completed, of two lamps if nothing else is said."""
    order_id = shop.delivered(*(lines or ((shop.article(), "2"),)), **fields)
    shop.desk.do(CompleteOrder(order_id=order_id))
    return order_id


def post(shop: Shop, order_id: UUID, score: int = 5, *, actor: Actor = BUYER, line: int = 1, **fields: Any) -> Review:
    """Review a line and return the review."""
    shop.desk.do(PostReview(order_id=order_id, line=line, score=score, **fields), actor=actor)
    return shop.order(order_id).reviews[line]


def flag(shop: Shop, order_id: UUID, actor: Actor = SERVICE) -> None:
    shop.desk.do(FlagReview(order_id=order_id, line=1, reason=FlagReason.EXTORTION), actor=actor)


def decide(shop: Shop, order_id: UUID, *, upheld: bool = True, actor: Actor = MANAGER, **fields: Any) -> ReviewStatus:
    command = {"decided_by": Arbiter.MANAGEMENT, "reason": "asked for money"} | fields
    shop.desk.do(DecideReview(order_id=order_id, line=1, upheld=upheld, **command), actor=actor)
    return shop.order(order_id).reviews[1].status


# Posting -------------------------------------------------------------------------------------------------------------


def test_a_review_says_what_the_buyer_thinks_and_is_sealed_under_the_key_of_whoever_ordered(shop: Shop) -> None:
    customer = shop.desk.register(shop.store_id)
    lamp = shop.article()
    theirs, guests = completed(shop, (lamp, "1"), customer_id=customer), completed(shop, (lamp, "1"))
    for order_id, subject in ((theirs, customer), (guests, guests)):
        review = post(shop, order_id, 4, text="Ann likes it", photos=("p/1",), republish=True)
        assert (review.sku_id, review.score, review.photos, review.republish) == (lamp, 4, ["p/1"], True)
        assert review.text is not None and "Ann" not in review.text
        assert shop.desk.unseal(subject, review.text) == "Ann likes it"
        posted = shop.desk.last(ReviewPosted)
        assert posted.completed_at == shop.order(order_id).completed_at
        assert posted.reply_by - posted.occurred_at == timedelta(hours=48)
    assert all(b"Ann" not in state for state in shop.desk.snapshots())


def test_only_what_was_sold_for_good_is_reviewed_and_each_line_once(shop: Shop) -> None:
    lamp, vase = shop.article(), shop.article("vase")
    order_id = shop.delivered((lamp, "1"), (vase, "1"))
    with pytest.raises(NotCompleted):
        post(shop, order_id)
    shop.desk.do(CompleteOrder(order_id=order_id))

    assert post(shop, order_id, 1).sku_id == lamp
    with pytest.raises(AlreadyReviewed):
        post(shop, order_id, 5)
    assert post(shop, order_id, 5, line=2).sku_id == vase
    with pytest.raises(AlreadyReviewed):
        post(shop, order_id, 5, line=3)
    assert [review.score for review in shop.order(order_id).reviews.values()] == [1, 5]
    assert codes(shop.desk, Order, order_id)["postReview"] == "ALREADY_REVIEWED"


def test_buyers_review_in_the_time_that_the_policy_gives(shop: Shop) -> None:
    order_id = completed(shop)
    done_at = shop.order(order_id).completed_at
    assert done_at is not None
    params = {"days": 10, "addition_days": 20, "reply_hours": 12}
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="reviews", params=params))
    words = PostReview(order_id=order_id, line=1, score=3)
    with pytest.raises(ReviewWindowClosed, match="days"):
        shop.desk.do(words, actor=BUYER, at=done_at + timedelta(days=10, seconds=1))
    shop.desk.do(words, actor=BUYER, at=done_at + timedelta(days=10))
    assert shop.order(order_id).reviews[1].reply_by == done_at + timedelta(days=10, hours=12)

    more = SupplementReview(order_id=order_id, line=1, text="still shines")
    with pytest.raises(ReviewWindowClosed):
        shop.desk.do(more, actor=BUYER, at=done_at + timedelta(days=20, seconds=1))
    shop.desk.do(more, actor=BUYER, at=done_at + timedelta(days=20))


def test_staff_record_what_was_written_elsewhere_however_late_and_write_nothing_themselves(shop: Shop) -> None:
    order_id = completed(shop)
    with pytest.raises(ReviewSourceMissing):
        post(shop, order_id, actor=SERVICE)
    told = PostReview(order_id=order_id, line=1, score=2, text="late", external_reference="tb-1")
    late = shop.desk.now + timedelta(days=60)
    for _ in range(2):
        shop.desk.do(told, actor=SERVICE, at=late, origin=Origin.IMPORT)
    assert shop.desk.recorded(order_id).count("ReviewPosted") == 1
    with pytest.raises(AlreadyReviewed):
        post(shop, order_id, actor=SERVICE, external_reference="tb-2")

    with pytest.raises(ReviewSourceMissing):
        shop.desk.do(SupplementReview(order_id=order_id, line=1, text="later"), actor=SERVICE)
    added = SupplementReview(order_id=order_id, line=1, text="later", external_reference="tb-3")
    for _ in range(2):
        shop.desk.do(added, actor=SERVICE, at=late + timedelta(days=400))
    assert shop.desk.recorded(order_id).count("ReviewSupplemented") == 1
    assert codes(shop.desk, Order, order_id)["supplementReview"] == DONE_ALREADY


def test_a_customer_reviews_their_own_order_and_no_other(shop: Shop) -> None:
    ann, bob = shop.desk.register(shop.store_id), shop.desk.register(shop.store_id)
    order_id = completed(shop, customer_id=ann)
    stranger = Actor(id="bob", role=Role.CUSTOMER, stores=frozenset({shop.store_id}), customer_id=bob)
    with pytest.raises(NotFound):
        post(shop, order_id, actor=stranger)
    post(shop, order_id, actor=Actor(id="ann", role=Role.CUSTOMER, customer_id=ann))


@pytest.mark.parametrize(
    "fields", [{"score": 0}, {"score": 6}, {"text": " \n"}, {"text": "a\x00"}, {"photos": ("p",) * (PHOTOS_MAX + 1)}]
)
def test_a_review_has_its_limits(shop: Shop, fields: dict[str, Any]) -> None:
    order_id = completed(shop)
    with pytest.raises(ValueError, match="Expected"):
        post(shop, order_id, **fields)


def test_of_a_line_that_was_called_off_there_is_nothing_to_review(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "1"), (shop.article("vase"), "1"))
    gone = (LineQuantity(line=2, quantity=Decimal(1)),)
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=gone, reason=CancelReason.CUSTOMER))
    shop.ship(order_id, parcel := shop.pack(order_id))
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=parcel))
    shop.desk.do(CompleteOrder(order_id=order_id))
    with pytest.raises(InvalidField, match="line 2"):
        post(shop, order_id, line=2)
    post(shop, order_id)
    assert codes(shop.desk, Order, order_id)["postReview"] == "ALREADY_REVIEWED"


# Adding, answering, consenting ---------------------------------------------------------------------------------------


def test_something_is_added_once_and_the_score_stays(shop: Shop) -> None:
    order_id = completed(shop)
    with pytest.raises(WrongState):
        shop.desk.do(SupplementReview(order_id=order_id, line=1, text="broke"), actor=BUYER)
    post(shop, order_id, 5)
    with pytest.raises(InvalidField, match="say something"):
        shop.desk.do(SupplementReview(order_id=order_id, line=1), actor=BUYER)
    shop.desk.do(SupplementReview(order_id=order_id, line=1, text="broke", photos=("p/2",)), actor=BUYER)
    review = shop.order(order_id).reviews[1]
    assert review.score == 5 and review.addition is not None and review.addition.photos == ["p/2"]
    assert review.addition.text is not None and shop.desk.unseal(order_id, review.addition.text) == "broke"
    with pytest.raises(WrongState, match="without an addition"):
        shop.desk.do(SupplementReview(order_id=order_id, line=1, text="again"), actor=BUYER)


def test_replies_are_kept_in_order_with_who_gave_them(shop: Shop) -> None:
    order_id = completed(shop)
    post(shop, order_id, 2, text="late")
    with pytest.raises(NotFound):
        shop.desk.do(ReplyReview(order_id=order_id, line=2, text="sorry"), actor=OTHER_DESK)
    for number in range(REPLIES_MAX):
        shop.desk.do(ReplyReview(order_id=order_id, line=1, text=f"sorry {number}"), actor=SERVICE)
    replies = shop.order(order_id).reviews[1].replies
    assert [shop.desk.unseal(order_id, reply.text) for reply in replies][:2] == ["sorry 0", "sorry 1"]
    assert {reply.author for reply in replies} == {"sue"}
    with pytest.raises(WrongState, match=str(REPLIES_MAX)):
        shop.desk.do(ReplyReview(order_id=order_id, line=1, text="sorry"), actor=SERVICE)


def test_consent_is_given_and_taken_back_and_recorded_where_it_changes(shop: Shop) -> None:
    order_id = completed(shop)
    assert post(shop, order_id).republish is False
    for granted in (True, True, False):
        shop.desk.do(SetReviewConsent(order_id=order_id, line=1, granted=granted), actor=BUYER)
        assert shop.order(order_id).reviews[1].republish is granted
    assert shop.desk.recorded(order_id).count("ReviewConsentSet") == 2


# What is malicious ---------------------------------------------------------------------------------------------------


def test_whoever_flags_a_review_does_not_decide_on_it_and_the_original_stays(shop: Shop) -> None:
    order_id = completed(shop)
    text = post(shop, order_id, 1, text="pay me or else").text
    with pytest.raises(WrongState, match="not flagged"):
        decide(shop, order_id)
    for _ in range(2):
        flag(shop, order_id, MANAGER)
    assert shop.desk.recorded(order_id).count("ReviewFlagged") == 1
    with pytest.raises(SamePerson):
        decide(shop, order_id)
    second = Actor(id="sam", role=Role.MANAGER)
    assert decide(shop, order_id, actor=second) is ReviewStatus.HIDDEN
    assert decide(shop, order_id, actor=second) is ReviewStatus.HIDDEN
    assert shop.desk.recorded(order_id).count("ReviewDecided") == 1
    with pytest.raises(WrongState, match="decided on"):
        decide(shop, order_id, upheld=False, actor=second)
    with pytest.raises(WrongState, match="hidden"):
        flag(shop, order_id)
    review = shop.order(order_id).reviews[1]
    assert (review.text, review.score, review.decision_reason) == (text, 1, "asked for money")
    assert review.waits_since is None, "nobody waits for an answer to it"
    with pytest.raises(WrongState, match="hidden"):
        shop.desk.do(SupplementReview(order_id=order_id, line=1, text="pay!"), actor=BUYER)


def test_a_shop_of_one_decides_on_what_it_flagged_where_its_policy_says_so(shop: Shop) -> None:
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="second_person", params={"review_decision": False}))
    order_id = completed(shop)
    post(shop, order_id, 1)
    flag(shop, order_id, MANAGER)
    assert decide(shop, order_id) is ReviewStatus.HIDDEN


def test_a_review_that_was_found_honest_is_shown_and_may_be_flagged_anew(shop: Shop) -> None:
    order_id = completed(shop)
    post(shop, order_id, 1)
    flag(shop, order_id)
    assert shop.order(order_id).reviews[1].status is ReviewStatus.FLAGGED
    assert decide(shop, order_id, upheld=False) is ReviewStatus.SHOWN
    flag(shop, order_id)
    assert shop.order(order_id).reviews[1].status is ReviewStatus.FLAGGED
    assert decide(shop, order_id) is ReviewStatus.HIDDEN


def test_on_a_platform_the_seller_records_what_the_platform_decided() -> None:
    shop = Shop(platform="tmall")
    order_id = completed(shop)
    post(shop, order_id, 1)
    flag(shop, order_id)
    with pytest.raises(SellerCannotDecide, match="tmall"):
        decide(shop, order_id)
    assert decide(shop, order_id, decided_by=Arbiter.PLATFORM) is ReviewStatus.HIDDEN


# Who may, and what is foretold ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "roles"),
    [
        (PostReview, {Role.MANAGER, Role.SERVICE, Role.AFTER_SALES, Role.STOREFRONT, Role.CUSTOMER}),
        (SupplementReview, {Role.MANAGER, Role.SERVICE, Role.AFTER_SALES, Role.STOREFRONT, Role.CUSTOMER}),
        (SetReviewConsent, {Role.MANAGER, Role.SERVICE, Role.AFTER_SALES, Role.STOREFRONT, Role.CUSTOMER}),
        (ReplyReview, {Role.MANAGER, Role.SERVICE, Role.AFTER_SALES}),
        (FlagReview, {Role.MANAGER, Role.SERVICE, Role.AFTER_SALES}),
        (DecideReview, {Role.MANAGER}),
    ],
)
def test_each_step_is_for_those_who_take_it(command: type[Command], roles: set[Role]) -> None:
    for role in set(Role) - {Role.OWNER, Role.PLATFORM, Role.SYSTEM}:
        if role in roles:
            command.require_role(Actor(id="x", role=role))
        else:
            with pytest.raises(NotAuthorised):
                command.require_role(Actor(id="x", role=role))


def test_what_may_be_done_about_reviews_is_foretold(shop: Shop) -> None:
    order_id = completed(shop)

    def foretold() -> list[str | None]:
        said = codes(shop.desk, Order, order_id)
        return [said[command.command_name()] for command in COMMANDS]

    assert foretold() == [None, *["WRONG_STATE"] * 5]
    post(shop, order_id)
    assert foretold() == ["ALREADY_REVIEWED", None, None, None, "WRONG_STATE", None]
    flag(shop, order_id)
    assert foretold() == ["ALREADY_REVIEWED", None, None, DONE_ALREADY, None, None]
    decide(shop, order_id)
    assert foretold() == ["ALREADY_REVIEWED", "WRONG_STATE", None, "WRONG_STATE", DONE_ALREADY, None]


# Forgetting, and points ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guest", [True, False])
def test_what_a_review_says_is_erased_with_whoever_ordered_and_the_score_stays(shop: Shop, guest: bool) -> None:
    customer = None if guest else shop.desk.register(shop.store_id)
    order_id = completed(shop, customer_id=customer)
    post(shop, order_id, 4, text="Ann likes it", external_reference="tb-1")
    shop.desk.do(ReplyReview(order_id=order_id, line=1, text="thanks, Ann"), actor=SERVICE)
    shop.desk.do(EraseGuest(order_id=order_id) if customer is None else EraseCustomer(customer_id=customer))
    review = shop.order(order_id).reviews[1]
    assert review.score == 4 and review.text is not None
    for text in (review.text, review.replies[0].text):
        with pytest.raises(KeyError):
            shop.desk.unseal(customer or order_id, text)
    for command in (
        ReplyReview(order_id=order_id, line=1, text="hello?"),
        SupplementReview(order_id=order_id, line=1, text="more", external_reference="tb-2"),
    ):
        with pytest.raises(Refusal):
            shop.desk.do(command, actor=SERVICE)
    # Told again, it is on record, whoever was erased since.
    shop.desk.do(PostReview(order_id=order_id, line=1, score=4, external_reference="tb-1"), actor=SERVICE)


@pytest.mark.parametrize("score", [1, 5])
def test_a_review_earns_points_whatever_its_score_and_more_with_photos(shop: Shop, score: int) -> None:
    customer = shop.desk.register(shop.store_id)
    lines = tuple((shop.article(code), "1") for code in ("lamp", "vase", "mug"))
    order_id = completed(shop, *lines, customer_id=customer)

    def earned() -> list[Command]:
        return follow(shop, shop.desk.last(ReviewPosted))

    post(shop, order_id, score)
    assert earned() == [], "no rule is set"
    rules = {"review": {"points": 10}, "photo_review": {"points": 30}}
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="points", params={"rules": rules}))
    for line, photos, rule in ((2, (), "review"), (3, ("p/1",), "photo_review")):
        post(shop, order_id, score, line=line, photos=photos)
        reference = f"{order_id}:{line}"
        given = EarnPoints(customer_id=customer, rule=rule, reference=reference, store_id=shop.store_id)
        assert earned() == [given] and earned() == []
    assert shop.desk.get(Customer, customer).balance == 40
    post(shop, completed(shop, (lines[0][0], "1")), score)
    assert earned() == [], "a guest has no points"

"""What can be asked for about a review; order_reviews.py says what one is.

Customers review what they bought, by themselves or through the shop's front, and staff record what was written on a
platform; service replies and flags; owners, managers and the platform decide.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Actor, Command, DoneAlready, Occasion, Role, UnitOfWork
from opscore.domain.order import Order
from opscore.domain.order_commands import LineNumber, OrderId, own_order, sealed
from opscore.domain.order_dispute_commands import ARBITRATING, COMPLAINTS_DESK, CUSTOMERS_SIDE
from opscore.domain.order_disputes import Arbiter
from opscore.domain.order_reviews import (
    SCORE_MAX,
    AlreadyReviewed,
    FlagReason,
    NotCompleted,
    Review,
    ReviewConsentSet,
    ReviewDecided,
    ReviewFlagged,
    ReviewPosted,
    ReviewReplied,
    ReviewSourceMissing,
    ReviewStatus,
    ReviewSupplemented,
    ReviewWindowClosed,
    SellerCannotDecide,
)
from opscore.domain.order_state import LineState
from opscore.domain.policies import OWN_PLATFORMS, Reviews, SecondPerson
from opscore.domain.refusals import InvalidField, NotFound, Refusal, SamePerson, WrongState
from opscore.domain.store import Store
from opscore.domain.values import Code, Reason

PHOTOS_MAX = 9
"""Most photos that one review, or an addition to it, has."""
REPLIES_MAX = 20
"""Most replies to one review."""

BUYERS = frozenset({Role.STOREFRONT, Role.CUSTOMER})
"""Who writes what buyers say as they say it; whoever else does records what was written elsewhere."""

ReviewText = Annotated[str, Meta(min_length=1, max_length=2000, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")]
Photo = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Photos = Annotated[
    tuple[Photo, ...],
    Meta(
        max_length=PHOTOS_MAX,
        description="Where each photo is kept, a key of your storage say; nothing personal. Erase the photos there.",
    ),
]
_Text = Annotated[
    ReviewText | None,
    Meta(description="In the customer's words; kept encrypted under the customer's key and erased with it."),
]
_Source = Annotated[
    Code | None,
    Meta(description="What the platform calls what was written there; staff need one. The same one is recorded once."),
]

# What may happen next ------------------------------------------------------------------------------------------------


def _reviewable(line: LineState) -> bool:
    """Say whether the customer has had units of a line; what came back since may be reviewed all the same."""
    return line.live > 0


def _lines_to_review(order: Order) -> list[LineState]:
    return [line for line in order.lines if _reviewable(line) and line.line not in order.reviews]


def _require_in_time(actor: Actor, since: datetime, days: int, at: datetime, order: Order) -> None:
    """Refuse ReviewWindowClosed to buyers later than so many days; what was written elsewhere was in time there."""
    until = since + timedelta(days=days)
    if actor.role in BUYERS and at > until:
        raise ReviewWindowClosed(until=until.isoformat(), path=("order_id",), ids=[order.id])


def require_reviewable(order: Order, now: Occasion) -> None:
    """Refuse unless a line of the order may be reviewed: NotCompleted, WrongState, ReviewWindowClosed, AlreadyReviewed.

    Raises DoneAlready where all lines have a review and one was recorded from a platform, which may be told again.
    """
    if order.completed_at is None:
        raise NotCompleted(state=order.status.value, path=("order_id",), ids=[order.id])
    # Told again, a review that was recorded from a platform is no news, however late, and whoever was erased since.
    told = any(review.external_reference is not None for review in order.reviews.values())
    if told and (order.guest_erased or not _lines_to_review(order)):
        raise DoneAlready
    _require_known(order)
    if not _lines_to_review(order):
        if order.reviews:
            raise AlreadyReviewed(path=("order_id",), ids=[order.id])
        needed = "one of which the customer had something"
        raise WrongState(what="order", state="one without any units", needed=needed, path=("order_id",), ids=[order.id])
    if not told:
        _require_in_time(now.actor, order.completed_at, now.store.policy(Reviews, now.at).days, now.at, order)


def _require_known(order: Order) -> None:
    """Refuse WrongState when there is no key any more to seal what a guest says with."""
    if order.guest_erased:
        known = "one whose guest is known"
        raise WrongState(
            what="order", state="one whose guest was erased", needed=known, path=("order_id",), ids=[order.id]
        )


def review_of(order: Order, number: int) -> Review:
    """Return the review of a line; refuses NotFound."""
    review = order.reviews.get(number)
    if review is None:
        raise NotFound(what=f"review of line {number} of this order", path=("line",), ids=[order.id])
    return review


def _wrong(state: str, needed: str, order: Order) -> WrongState:
    return WrongState(what="review", state=state, needed=needed, path=("line",), ids=[order.id])


def require_supplementable(order: Order, review: Review, now: Occasion) -> None:
    """Refuse unless the customer may add to a review: WrongState, ReviewWindowClosed.

    Raises DoneAlready where what was added was recorded from a platform, which may be told again.
    """
    if review.addition is not None:
        if review.addition.external_reference is not None:
            raise DoneAlready
        raise _wrong("added to", "one without an addition", order)
    if review.status is ReviewStatus.HIDDEN:
        raise _wrong("hidden", "shown", order)
    _require_known(order)
    if order.completed_at is not None:
        days = now.store.policy(Reviews, now.at).addition_days
        _require_in_time(now.actor, order.completed_at, days, now.at, order)


def require_replyable(order: Order, review: Review, _: Occasion) -> None:
    """Refuse WrongState when there were as many replies as a review has, or there is no key to seal one with."""
    _require_known(order)
    if len(review.replies) >= REPLIES_MAX:
        raise _wrong(f"one with {REPLIES_MAX} replies", "one with fewer", order)


def require_flaggable(order: Order, review: Review, _: Occasion) -> None:
    """Refuse WrongState for a review that is hidden; raises DoneAlready for one that waits for a decision."""
    if review.status is ReviewStatus.FLAGGED:
        raise DoneAlready
    if review.status is ReviewStatus.HIDDEN:
        raise _wrong("hidden", "shown", order)


def require_decidable(order: Order, review: Review, now: Occasion) -> None:
    """Refuse WrongState unless a review is flagged, SamePerson to who flagged it where a second person is asked.

    Raises DoneAlready for one that was decided on.
    """
    if review.upheld is not None:
        raise DoneAlready
    if review.status is not ReviewStatus.FLAGGED:
        raise _wrong("not flagged", "flagged", order)
    if review.flagged_by == now.actor.id and now.store.policy(SecondPerson, now.at).review_decision:
        raise SamePerson(actor=now.actor.id, path=("line",), ids=[order.id])


ReviewCheck = Callable[[Order, Review, Occasion], None]


def require_review(order: Order, now: Occasion, check: ReviewCheck | None = None) -> None:
    """Refuse unless one of the order's reviews passes the check: WrongState without any, else as the first would be.

    Raises DoneAlready where none passes and one of them is done.
    """
    refused: list[Refusal] = []
    done = False
    for review in order.reviews.values():
        try:
            if check is not None:
                check(order, review, now)
        except DoneAlready:
            done = True
        except Refusal as refusal:
            refused.append(refusal)
        else:
            return
    if done:
        raise DoneAlready
    if refused:
        raise refused[0]
    needed = "one with a review"
    raise WrongState(what="order", state="one without reviews", needed=needed, path=("order_id",), ids=[order.id])


def _occasion(work: UnitOfWork, order: Order) -> Occasion:
    return Occasion(work.actor, work.occurred_at, work.get(Store, order.store_id, scoped=False))


def _require_source(work: UnitOfWork, reference: str | None) -> None:
    """Refuse ReviewSourceMissing to staff who do not say where it was written: nobody writes for customers."""
    if work.actor.role not in BUYERS and reference is None:
        raise ReviewSourceMissing(path=("external_reference",))


# What can be asked for -----------------------------------------------------------------------------------------------


class PostReview(Command):
    """Review a line of an order that was completed: a score, words, photos; once for each line, for good.

    Buyers review in the time that the store's policy `reviews` gives. Staff record what was written on a platform.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = CUSTOMERS_SIDE
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        NotCompleted,
        AlreadyReviewed,
        ReviewWindowClosed,
        ReviewSourceMissing,
    )

    order_id: OrderId
    line: LineNumber
    score: Annotated[int, Meta(ge=1, le=SCORE_MAX, description="From 1, the worst, to 5, the best.")]
    text: _Text = None
    photos: _Photos = ()
    republish: Annotated[
        bool, Meta(description="Whether the customer agrees that it is shown elsewhere, in advertising say.")
    ] = False
    external_reference: _Source = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that the customer has the goods for good and that it is in time, then seal and record it."""
        order = own_order(work, self.order_id)
        line = order.line(self.line, ("line",))
        known = order.reviews.get(self.line)
        if known is not None:
            if self.external_reference is not None and known.external_reference == self.external_reference:
                return order.id
            raise AlreadyReviewed(path=("line",), ids=[order.id])
        now = _occasion(work, order)
        if order.completed_at is None:
            raise NotCompleted(state=order.status.value, path=("order_id",), ids=[order.id])
        _require_known(order)
        if not _reviewable(line):
            raise InvalidField(why=f"nothing of line {self.line} was sold", path=("line",), ids=[order.id])
        _require_source(work, self.external_reference)
        policy = now.store.policy(Reviews, now.at)
        _require_in_time(now.actor, order.completed_at, policy.days, now.at, order)
        order.trigger_event(
            ReviewPosted,
            line=self.line,
            sku_id=line.sku_id,
            customer_id=order.customer_id,
            score=self.score,
            text=sealed(work, order, self.text),
            photos=self.photos,
            completed_at=order.completed_at,
            reply_by=now.at + timedelta(hours=policy.reply_hours),
            republish=self.republish,
            external_reference=self.external_reference,
            occurred_at=now.at,
        )
        return order.id


class SupplementReview(Command):
    """Add something to a review, once: how the goods wear, say. The score stays what it was."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = CUSTOMERS_SIDE
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ReviewWindowClosed, ReviewSourceMissing)

    order_id: OrderId
    line: LineNumber
    text: _Text = None
    photos: _Photos = ()
    external_reference: _Source = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that nothing was added and that it is in time, then seal and record it."""
        order = own_order(work, self.order_id)
        review = review_of(order, self.line)
        told = None if review.addition is None else review.addition.external_reference
        if told is not None and told == self.external_reference:
            return order.id
        try:
            require_supplementable(order, review, _occasion(work, order))
        except DoneAlready:
            raise _wrong("added to", "one without an addition", order) from None
        if self.text is None and not self.photos:
            raise InvalidField(why="say something, or show a photo", path=("text",), ids=[order.id])
        _require_source(work, self.external_reference)
        order.trigger_event(
            ReviewSupplemented,
            line=self.line,
            text=sealed(work, order, self.text),
            photos=self.photos,
            external_reference=self.external_reference,
            occurred_at=work.occurred_at,
        )
        return order.id


class ReplyReview(Command):
    """Answer a review, for all who read it. The first answer is the one that the response time is counted to."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = COMPLAINTS_DESK

    order_id: OrderId
    line: LineNumber
    text: Annotated[
        ReviewText,
        Meta(description="What is answered; kept encrypted under the customer's key and erased with it."),
    ]

    def decide(self, work: UnitOfWork) -> UUID:
        """Seal the answer and record who gave it."""
        order = work.order(self.order_id)
        require_replyable(order, review_of(order, self.line), _occasion(work, order))
        text = work.seal(order.subject_id, self.text)
        order.trigger_event(
            ReviewReplied, line=self.line, author=work.actor.id, text=text, occurred_at=work.occurred_at
        )
        return order.id


class FlagReview(Command):
    """Say that a review is malicious, and why; it is shown and counts until somebody else decides."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = COMPLAINTS_DESK

    order_id: OrderId
    line: LineNumber
    reason: Annotated[FlagReason, Meta(description="Why; that the score is low is no reason.")]
    note: Annotated[ReviewText | None, Meta(description="What is known of it; kept encrypted.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Flag it; asked twice, recorded once."""
        order = work.order(self.order_id)
        try:
            require_flaggable(order, review_of(order, self.line), _occasion(work, order))
        except DoneAlready:
            return order.id
        order.trigger_event(
            ReviewFlagged,
            line=self.line,
            reason=self.reason,
            flagged_by=work.actor.id,
            note=sealed(work, order, self.note),
            occurred_at=work.occurred_at,
        )
        return order.id


class DecideReview(Command):
    """Record whether a flagged review is malicious: then it is hidden and counts for no score, but stays on record.

    Nobody decides on what they flagged themselves. On a platform that is not one's own the seller's management does not
    decide: what the platform, or an authority, decided is recorded.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = ARBITRATING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (SamePerson, SellerCannotDecide)

    order_id: OrderId
    line: LineNumber
    upheld: Annotated[bool, Meta(description="Whether it is malicious.")]
    decided_by: Annotated[Arbiter, Meta(description="Whose decision it is.")]
    reason: Annotated[Reason, Meta(description="Why; no personal data.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Check who flagged it and who may decide, then record the decision; asked twice, recorded once."""
        order = work.order(self.order_id)
        review = review_of(order, self.line)
        now = _occasion(work, order)
        try:
            require_decidable(order, review, now)
        except DoneAlready:
            if review.upheld is self.upheld:
                return order.id
            raise _wrong("decided on", "flagged", order) from None
        if self.decided_by is Arbiter.MANAGEMENT and now.store.platform not in OWN_PLATFORMS:
            raise SellerCannotDecide(platform=now.store.platform, path=("decided_by",), ids=[order.id])
        order.trigger_event(
            ReviewDecided,
            line=self.line,
            sku_id=review.sku_id,
            upheld=self.upheld,
            decided_by=self.decided_by,
            reason=self.reason,
            score=review.score,
            occurred_at=now.at,
        )
        return order.id


class SetReviewConsent(Command):
    """Say whether the customer agrees that a review is shown elsewhere, in advertising say."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = CUSTOMERS_SIDE

    order_id: OrderId
    line: LineNumber
    granted: Annotated[bool, Meta(description="Whether the customer agrees.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Record what the customer said; where that is known, nothing is."""
        order = own_order(work, self.order_id)
        if review_of(order, self.line).republish is not self.granted:
            order.trigger_event(ReviewConsentSet, line=self.line, granted=self.granted, occurred_at=work.occurred_at)
        return order.id


CHECKS: dict[type[Command], ReviewCheck | None] = {
    SupplementReview: require_supplementable,
    ReplyReview: require_replyable,
    FlagReview: require_flaggable,
    DecideReview: require_decidable,
    SetReviewConsent: None,
}
"""Command about a review -> what refuses it whatever its input says; None: nothing."""

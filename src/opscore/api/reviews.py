"""Reviews through the API: of an order, in lists for the desk and for an article's page, and what articles are rated.

Which reviews there are and how each stands comes from a read model; what they say is opened from the orders that they
are of, all of an answer in one statement. Buyers read what other buyers wrote, but never whose order it is of, nor what
was found malicious.
"""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: A002 -- arguments are called what the schema calls them.

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import strawberry

from opscore.api import contacts, reads
from opscore.api.arguments import After, AtLeast, Before, ContextInfo, First, Last, SkuIds, StoreIds, skus, stores
from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.errors import BadInput
from opscore.api.figures import ask
from opscore.api.filters import (
    Direction,
    Filter,
    IdFilter,
    IntFilter,
    TimeFilter,
    condition,
    either,
    every,
    on,
    without,
)
from opscore.api.lists import Listing, PageArguments, listed, refuse_hidden, rows_of
from opscore.api.nodes import gid, store_gid
from opscore.api.paging import Connection
from opscore.api.selected import Selected, selected_of
from opscore.domain import order as order_domain
from opscore.domain.command import Role
from opscore.domain.order_disputes import Arbiter
from opscore.domain.order_review_commands import BUYERS
from opscore.domain.order_reviews import FlagReason, Review, ReviewStatus
from opscore.domain.values import plain
from opscore.permissions import may_see_field
from opscore.projector.lists import Column, Compare, Condition, Every, Operator

SKUS_MAX = 100
ROWS_MAX = 10_000
"""Most ratings of one answer: of so many articles in as many stores each."""
PLACES = 6
"""Decimal places of means and shares."""

for _enum in (FlagReason, ReviewStatus, Arbiter):
    expose(_enum)

# What is shown -------------------------------------------------------------------------------------------------------


async def _opened(info: ContextInfo, subject_id: UUID, sealed: str | None) -> str | None:
    """Return what was written, None where nothing was or its writer was erased; opened with all others of an answer."""
    if sealed is None:
        return None
    [text] = await contacts.of_notes(info.context, subject_id, [sealed])
    return text


@strawberry.type(description="What a customer added to a review later.")
class OrderReviewAddition:
    photos: list[str] = strawberry.field(description="Where its photos are kept.")
    added_at: datetime = strawberry.field(description="When.")
    subject_id: strawberry.Private[UUID]
    sealed: strawberry.Private[str | None]

    @strawberry.field(description="What it says; null without words, and once the customer, or the guest, was erased.")
    async def text(self, info: ContextInfo) -> str | None:
        return await _opened(info, self.subject_id, self.sealed)


@strawberry.type(description="An answer to a review.")
class OrderReviewReply:
    author: str | None = strawberry.field(description="Who gave it: a pseudonym; null for roles of the shop's front.")
    replied_at: datetime = strawberry.field(description="When.")
    subject_id: strawberry.Private[UUID]
    sealed: strawberry.Private[str | None]

    @strawberry.field(description="What it says; null once the customer, or the guest, was erased.")
    async def text(self, info: ContextInfo) -> str | None:
        return await _opened(info, self.subject_id, self.sealed)


@strawberry.type(description="That somebody held a review to be malicious, and what was decided on it.")
class OrderReviewFlag:
    reason: FlagReason = strawberry.field(description="Why it was held to be.")
    flagged_by: str = strawberry.field(description="Who said so: a pseudonym. Somebody else decides.")
    flagged_at: datetime = strawberry.field(description="When.")
    upheld: bool | None = strawberry.field(description="Whether it is malicious; null until that was decided.")
    decided_by: Arbiter | None = strawberry.field(description="Whose decision it is.")
    decided_at: datetime | None = strawberry.field(description="When it was decided.")
    decision_reason: str | None = strawberry.field(description="Why it was decided so.")


@strawberry.type(
    description="What a customer thinks of a line of an order. What it says is the customer's, and gone once the "
    "customer is erased; the score stays."
)
class OrderReview:
    order_id: strawberry.ID | None = strawberry.field(description="The order; null for customers.")
    line: int = strawberry.field(description="Number of the order's line, by which commands name the review.")
    store_id: strawberry.ID = strawberry.field(description="The store.")
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    score: int = strawberry.field(description="From 1, the worst, to 5, the best.")
    status: ReviewStatus = strawberry.field(description="Whether it is shown and counts.")
    photos: list[str] = strawberry.field(description="Where its photos are kept.")
    posted_at: datetime = strawberry.field(description="When it was written.")
    republish: bool = strawberry.field(description="Whether the customer agrees that it is shown elsewhere.")
    addition: OrderReviewAddition | None = strawberry.field(description="What the customer added; null for nothing.")
    replies: list[OrderReviewReply] = strawberry.field(description="The answers to it, in order.")
    reply_by: datetime | None = strawberry.field(
        description="By when it is to be answered first; null for roles of the shop's front."
    )
    waits_since: datetime | None = strawberry.field(
        description="Since when the customer waits for an answer, to it or to what was added after the last answer; "
        "null where the customer was answered, for what is hidden, and for roles of the shop's front."
    )
    flag: OrderReviewFlag | None = strawberry.field(
        description="The last time that somebody held it to be malicious; null for roles of the shop's front."
    )
    external_reference: str | None = strawberry.field(
        description="What the platform calls it, where it was written there; null for roles of the shop's front."
    )
    subject_id: strawberry.Private[UUID]
    sealed: strawberry.Private[str | None]

    @strawberry.field(description="What it says; null without words, and once the customer, or the guest, was erased.")
    async def text(self, info: ContextInfo) -> str | None:
        return await _opened(info, self.subject_id, self.sealed)


def review_view(order: order_domain.Order, line: int, role: Role) -> OrderReview:
    """Return a review of an order as the API shows it to a role."""
    review = order.reviews[line]
    subject_id, added = order.subject_id, review.addition
    return OrderReview(
        order_id=gid("Order", order.id) if may_see_field(role, "OrderReview.orderId") else None,
        line=line,
        store_id=store_gid(order.store_id),
        sku_id=gid("Sku", review.sku_id),
        score=review.score,
        status=review.status,
        photos=review.photos,
        posted_at=review.posted_at,
        republish=review.republish,
        addition=None
        if added is None
        else OrderReviewAddition(
            photos=added.photos, added_at=added.added_at, subject_id=subject_id, sealed=added.text
        ),
        replies=[
            OrderReviewReply(
                author=each.author if may_see_field(role, "OrderReviewReply.author") else None,
                replied_at=each.replied_at,
                subject_id=subject_id,
                sealed=each.text,
            )
            for each in review.replies
        ],
        reply_by=review.reply_by if may_see_field(role, "OrderReview.replyBy") else None,
        waits_since=review.waits_since if may_see_field(role, "OrderReview.waitsSince") else None,
        flag=_flag(review) if may_see_field(role, "OrderReview.flag") else None,
        external_reference=review.external_reference if may_see_field(role, "OrderReview.externalReference") else None,
        subject_id=subject_id,
        sealed=review.text,
    )


def _flag(review: Review) -> OrderReviewFlag | None:
    if review.flag_reason is None or review.flagged_by is None or review.flagged_at is None:
        return None
    return OrderReviewFlag(
        reason=review.flag_reason,
        flagged_by=review.flagged_by,
        flagged_at=review.flagged_at,
        upheld=review.upheld,
        decided_by=review.decided_by,
        decided_at=review.decided_at,
        decision_reason=review.decision_reason,
    )


# Lists ---------------------------------------------------------------------------------------------------------------


@strawberry.input(description="Which reviews; all that is given has to hold.")
class OrderReviewFilter:
    and_: list[OrderReviewFilter] | None = every()
    or_: list[OrderReviewFilter] | None = either()
    not_: OrderReviewFilter | None = without()
    store_id: IdFilter | None = on("store_id", "The store.", of="Store")
    sku_id: IdFilter | None = on("sku_id", "The article.", of="Sku")
    order_id: IdFilter | None = on("order_id", "The order.", of="Order", shown_as="OrderReview.orderId")
    score: IntFilter | None = on("score", "From 1, the worst, to 5, the best.")
    status: Filter[ReviewStatus] | None = on("status", "Whether it is shown and counts.")
    has_text: bool | None = on("has_text", "Whether it was written in words.")
    photos: IntFilter | None = on("photos", "How many photos it has, those of an addition included.")
    posted_at: TimeFilter | None = on("posted_at", "When it was written.")
    added_at: TimeFilter | None = on("added_at", "When something was added.")
    replied_at: TimeFilter | None = on("replied_at", "When it was answered last.")
    reply_by: TimeFilter | None = on("reply_by", "By when it is to be answered first.", shown_as="OrderReview.replyBy")
    waits_since: TimeFilter | None = on(
        "waits_since", "Since when the customer waits for an answer.", shown_as="OrderReview.waitsSince"
    )
    flag_reason: Filter[FlagReason] | None = on(
        "flag_reason", "Why it was held to be malicious last.", shown_as="OrderReview.flag"
    )
    flagged_at: TimeFilter | None = on("flagged_at", "When that was said.", shown_as="OrderReview.flag")
    republish: bool | None = on("republish", "Whether the customer agrees that it is shown elsewhere.")
    changed_at: TimeFilter | None = on("changed_at", "When its last event was recorded.")


class OrderReviewSortKey(enum.StrEnum):
    """What reviews are sorted by."""

    POSTED_AT = "posted_at"
    """When they were written."""
    WAITS_SINCE = "waits_since"
    """Since when somebody waits for an answer; those who were answered come last."""
    SCORE = "score"
    """Their scores."""
    CHANGED_AT = "changed_at"
    """When their last events were recorded."""


expose(OrderReviewSortKey)


@strawberry.input(description="How reviews are sorted; of two that are equal, their orders' ids and lines decide.")
class OrderReviewSort:
    by: OrderReviewSortKey = strawberry.field(description="What they are sorted by.")
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


REVIEWS = Listing(
    "reviews",
    "review_rows",
    (Column("order_id", "uuid"), Column("line", "bigint")),
    {
        OrderReviewSortKey.POSTED_AT: Column("posted_at", "timestamptz"),
        OrderReviewSortKey.WAITS_SINCE: Column("waits_since", "timestamptz", nullable=True),
        OrderReviewSortKey.SCORE: Column("score", "bigint"),
        OrderReviewSortKey.CHANGED_AT: Column("changed_at", "timestamptz"),
    },
    (OrderReviewSortKey.POSTED_AT, Direction.DESC),
    {OrderReviewSortKey.WAITS_SINCE: "OrderReview.waitsSince"},
)
_NOT_HIDDEN = Compare(
    Column("status", "text"), Operator.IS_IN, [each.value for each in ReviewStatus if each is not ReviewStatus.HIDDEN]
)


def _condition(context: Context, given: OrderReviewFilter | None) -> Condition:
    """Return what is to hold of the rows; of what was found malicious buyers see nothing."""
    role = context.viewer.role
    wanted = condition(given, role)
    return Every((_NOT_HIDDEN, wanted)) if role in BUYERS else wanted


def _page(
    context: Context,
    given: OrderReviewFilter | None,
    sort: OrderReviewSort | None,
    arguments: PageArguments,
    wanted: Selected,
    at_least: int | None,
) -> Any:
    """Return a page of reviews, in a fixed number of statements (blocking)."""
    role = context.viewer.role
    refuse_hidden(role, REVIEWS, sort)
    page = listed(REVIEWS, _condition(context, given), sort, arguments, counted="totalCount" in wanted)
    rows, total = rows_of(context, page, store_ids=context.store_ids, at_least=at_least)
    # The rows are of the viewer's stores; of an order that is not theirs a customer is shown the review alone.
    orders = reads.behind(context, order_domain.Order, [row["order_id"] for row in page.cut(rows)])

    def shown(row: dict[str, Any]) -> OrderReview | None:
        # The log may be ahead of the read model, never behind it: what is not hidden there may have been hidden since.
        review = review_view(orders[row["order_id"]], row["line"], role)
        return None if role in BUYERS and review.status is ReviewStatus.HIDDEN else review

    return page.connection(rows, shown, total, edges="edges" in wanted)


# Ratings -------------------------------------------------------------------------------------------------------------


@strawberry.type(description="What buyers think of an article in a store, now; without what was found malicious.")
class SkuRating:
    store_id: strawberry.ID = strawberry.field(description="The store.")
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    reviews: int = strawberry.field(description="How many reviews count.")
    mean_score: Decimal | None = strawberry.field(
        description=f"Mean of their scores, from 1 to 5, to {PLACES} places; null without any."
    )
    positive_share: Decimal | None = strawberry.field(
        description=f"Part of them that is positive, to {PLACES} places; null without any. From which score on a "
        "review is positive is a rule of the read model: 4."
    )
    hidden: int | None = strawberry.field(
        description="How many more were found malicious; null for roles of the shop's front."
    )


def ratings(
    context: Context, sku_ids: Sequence[UUID], store_ids: list[UUID] | None, at_least: int | None
) -> list[SkuRating]:
    """Return what these articles are rated, by store and article; nothing of what was never reviewed (blocking)."""
    hidden = may_see_field(context.viewer.role, "SkuRating.hidden")
    asked = {"sku_ids": list(sku_ids), "row_limit": ROWS_MAX}
    return [
        SkuRating(
            store_id=store_gid(row["store_id"]),
            sku_id=gid("Sku", row["sku_id"]),
            reviews=row["reviews"],
            mean_score=_part(row["scores"], row["reviews"]),
            positive_share=_part(row["positive"], row["reviews"]),
            hidden=row["hidden"] if hidden else None,
        )
        for row in ask(context, "reviews", "ratings", asked, store_ids=store_ids, at_least=at_least)
    ]


def _part(of: int, reviews: int) -> Decimal | None:
    return plain(round(Decimal(of) / reviews, PLACES)) if reviews else None


@strawberry.type
class ReviewQueries:
    """What buyers think."""

    @strawberry.field(
        description="The reviews, latest first unless sorted. Sorted by `WAITS_SINCE` those come first that wait for "
        "an answer, the longest wait first. Buyers are not shown what was found malicious."
    )
    async def reviews(
        self,
        info: ContextInfo,
        filter: Annotated[
            OrderReviewFilter | None, strawberry.argument(description="Which reviews; all if left out.")
        ] = None,
        sort: Annotated[
            OrderReviewSort | None, strawberry.argument(description="In which order; latest first if left out.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[OrderReview]:
        context, page = info.context, PageArguments(first, after, last, before)
        found: Connection[OrderReview] = await context.services.read(
            _page, context, filter, sort, page, selected_of(info), at_least
        )
        return found

    @strawberry.field(
        description="What these articles are rated now, in each store that has reviews of them; see the key figure "
        "K095 for a time."
    )
    async def sku_ratings(
        self,
        info: ContextInfo,
        sku_ids: SkuIds,
        store_ids: StoreIds = None,
        at_least: AtLeast = None,
    ) -> list[SkuRating]:
        context = info.context
        if not 1 <= len(sku_ids) <= SKUS_MAX:
            raise BadInput(f"Ask for 1 to {SKUS_MAX} articles at once.")
        return await context.services.read(ratings, context, skus(sku_ids), stores(context, store_ids), at_least)

"""A review of a line of an order: what is on record about what a customer thinks of it, and how far that is.

A line that was sold for good is reviewed once: a score, words, photos, and later one addition. Staff reply, and flag
what they hold to be malicious; whoever decides on that is not the one who flagged it. A review that is found malicious
is hidden and counts for no score; it stays on record as it was written. What is written is personal whatever it is
asked not to be, so it is sealed as a note of staff is, and erased with the customer or the guest. The commands are in
order_review_commands.py.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from opscore.domain.aggregate import Event
from opscore.domain.order_disputes import Arbiter
from opscore.domain.refusals import Refusal
from opscore.domain.values import Sealed

# What is on record ---------------------------------------------------------------------------------------------------

SCORE_MAX: Final = 5
"""The best score; the worst is 1."""


class ReviewStatus(enum.StrEnum):
    """How a review stands."""

    SHOWN = "shown"
    FLAGGED = "flagged"
    """Held to be malicious, and not decided on; it is shown and counts until then."""
    HIDDEN = "hidden"
    """Found malicious: shown to no buyer, and part of no score."""


class FlagReason(enum.StrEnum):
    """Why a review is held to be malicious. That the score is low is no reason."""

    ABUSE = "abuse"
    EXTORTION = "extortion"
    COMPETITOR = "competitor"
    FALSE_CLAIM = "false_claim"
    UNRELATED = "unrelated"
    ADVERTISING = "advertising"
    PRIVATE_DATA = "private_data"
    OTHER = "other"


class ReviewPosted(Event):
    """A customer said what they think of a line of an order that was completed.

    score: 1 to 5. photos: where they are kept, nothing personal. completed_at: when the sale became final. reply_by: by
    when somebody is to reply. external_reference: what the platform calls the review, where it was written there.
    """

    line: int
    sku_id: UUID
    customer_id: UUID | None
    score: int
    text: Sealed | None
    photos: tuple[str, ...]
    completed_at: datetime
    reply_by: datetime
    republish: bool
    external_reference: str | None


class ReviewSupplemented(Event):
    """The customer added something to a review, once; the score stays what it was."""

    line: int
    text: Sealed | None
    photos: tuple[str, ...]
    external_reference: str | None


class ReviewReplied(Event):
    """Somebody answered a review, for all to read."""

    line: int
    author: str
    text: Sealed


class ReviewFlagged(Event):
    """Somebody holds a review to be malicious, and said why."""

    line: int
    reason: FlagReason
    flagged_by: str
    note: Sealed | None = None


class ReviewDecided(Event):
    """It was decided whether a flagged review is malicious. upheld: it is, and is hidden from now on.

    decided_by: whose decision it is, whoever put it on record. score: that of the review.
    """

    line: int
    sku_id: UUID
    upheld: bool
    decided_by: Arbiter
    reason: str
    score: int


class ReviewConsentSet(Event):
    """The customer said whether the review may be shown elsewhere, in advertising say."""

    line: int
    granted: bool


# What it adds up to --------------------------------------------------------------------------------------------------

ReviewStep = ReviewSupplemented | ReviewReplied | ReviewFlagged | ReviewDecided | ReviewConsentSet
"""What may happen to a review that was posted."""

STEPS: Final[tuple[type[ReviewStep], ...]] = (
    ReviewSupplemented,
    ReviewReplied,
    ReviewFlagged,
    ReviewDecided,
    ReviewConsentSet,
)


class ReviewAddition(msgspec.Struct):
    """What the customer added; `text` is sealed."""

    text: str | None
    photos: list[str]
    external_reference: str | None
    added_at: datetime


class ReviewReply(msgspec.Struct):
    """An answer to a review; `text` is sealed."""

    author: str
    text: str
    replied_at: datetime


class Review(msgspec.Struct):
    """What a customer thinks of one line; `text` is sealed."""

    sku_id: UUID
    score: int
    text: str | None
    photos: list[str]
    posted_at: datetime
    reply_by: datetime
    republish: bool
    external_reference: str | None
    addition: ReviewAddition | None = None
    replies: list[ReviewReply] = []
    waits_since: datetime | None = None
    """Since when the customer waits for an answer, to the review or to what was added after the last answer; None for
    what is hidden."""
    flag_reason: FlagReason | None = None
    """Of the last flag."""
    flagged_by: str | None = None
    flagged_at: datetime | None = None
    upheld: bool | None = None
    """What was decided on the last flag; None until that."""
    decided_by: Arbiter | None = None
    decided_at: datetime | None = None
    decision_reason: str | None = None

    @classmethod
    def of(cls, event: ReviewPosted) -> Review:
        """Return a review that was posted."""
        return cls(
            sku_id=event.sku_id,
            score=event.score,
            text=event.text,
            photos=list(event.photos),
            posted_at=event.occurred_at,
            reply_by=event.reply_by,
            republish=event.republish,
            external_reference=event.external_reference,
            waits_since=event.occurred_at,
        )

    @property
    def status(self) -> ReviewStatus:
        """How it stands."""
        if self.upheld:
            return ReviewStatus.HIDDEN
        waits = self.flagged_at is not None and self.upheld is None
        return ReviewStatus.FLAGGED if waits else ReviewStatus.SHOWN

    def take_in(self, event: ReviewStep) -> None:
        """Fold a step."""
        at = event.occurred_at
        match event:
            case ReviewSupplemented():
                self.addition = ReviewAddition(event.text, list(event.photos), event.external_reference, at)
                self.waits_since = self.waits_since or at
            case ReviewReplied():
                self.replies.append(ReviewReply(event.author, event.text, at))
                self.waits_since = None
            case ReviewFlagged():
                self.flag_reason, self.flagged_by, self.flagged_at = event.reason, event.flagged_by, at
                self.upheld = self.decided_by = self.decided_at = self.decision_reason = None
            case ReviewDecided():
                self.upheld, self.decided_by, self.decided_at = event.upheld, event.decided_by, at
                self.decision_reason = event.reason
                self.waits_since = None if event.upheld else self.waits_since
            case ReviewConsentSet():
                self.republish = event.granted


# How it says no ------------------------------------------------------------------------------------------------------


class NotCompleted(Refusal):
    """The sale is not final: the order is {state}; review it once it is completed."""


class AlreadyReviewed(Refusal):
    """This was reviewed already, and a review is never changed; add to it with supplementReview."""


class ReviewWindowClosed(Refusal):
    """The time for this ended at {until}; the store's policy 'reviews' says how many days there are."""


class ReviewSourceMissing(Refusal):
    """Staff do not write reviews, they record those written elsewhere: give the platform's reference of it."""


class SellerCannotDecide(Refusal):
    """On the platform {platform} the seller does not decide what is malicious; record the platform's decision."""

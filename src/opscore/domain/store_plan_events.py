"""What a store plans and what it is run with: sales targets, budgets, capital, hero articles; and how it says no.

Months are those of the store's calendar, named by their first day. What this adds up to is in store_plan_state.py.
"""

from __future__ import annotations

import enum
from datetime import date
from uuid import UUID

from opscore.domain.aggregate import Event
from opscore.domain.refusals import Refusal

# What is on record ---------------------------------------------------------------------------------------------------


class TargetMeasure(enum.StrEnum):
    """Which sales a target is about."""

    GMV = "gmv"
    """Goods at their price after discounts, by the day of payment; refunds do not lower it."""
    NET_SALES = "net_sales"
    """The same less the goods that were refunded, by the day of the refund."""


class Fund(enum.StrEnum):
    """What a part of a store's money is for."""

    PURCHASING = "purchasing"
    """Buying goods."""
    WORKING = "working"
    """Freight and whatever else running the store takes."""
    OTHER = "other"
    """What stays: fixed funds, deposits."""


class SalesTargetSet(Event):
    """A store is to sell this much in a month; 0 takes the target back. What was said last holds."""

    month: date
    measure: TargetMeasure
    amount_minor: int
    currency: str


class BudgetSet(Event):
    """So much may be spent on a category of expenses in a month, for which somebody answers; the last word holds.

    `responsible` is the pseudonym that their tokens carry and that events name as the actor.
    """

    month: date
    category: str
    amount_minor: int
    currency: str
    responsible: str


class CapitalInvested(Event):
    """Money was put into a store: so much of it into each of its funds, by the policy `capital_split` of that moment.

    source: who put it in, or under which contract. policy_version: 0 is the default.
    """

    amount_minor: int
    currency: str
    policy_version: int
    purchasing_minor: int
    working_minor: int
    other_minor: int
    source: str | None = None


class FundsMoved(Event):
    """Money that was for one purpose is for another one from now on."""

    from_fund: Fund
    to_fund: Fund
    amount_minor: int
    currency: str
    reason: str


class HeroSkusSet(Event):
    """These articles are what a store is about to sell most of in a month: its hero articles, the first one first.

    They are so from the first day of the month, or from the day of this event where that is later, until the list of a
    later month or another one of the same month takes their place.
    """

    month: date
    sku_ids: tuple[UUID, ...]


# How it says no ------------------------------------------------------------------------------------------------------


class PeriodSettled(Refusal):
    """The month from {month} is over in this store, or its books are closed; name a later month."""


class BelowCommitted(Refusal):
    """{spent_minor} minor units of '{category}' are spent in the month from {month}; allow that much or more."""


class HeroCountOutOfRange(Refusal):
    """A store has {least} to {most} different hero articles, and these are {count}; name as many as it may have."""

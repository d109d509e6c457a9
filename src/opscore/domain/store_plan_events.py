"""What a store plans and what it is run with: sales targets and operating budgets, and how it says no to them.

Months are those of the store's calendar, named by their first day. What this adds up to is in store_plan_state.py.
"""

from __future__ import annotations

import enum
from datetime import date

from opscore.domain.aggregate import Event
from opscore.domain.refusals import Refusal

# What is on record ---------------------------------------------------------------------------------------------------


class TargetMeasure(enum.StrEnum):
    """Which sales a target is about."""

    GMV = "gmv"
    """Goods at their price after discounts, by the day of payment; refunds do not lower it."""
    NET_SALES = "net_sales"
    """The same less the goods that were refunded, by the day of the refund."""


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


# How it says no ------------------------------------------------------------------------------------------------------


class PeriodSettled(Refusal):
    """The month from {month} is over in this store, or its books are closed; set a target for a later month."""


class BelowCommitted(Refusal):
    """{spent_minor} minor units of '{category}' are spent in the month from {month}; allow that much or more."""

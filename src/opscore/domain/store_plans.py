"""What a store is to sell in a month, and what running it may cost, category by category.

A target is said before its month is over, so that nobody aims at what they hit; until then the last word holds. A
budget stops no expense, because what was spent was spent: it says who answers for it, and figures what became of it.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.calendars import month_of, require_month
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.refusals import CurrencyMismatch, Refusal
from opscore.domain.store import Store
from opscore.domain.store_commands import CASHIERS, StoreId
from opscore.domain.store_plan_events import BelowCommitted, BudgetSet, PeriodSettled, SalesTargetSet, TargetMeasure
from opscore.domain.store_plan_state import OperatingBudget, SalesTarget, budget_key
from opscore.domain.values import Code, Currency, NonNegativeMinor

Month = Annotated[date, Meta(description="The month, by its first day in the store's calendar.")]

# What may happen next ------------------------------------------------------------------------------------------------


def require_not_settled(store: Store, month: date, at: datetime) -> None:
    """Refuse InvalidField for a day that begins no month; PeriodSettled once the month is over or its books closed."""
    require_month(month)
    closed = store.books_closed_through
    begun = [store.local_date(at), *([] if closed is None else [closed + timedelta(days=1)])]
    if any(month_of(day) > month for day in begun):
        raise PeriodSettled(month=month, path=("month",), ids=[store.id])


def set_sales_target(
    store: Store, month: date, measure: TargetMeasure, amount_minor: int, currency: str, at: datetime
) -> None:
    """Say what the store is to sell in a month that is not over; 0 takes the target back.

    Refuses: WrongState (the store is closed), CurrencyMismatch, InvalidField (no first day), PeriodSettled.
    """
    store.require_not_closed()
    store.require_currency(currency)
    require_not_settled(store, month, at)
    known = store.plans.sales_targets.get(month.isoformat())
    if (known is None and not amount_minor) or known == SalesTarget(measure=measure, amount_minor=amount_minor):
        return
    store.trigger_event(
        SalesTargetSet, month=month, measure=measure, amount_minor=amount_minor, currency=currency, occurred_at=at
    )


def set_budget(
    store: Store, month: date, category: str, amount_minor: int, currency: str, responsible: str, at: datetime
) -> None:
    """Say what a category of expenses may come to in a month, and who answers for it.

    Refuses: WrongState (the store is closed), CurrencyMismatch, InvalidField (no first day), BelowCommitted.
    """
    store.require_not_closed()
    store.require_currency(currency)
    require_month(month)
    key = budget_key(month, category)
    known = store.plans.budgets.get(key)
    if known == OperatingBudget(amount_minor=amount_minor, responsible=responsible):
        return
    spent_minor = store.plans.spent.get(key, 0)
    # Somebody else may take over a budget that was not kept.
    if amount_minor < spent_minor and (known is None or known.amount_minor != amount_minor):
        raise BelowCommitted(
            spent_minor=spent_minor, category=category, month=month, path=("amount_minor",), ids=[store.id]
        )
    store.trigger_event(
        BudgetSet,
        month=month,
        category=category,
        amount_minor=amount_minor,
        currency=currency,
        responsible=responsible,
        occurred_at=at,
    )


# What may be asked for -----------------------------------------------------------------------------------------------


class SetSalesTarget(Command):
    """Say what a store is to sell in a month; until the month is over, the last word holds."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (PeriodSettled, CurrencyMismatch)

    store_id: StoreId
    month: Month
    amount_minor: Annotated[NonNegativeMinor, Meta(description="Amount in minor units; 0 takes the target back.")]
    currency: Annotated[Currency, Meta(description="Its currency.")]
    measure: Annotated[TargetMeasure, Meta(description="Which sales count towards it.")] = TargetMeasure.GMV

    def decide(self, work: UnitOfWork) -> UUID:
        """Set it, unless it would be told what came of the month first. Asked twice, recorded once."""
        store = work.store(self.store_id)
        set_sales_target(store, self.month, self.measure, self.amount_minor, self.currency, work.occurred_at)
        return store.id


class SetBudget(Command):
    """Say what a category of expenses may come to in a month, and who answers for it; the last word holds."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = CASHIERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (BelowCommitted, CurrencyMismatch)

    store_id: StoreId
    month: Month
    category: Annotated[
        Code, Meta(description="The category of costs, as K104E names them: rent, freight, packing, platform_fee, ...")
    ]
    amount_minor: Annotated[NonNegativeMinor, Meta(description="Amount in minor units; 0 allows nothing.")]
    currency: Annotated[Currency, Meta(description="Its currency.")]
    responsible: Annotated[Code, Meta(description="Who answers for it: the name that their tokens carry.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Compare with what is spent already. Asked twice, recorded once."""
        store = work.store(self.store_id)
        set_budget(
            store, self.month, self.category, self.amount_minor, self.currency, self.responsible, work.occurred_at
        )
        return store.id

"""What a store's plans add up to: sales to come, what running it may cost and did cost, its capital, its heroes."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import msgspec

from opscore.domain.calendars import month_of
from opscore.domain.store_events import ExpenseRecorded
from opscore.domain.store_plan_events import (
    BudgetSet,
    CapitalInvested,
    FundsMoved,
    HeroSkusSet,
    SalesTargetSet,
    TargetMeasure,
)
from opscore.domain.values import Value

PlanEvent = SalesTargetSet | BudgetSet | ExpenseRecorded | CapitalInvested | FundsMoved | HeroSkusSet


class SalesTarget(Value):
    """What is to be sold in a month, in minor units of the store's currency."""

    measure: TargetMeasure
    amount_minor: int


class OperatingBudget(Value):
    """What a category of expenses may come to in a month, in minor units, and who answers for it: a pseudonym."""

    amount_minor: int
    responsible: str


class StorePlans(Value):
    """What a store plans, what was spent, and what was put into it: amounts in minor units of its currency.

    sales_targets: by the first day of the month (ISO); none of a month without a target. budgets and spent: by month
    and category (`budget_key`); spent counts what no budget allows for as well. hero_skus: by the month whose list it
    is, as it was said last.
    """

    sales_targets: dict[str, SalesTarget] = {}
    budgets: dict[str, OperatingBudget] = {}
    spent: dict[str, int] = {}
    capital_minor: int = 0
    hero_skus: dict[str, tuple[UUID, ...]] = {}


def budget_key(day: date, category: str) -> str:
    """Return the month of a day and a category of expenses as one text: '2024-03-01 rent'."""
    return f"{month_of(day)} {category}"


def heroes_on(plans: StorePlans, day: date) -> tuple[UUID, ...]:
    """Return the hero articles of a day of the store, by what is on record now; none before the first list."""
    begun = [month for month in plans.hero_skus if month <= day.isoformat()]
    return plans.hero_skus[max(begun)] if begun else ()


def planned(plans: StorePlans, event: PlanEvent, day: date) -> StorePlans:
    """Return the plans as they are after an event of a day of the store."""
    match event:
        case SalesTargetSet():
            targets = {month: each for month, each in plans.sales_targets.items() if month != event.month.isoformat()}
            if event.amount_minor:
                target = SalesTarget(measure=event.measure, amount_minor=event.amount_minor)
                targets[event.month.isoformat()] = target
            return msgspec.structs.replace(plans, sales_targets=targets)
        case BudgetSet():
            budget = OperatingBudget(amount_minor=event.amount_minor, responsible=event.responsible)
            kept = {**plans.budgets, budget_key(event.month, event.category): budget}
            return msgspec.structs.replace(plans, budgets=kept)
        case ExpenseRecorded():
            key = budget_key(day, event.category)
            spent = {**plans.spent, key: plans.spent.get(key, 0) + event.amount_minor}
            return msgspec.structs.replace(plans, spent=spent)
        case CapitalInvested():
            return msgspec.structs.replace(plans, capital_minor=plans.capital_minor + event.amount_minor)
        case FundsMoved():
            # What is in a fund is told by figures: a store does not know what its orders brought.
            return plans
        case HeroSkusSet():
            lists = {**plans.hero_skus, event.month.isoformat(): event.sku_ids}
            return msgspec.structs.replace(plans, hero_skus=lists)

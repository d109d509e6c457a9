"""What a store plans, as the API shows it."""

from __future__ import annotations

from datetime import date

import strawberry

from opscore.api.enums import expose
from opscore.api.money import Money, money
from opscore.domain import store as domain
from opscore.domain.store_plan_events import Fund, TargetMeasure

expose(TargetMeasure)
expose(Fund)


@strawberry.type(description="What a store is to sell in a month; what came of it is the key figure K025.")
class SalesTarget:
    month: date = strawberry.field(description="The month, by its first day in the store's calendar.")
    measure: TargetMeasure = strawberry.field(description="Which sales count towards it.")
    amount: Money = strawberry.field(description="How much is to be sold.")


@strawberry.type(
    description="What a category of expenses may come to in a month; what came of it over months and stores is the "
    "key figure K104B."
)
class OperatingBudget:
    month: date = strawberry.field(description="The month, by its first day in the store's calendar.")
    category: str = strawberry.field(description="The category of costs.")
    amount: Money = strawberry.field(description="How much may be spent.")
    spent: Money = strawberry.field(
        description="Expenses that were booked; more than the budget where it was not kept. K104B counts all costs."
    )
    responsible: str = strawberry.field(description="Who answers for it: the pseudonym that events name as the actor.")


def sales_targets(store: domain.Store) -> list[SalesTarget]:
    """Return the targets of a store, by month."""
    return [
        SalesTarget(
            month=date.fromisoformat(month), measure=each.measure, amount=money(each.amount_minor, store.currency)
        )
        for month, each in sorted(store.plans.sales_targets.items())
    ]


def budgets(store: domain.Store) -> list[OperatingBudget]:
    """Return the budgets of a store, by month and category."""
    found = []
    for key, each in sorted(store.plans.budgets.items()):
        month, _, category = key.partition(" ")
        found.append(
            OperatingBudget(
                month=date.fromisoformat(month),
                category=category,
                amount=money(each.amount_minor, store.currency),
                spent=money(store.plans.spent.get(key, 0), store.currency),
                responsible=each.responsible,
            )
        )
    return found

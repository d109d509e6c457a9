"""Figures of what running a store costs: whatever is on record of it, each cost once, under its category."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from opscore import kpis
from opscore.kpis import KpiGrain, OneCell
from opscore.projector import Projector
from tests.projections.kpi_cells import KPIS, asked, built, sold, values
from tests.projections.logs import Log, Trade

MONEY = {"currency": "GBP"}
JANUARY = date(2025, 1, 1)
ENDED = {"ending": "noticed", "last_day": JANUARY, "fee_paid_minor": 90, "fee_due_minor": 60, "unpaid_minor": 0}
SETTLED = {
    "month": date(2024, 12, 1), "scheme_version": 1, "known_at_position": 1, "net_sales_minor": 900, "growth": None,
    "growth_factor": Decimal(1), "grade": None, "grade_factor": Decimal(1), "lines": (), "corrections": (),
    "settled_by": "ann",
}  # fmt: skip
CLAIM = {"courier": "post"}


def of_store(world: Trade, name: str, **fields: Any) -> None:
    """Record something of the first store, in pounds."""
    world.record(name, world.stores[0], 0, **{**MONEY, **fields})


def advertise(world: Trade, day: date, minor: int, revision: int = 1) -> None:
    """Report what advertising of the first campaign cost on a day."""
    report = {"day": day, "channel": "search", "impressions": 9, "clicks": 1, "revision": revision}
    world.record("AdSpendRecorded", world.campaigns[0], 0, **report, cost_minor=minor, **MONEY)


def by_category(projector: Projector, code: str = "K104E", **more: Any) -> dict[str | None, Fraction | None]:
    found = kpis.cells(projector, KPIS, KPIS[code], asked(by="category", **more))
    return {key[3]: cell.value for key, cell in found.items()}


EXAMPLES: dict[str, tuple[dict[str, Any], str, int]] = {
    "ExpenseRecorded": ({"category": "rent", "amount_minor": 40}, "rent", 40),
    "ServiceFeePaid": ({"amount_minor": 600, "policy_version": 0}, "platform_fee", 600),
    "DepositDeducted": ({"amount_minor": 30, "reason": "fakes", "case_reference": "T1"}, "penalty", 30),
    "CompensationPaid": ({"amount_minor": 25, "kind": "late", "borne_by": "courier"}, "compensation", 25),
    "AgreementFeePaid": ({"amount_minor": 90}, "agency_fee", 90),
    "AgreementEnded": ({"refund_minor": 30, **ENDED}, "agency_fee", -30),
    "CommissionSettled": ({"amount_minor": 45, **SETTLED}, "commission", 45),
    "CourierClaimSettled": ({"amount_minor": 80, **CLAIM}, "courier_claim", -80),
    "SupplierDepositReleased": ({"amount_minor": 200, "withheld_minor": 50}, "supplier_claim", -50),
}
"""Of each event that costs a store something or makes good what was spent: an example, its category, and the cost."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_kind_of_cost_lowers_profit_under_its_category_and_is_named_behind_it(
    log: Log, projector: Projector, name: str
) -> None:
    fields, category, cost = EXAMPLES[name]
    world = log.world()
    made = world.made_id("one", 1)
    ids: dict[str, dict[str, Any]] = {
        "CompensationPaid": {
            "compensation_id": made, "dispute_id": made, "customer_id": None, "provider_reference": None
        },
        "AgreementFeePaid": {"agreement_id": made, "reference": None, "first_plan_due_by": None},
        "AgreementEnded": {"agreement_id": made, "access_until": world.now},
        "CourierClaimSettled": {"parcel_id": made},
        "SupplierDepositReleased": {"supplier_id": made},
    }  # fmt: skip
    sold(world, 0, 10)
    of_store(world, "CapitalInvested", amount_minor=1000, purchasing_minor=700, working_minor=200, other_minor=100,
             policy_version=0)  # fmt: skip
    stream = world.orders[0].id if name in ("CompensationPaid", "CourierClaimSettled") else world.stores[0]
    world.record(name, stream, 0, **{**MONEY, **fields, **ids.get(name, {})})
    # What is frozen is an asset, and what comes back of it no income.
    of_store(world, "DepositFrozen", amount_minor=10_000, policy_version=0)
    of_store(world, "DepositReleased", amount_minor=4_000)
    built(log, projector, world)

    [sales] = values(projector, "K023", asked())
    assert sales
    assert values(projector, "K104E", asked()) == [cost]
    assert by_category(projector) == {category: cost}
    assert values(projector, "K104", asked()) == [cost / sales]
    assert by_category(projector, "K104") == {category: cost / sales}
    assert values(projector, "K104U", asked()) == [cost], "nobody set a budget"
    assert values(projector, "K100", asked()) == [sales - cost]
    assert values(projector, "K103", asked()) == [(sales - cost) / 1000]

    cell = OneCell(currency="GBP", part=category)
    behind = kpis.facts(projector, KPIS["K104E"], KPIS["K104E"].numerator, asked(by="category"), cell)
    assert [(row["event"], row["amount"]) for row in behind] == [(name, cost)]
    behind = kpis.facts(projector, KPIS["K100"], KPIS["K100"].numerator, asked(), OneCell(currency="GBP"))
    assert (name, -cost) in {(row["event"], row["amount"]) for row in behind}
    assert not projector.check(["costs", "funds"])


def test_profit_is_what_all_costs_leave_of_the_margin(log: Log, projector: Projector) -> None:
    """The worked example: rent of 40, of which 10 is corrected, a service fee of 600, a deposit of 10,000 and so on."""
    world = log.world()
    sold(world, 0, 10)
    advertise(world, JANUARY, 15)
    of_store(world, "DepositFrozen", amount_minor=10_000, policy_version=0)
    for minor in (40, -10):
        of_store(world, "ExpenseRecorded", category="rent", amount_minor=minor, reason="as booked")
    of_store(world, "ServiceFeePaid", amount_minor=600, policy_version=0)
    of_store(world, "DepositDeducted", amount_minor=30, reason="fakes", case_reference=None)
    of_store(world, "CommissionSettled", amount_minor=45, **SETTLED)
    # Recorded by a command of its own, and booked beside it for something else of the same kind.
    of_store(world, "ExpenseRecorded", category="platform_fee", amount_minor=7)
    built(log, projector, world)

    assert by_category(projector) == {
        "rent": 30, "platform_fee": 607, "penalty": 30, "commission": 45, "advertising": 15,
    }  # fmt: skip
    [margin] = values(projector, "K098", asked())
    assert margin
    assert values(projector, "K100", asked()) == [margin - (30 + 607 + 30 + 45 + 15)]
    assert values(projector, "K105", asked()) == [10_000 - 30], "an asset, less what is lost of it"


def test_advertising_is_counted_as_reported_and_what_pays_for_it_is_no_cost_once_more(
    log: Log, projector: Projector
) -> None:
    world = log.world()

    def pay(category: str = "advertising", **more: Any) -> None:
        of_store(world, "ExpenseRecorded", category=category, amount_minor=50, **more)

    pay()  # In January of 2025, of which there is no report yet.
    then = log.append(world)
    advertise(world, date(2025, 1, 20), 40)
    advertise(world, date(2025, 1, 20), 45, revision=2)
    world.pass_time(45 * 24 * 60)
    pay(campaign_id=world.campaigns[0])  # The bill for January, and a flyer for the same campaign.
    pay("print", campaign_id=world.campaigns[0])
    world.pass_time(60 * 24 * 60)
    pay()  # Long after the last report: somebody books what nobody reports.
    built(log, projector, world)

    months = asked(KpiGrain.MONTH)
    assert values(projector, "K104E", months) == [45, 50, 50]
    assert by_category(projector) == {"advertising": 45 + 50, "print": 50}
    assert values(projector, "K104E", asked(as_of=then)) == [50], "as it was known before the report"
    assert values(projector, "K064", asked(campaign_id=world.campaigns[0])) == [-45 - 50]
    assert values(projector, "K104", asked(campaign_id=world.campaigns[0])) == [None], "nothing was sold in it"


def test_commission_is_counted_as_settled_and_what_pays_for_it_is_no_cost_once_more(
    log: Log, projector: Projector
) -> None:
    world = log.world()
    of_store(world, "ExpenseRecorded", category="commission", amount_minor=11)
    world.pass_time(100 * 24 * 60)
    of_store(world, "CommissionSettled", amount_minor=45, **SETTLED)
    for _ in range(3):  # In the month of the settlement, in the next one, and in the one after that.
        of_store(world, "ExpenseRecorded", category="commission", amount_minor=50)
        world.pass_time(31 * 24 * 60)
    # In another store nothing is settled.
    world.store_fact(1, 0)
    world.record("ExpenseRecorded", world.stores[1], 1, category="commission", amount_minor=50, **MONEY)
    built(log, projector, world)

    assert values(projector, "K104E", asked(KpiGrain.MONTH, store_ids=[world.stores[0]])) == [11, 45, 50]
    assert values(projector, "K104E", asked(store_ids=[world.stores[1]])) == [50]


def test_costs_are_set_against_the_budgets_of_their_month_whatever_they_are_recorded_by(
    log: Log, projector: Projector
) -> None:
    world = log.world()
    for category, minor in (("platform_fee", 500), ("advertising", 30), ("penalty", 0)):
        of_store(world, "BudgetSet", month=JANUARY, category=category, amount_minor=minor, responsible="ann")
    of_store(world, "ServiceFeePaid", amount_minor=600, policy_version=0)
    of_store(world, "ExpenseRecorded", category="rent", amount_minor=40)
    february = JANUARY + timedelta(days=31)
    for day in (JANUARY, february, february + timedelta(days=28)):
        advertise(world, day, 15)
    agreed = {"month": february, "budget_minor": 20}
    world.record("AdBudgetAgreed", world.campaigns[0], 0, **agreed, **MONEY)
    built(log, projector, world)

    assert values(projector, "K104B", asked(KpiGrain.MONTH)) == [Fraction(600 + 15, 530)]
    assert by_category(projector, "K104B") == {
        "platform_fee": Fraction(600, 500), "advertising": Fraction(15, 30), "penalty": None,
    }  # fmt: skip
    # In February advertising was agreed with the campaign (K072M), in March nowhere.
    assert by_category(projector, "K104U") == {"rent": 40, "advertising": 15}
    assert values(projector, "K104U", asked(KpiGrain.MONTH)) == [40, 15]
    assert not projector.check(["costs"])


def test_what_an_agency_is_paid_leaves_working_capital_and_what_it_pays_back_returns(
    log: Log, projector: Projector
) -> None:
    world = log.world()
    fee = {"agreement_id": world.made_id("agreement", 1), "reference": None, "first_plan_due_by": None}
    of_store(world, "AgreementFeePaid", amount_minor=90, **fee)
    world.pass_time(2 * 24 * 60)
    of_store(
        world, "AgreementEnded", refund_minor=30, agreement_id=fee["agreement_id"], access_until=world.now, **ENDED
    )
    built(log, projector, world)

    working = values(projector, "K101W", asked(KpiGrain.DAY, of=(JANUARY, date(2025, 1, 5))))
    assert (working[0], working[-1]) == (-90, -60)
    assert values(projector, "K101P", asked()) == []

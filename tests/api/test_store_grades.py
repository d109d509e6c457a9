"""The grades of stores over the API: what they go by, what another version would make of it, what was settled."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.command import Role
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.order_refunds import RefundOrder
from opscore.domain.staff import AssignStaffRole
from opscore.domain.store_commands import SetPolicy
from opscore.domain.store_events import StaffRole
from opscore.domain.store_plan_events import TargetMeasure
from opscore.domain.store_plans import SetSalesTarget
from tests.api.conftest import Api, gid
from tests.shop import Shop

GRADES = """
query ($stores: [ID!]!, $month: Date!, $version: Int, $asOf: KpiAsOf, $atLeast: Position) {
  storeGrades(storeIds: $stores, month: $month, policyVersion: $version, asOf: $asOf, atLeast: $atLeast) {
    storeId month grade policyVersion settledGrade knownAtPosition
    figures { attainment growth margin breachShare }
    terms { grade attainmentMin growthMin marginMin breachShareMax met }
  }
}
"""
COMMISSIONS = """
query ($store: ID!, $month: Date!, $asOf: KpiAsOf) {
  commissions(storeId: $store, month: $month, asOf: $asOf) {
    grade gradeFactor lines { agent due { amountMinor } } settlement { grade knownAtPosition lines { agent } }
  }
}
"""
ERRORS = "position userErrors { code message path }"
DECEMBER = datetime(2023, 12, 20, tzinfo=UTC)
TERMS = [
    {"grade": "A", "attainment_min": "1.2", "breach_share_max": "0.5"},
    {"grade": "B", "attainment_min": "1", "growth_min": "-0.1"},
    {"grade": "C"},
]


class Graded:
    """A store whose target for January 2024 was 400 pounds, and whose staff sold it 490."""

    def __init__(self, api: Api, *, terms: list[dict[str, str]] = TERMS) -> None:
        self.api = api
        self.shop = Shop.open(api.server.writer, f"Shop {uuid4()}")
        self.store = gid("Store", self.shop.store_id)
        store_id = self.shop.store_id
        january, net = date(2024, 1, 1), TargetMeasure.NET_SALES
        self.shop.do(
            SetSalesTarget(store_id=store_id, month=january, amount_minor=40_000, currency="GBP", measure=net),
            occurred_at=DECEMBER,
        )
        for person, role in (("ann", StaffRole.MANAGER), ("sue", StaffRole.SERVICE)):
            self.shop.do(AssignStaffRole(store_id=store_id, person=person, role=role, from_day=date(2023, 1, 1)))
        self.policy(*terms)
        self.sku = self.shop.sku(stock=1000)
        self.orders = [self.sell(day, pounds, agent) for day, pounds, agent in ((5, 150, "sue"), (9, 340, None))]

    def policy(self, *terms: dict[str, str]) -> None:
        policy = SetPolicy(store_id=self.shop.store_id, kind="store_grades", params={"grades": list(terms)})
        self.shop.do(policy, occurred_at=DECEMBER)

    def sell(self, day: int, pounds: int, agent: str | None) -> UUID:
        line = RecordedLine(sku_id=self.sku, quantity=Decimal(1), unit_price=Decimal(pounds))
        order = RecordOrder(store_id=self.shop.store_id, lines=(line,), assisted_by=agent)
        return self.shop.do(order, occurred_at=datetime(2024, 1, day, 12, tzinfo=UTC))

    def refund(self, pounds: int, day: int = 30) -> None:
        """Give money of the larger order back."""
        back = RefundOrder(order_id=self.orders[1], other_minor=pounds * 100)
        self.shop.do(back, occurred_at=datetime(2024, 1, day, 12, tzinfo=UTC))

    def scheme(self, **terms: Any) -> None:
        tiers = [{"fromMinor": 0, "rate": "0.02"}]
        given = {"storeId": self.store, "effectiveMonth": "2024-01-01", "tiers": tiers, **terms}
        assert self.api.give("proposeCommissionScheme", ERRORS, given)["userErrors"] == []
        approval = {"storeId": self.store, "schemeVersion": 1}
        second = self.api.token(Role.MANAGER, name="second")
        assert self.api.give("approveCommissionScheme", ERRORS, approval, token=second)["userErrors"] == []

    def head(self) -> int:
        return self.api.server.services.log.head().position

    def grade(self, token: str = "", **asked: Any) -> dict[str, Any]:
        given = {"stores": [self.store], "month": "2024-01-17", "atLeast": self.head(), **asked}
        [found] = self.api.ask(GRADES, given, token=token)["storeGrades"]
        return dict(found)


@pytest.fixture
def graded(api: Api) -> Graded:
    return Graded(api)


def test_a_month_is_graded_by_target_growth_margin_and_broken_promises(graded: Graded) -> None:
    month = graded.grade()
    assert month["month"] == "2024-01-01" and month["storeId"] == graded.store
    assert month["figures"] == {"attainment": "1.225", "growth": None, "margin": "1", "breachShare": "1"}
    # Of the two orders none was shipped; without a base no growth is known.
    assert [(each["grade"], each["met"]) for each in month["terms"]] == [("A", False), ("B", False), ("C", True)]
    assert (month["grade"], month["policyVersion"], month["settledGrade"]) == ("C", 1, None)
    graded.scheme(baseMinor=50_000)
    month = graded.grade()
    assert (month["figures"]["growth"], month["grade"]) == ("-0.02", "B")
    known = graded.head()
    graded.refund(100)
    month = graded.grade()
    assert (month["figures"]["attainment"], month["figures"]["growth"], month["grade"]) == ("0.975", "-0.22", "C")
    then = graded.grade(asOf={"position": known})
    assert (then["grade"], then["knownAtPosition"]) == ("B", known)


def test_another_version_of_the_policy_shows_what_it_would_make_of_the_month(api: Api, graded: Graded) -> None:
    strict = SetPolicy(
        store_id=graded.shop.store_id, kind="store_grades", params={"grades": [{"grade": "gold", "margin_min": "1.1"}]}
    )
    graded.shop.do(strict)
    month = graded.grade()
    assert (month["grade"], month["policyVersion"]) == ("C", 1), "what is set later grades no month that has begun"
    other = graded.grade(version=2)
    assert (other["grade"], other["policyVersion"], other["terms"][0]["marginMin"]) == (None, 2, "1.1")
    given = {"stores": [graded.store], "month": "2024-01-01", "version": 3}
    [error] = api.errors(GRADES, given)
    assert error["extensions"]["code"] == "BAD_USER_INPUT" and "no version 3" in error["message"]


def test_stores_are_graded_side_by_side_in_the_order_asked_for(api: Api, graded: Graded) -> None:
    other = Graded(api, terms=[{"grade": "only", "attainment_min": "1.225"}])
    bare = Shop.open(api.server.writer, f"Shop {uuid4()}")
    stores = [gid("Store", bare.store_id), other.store, graded.store, other.store]
    given = {"stores": stores, "month": "2024-01-01", "atLeast": graded.head()}
    found = api.ask(GRADES, given)["storeGrades"]
    assert [(each["storeId"], each["grade"], each["policyVersion"]) for each in found] == [
        (stores[0], None, 0),
        (stores[1], "only", 1),
        (stores[2], "C", 1),
    ]
    assert found[0]["figures"] == {"attainment": None, "growth": None, "margin": None, "breachShare": None}
    own = api.ask(GRADES, given, token=api.token(Role.MANAGER, stores=(other.shop.store_id,)))["storeGrades"]
    assert [each["storeId"] for each in own] == [other.store]


@pytest.mark.parametrize("asked", [{"stores": []}, {"month": "0001-01-01"}, {"asOf": {"position": "99999999"}}])
def test_what_cannot_be_graded_is_said(api: Api, graded: Graded, asked: dict[str, Any]) -> None:
    [error] = api.errors(GRADES, {"stores": [graded.store], "month": "2024-01-01", **asked})
    assert error["extensions"]["code"] in ("BAD_USER_INPUT", "INVALID_PAGE_SIZE")


def test_who_sees_no_figures_sees_no_grades(api: Api, graded: Graded) -> None:
    given = {"stores": [graded.store], "month": "2024-01-01"}
    for role in (Role.STOREFRONT, Role.WAREHOUSE):
        [error] = api.errors(GRADES, given, token=api.token(role))
        assert error["extensions"]["code"] == "FORBIDDEN"
    assert graded.grade(token=api.token(Role.AUDITOR))["grade"] == "C"


def test_commissions_are_settled_by_the_grade_of_the_month_and_the_grade_stays(api: Api, graded: Graded) -> None:
    factors = [{"grade": grade, "factor": factor} for grade, factor in (("A", "3"), ("B", "2"), ("C", "1"))]
    graded.scheme(baseMinor=50_000, grades=factors)
    graded.grade()  # So far the read models are, then.
    running = api.ask(COMMISSIONS, {"store": graded.store, "month": "2024-01-01"})["commissions"]
    assert (running["grade"], running["gradeFactor"]) == ("B", "2")
    assert running["lines"] == [{"agent": "sue", "due": {"amountMinor": 600}}]
    settled = api.give("settleCommission", ERRORS, {"storeId": graded.store, "month": "2024-01-01"})
    assert settled["userErrors"] == []
    graded.refund(300)
    month = graded.grade()
    assert (month["grade"], month["settledGrade"]) == ("C", "B")
    # Now it would be another grade; as of the position of the settlement it is what was settled.
    now = api.ask(COMMISSIONS, {"store": graded.store, "month": "2024-01-01"})["commissions"]
    assert (now["grade"], now["settlement"]["grade"]) == ("C", "B")
    then = {"position": now["settlement"]["knownAtPosition"]}
    again = api.ask(COMMISSIONS, {"store": graded.store, "month": "2024-01-01", "asOf": then})["commissions"]
    assert (again["grade"], again["lines"]) == ("B", running["lines"])

"""What staff sell and what they are due of it: counted by agent, under an approved scheme, settled month by month."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.command import Role
from opscore.domain.order_assists import NameOrderAgent
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.order_refunds import RefundOrder
from opscore.domain.staff import AssignStaffRole
from opscore.domain.store_events import StaffRole
from tests.api.conftest import Api, gid
from tests.shop import Shop

ERRORS = "position replayed userErrors { code message path }"
LINES = """
lines {
  agent netSales { amountMinor } due { amountMinor } correction { amountMinor } withheld { amountMinor }
  amount { amountMinor }
}
"""
SETTLED = f"""
month schemeVersion knownAtPosition settledBy netSales {{ amountMinor }} growth growthFactor grade gradeFactor {LINES}
corrections {{ month agent netSales {{ amountMinor }} due {{ amountMinor }} amount {{ amountMinor }} }}
amount {{ amountMinor }}
"""
COMMISSIONS = f"""
query ($store: ID!, $month: Date!, $asOf: KpiAsOf, $atLeast: Position) {{
  commissions(storeId: $store, month: $month, asOf: $asOf, atLeast: $atLeast) {{
    month knownAtPosition netSales {{ amountMinor }} growth growthFactor gradeFactor
    scheme {{ schemeVersion grade }} {LINES} settlement {{ {SETTLED} }}
  }}
}}
"""
KPI = """
query ($code: String!, $stores: [ID!], $agent: String, $by: KpiSlice, $asOf: KpiAsOf, $atLeast: Position) {
  kpi(
    code: $code, fromDay: "2024-01-01", toDay: "2024-01-31", grain: MONTH, storeIds: $stores, agent: $agent, by: $by
    asOf: $asOf, atLeast: $atLeast
  ) { slices rows { slice value } }
}
"""
EXPLAIN = """
query ($stores: [ID!], $agent: String!, $asOf: KpiAsOf) {
  explainKpi(
    code: "K109B", fromDay: "2024-01-01", toDay: "2024-01-31", grain: MONTH, side: NUMERATOR, storeIds: $stores
    by: AGENT, slice: $agent, asOf: $asOf, first: 50
  ) { nodes { event orderId amount } }
}
"""


class Team:
    """A store of its own in which Sue and Tim serve, with what was sold in January 2024."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.shop = Shop.open(api.server.writer, f"Shop {uuid4()}")
        self.store = gid("Store", self.shop.store_id)
        for person, role in (("ann", StaffRole.MANAGER), ("sue", StaffRole.SERVICE), ("tim", StaffRole.SERVICE)):
            self.shop.do(
                AssignStaffRole(store_id=self.shop.store_id, person=person, role=role, from_day=date(2023, 1, 1))
            )
        self.sku = self.shop.sku(stock=1000)
        self.orders = {
            agent: self.sell(day, pounds, agent)
            for day, pounds, agent in ((5, 150, "sue"), (8, 40, "tim"), (9, 300, None))
        }

    def sell(self, day: int, pounds: int, agent: str | None, month: int = 1) -> UUID:
        """Record a paid order of an amount at noon of a day of 2024; its goods are still to leave."""
        line = RecordedLine(sku_id=self.sku, quantity=Decimal(1), unit_price=Decimal(pounds))
        order = RecordOrder(store_id=self.shop.store_id, lines=(line,), assisted_by=agent)
        return self.shop.do(order, occurred_at=datetime(2024, month, day, 12, tzinfo=UTC))

    def give(self, command: str, token: str = "", **fields: Any) -> dict[str, Any]:
        return self.api.give(command, ERRORS, {"storeId": self.store, **fields}, token=token)

    def scheme(self, month: str = "2024-01-01", **terms: Any) -> int:
        """Put a scheme in force: 1 % of the first 100 pounds, 3 % of the rest; return where the log stood then."""
        tiers = [{"fromMinor": 0, "rate": "0.01"}, {"fromMinor": 10_000, "rate": "0.03"}]
        given = {"effectiveMonth": month, "tiers": tiers, **terms}
        assert self.give("proposeCommissionScheme", **given)["userErrors"] == []
        version = len(self.schemes())
        second = self.api.token(Role.MANAGER, name="second")
        answer = self.give("approveCommissionScheme", second, schemeVersion=version)
        assert answer["userErrors"] == []
        position: int = answer["position"]
        return position

    def schemes(self, token: str = "") -> list[dict[str, Any]]:
        query = "query ($id: ID!) { store(id: $id) { commissionSchemes { schemeVersion approved approvedBy } } }"
        found: list[dict[str, Any]] = self.api.ask(query, {"id": self.store}, token=token)["store"]["commissionSchemes"]
        return found

    def settle(self, month: str = "2024-01-01", token: str = "", **more: Any) -> dict[str, Any]:
        return self.give("settleCommission", token, month=month, **more)

    def settlements(self, token: str = "") -> list[dict[str, Any]]:
        query = f"query ($id: ID!) {{ store(id: $id) {{ commissionSettlements {{ {SETTLED} }} }} }}"
        found: list[dict[str, Any]] = self.api.ask(query, {"id": self.store}, token=token)["store"][
            "commissionSettlements"
        ]
        return found

    def commissions(self, month: str = "2024-01-01", token: str = "", **asked: Any) -> Any:
        given = {"store": self.store, "month": month, **asked}
        return self.api.ask(COMMISSIONS, given, token=token)["commissions"]

    def kpi(self, code: str, **asked: Any) -> dict[str | None, str]:
        """Return the values of January by slice."""
        found = self.api.ask(KPI, {"code": code, "stores": [self.store], "atLeast": self.head(), **asked})["kpi"]
        return {row["slice"]: row["value"] for row in found["rows"]}

    def head(self) -> int:
        return self.api.server.services.log.head().position


@pytest.fixture
def team(api: Api) -> Team:
    return Team(api)


def paid(lines: list[dict[str, Any]]) -> dict[str, tuple[int, ...]]:
    """Return net sales, due, correction, withheld and amount by agent."""
    return {
        line["agent"]: tuple(
            line[name]["amountMinor"] for name in ("netSales", "due", "correction", "withheld", "amount")
        )
        for line in lines
    }


def test_sales_are_counted_by_who_helped_as_it_was_known_at_any_moment(team: Team) -> None:
    assert team.kpi("K111", by="AGENT") == {"sue": "150", "tim": "40", "silent": "300"}
    assert team.kpi("K111") == team.kpi("K017") == {None: "490"}
    assert team.kpi("K111", agent="silent") == {None: "300"}
    known = team.head()
    # The order was Tim's after all, and nobody's of the other one.
    team.shop.do(NameOrderAgent(order_id=team.orders["sue"], agent="tim"))
    team.shop.do(NameOrderAgent(order_id=team.orders["tim"]))
    assert team.kpi("K111", by="AGENT") == {"tim": "150", "silent": "340"}
    assert team.kpi("K111", by="AGENT", asOf={"position": known}) == {"sue": "150", "tim": "40", "silent": "300"}


def test_an_order_shows_staff_who_helped_and_the_shops_front_nobody(api: Api, team: Team) -> None:
    query = "query ($id: ID!) { order(id: $id) { agent history(last: 9) { nodes { type data } } } }"
    order = {"id": gid("Order", team.orders["sue"])}
    shown = api.ask(query, order, token=api.token(Role.WAREHOUSE))["order"]
    assert shown["agent"] == "sue"
    assert {"type": "OrderAssisted", "data": {"agent": "sue"}} in shown["history"]["nodes"]
    front = api.ask(query, order, token=api.token(Role.STOREFRONT))["order"]
    assert front["agent"] is None and "sue" not in str(front)
    listed = """
    query ($s: [ID!], $p: Position) { orders(filter: {storeId: {in: $s}}, first: 9, atLeast: $p) { nodes { agent } } }
    """
    found = api.ask(listed, {"s": [team.store], "p": team.head()})["orders"]["nodes"]
    assert sorted(each["agent"] or "" for each in found) == ["", "sue", "tim"]
    given = {"orderId": gid("Order", team.orders["tim"]), "agent": "sue"}
    for role, codes in ((Role.WAREHOUSE, ["NOT_AUTHORISED"]), (Role.SERVICE, [])):
        answer = api.give("nameOrderAgent", "order { agent } userErrors { code }", given, token=api.token(role))
        assert [error["code"] for error in answer["userErrors"]] == codes
    assert answer["order"]["agent"] == "sue"


def test_orders_are_found_by_who_helped_last(api: Api, team: Team) -> None:
    query = """
    query ($filter: OrderFilter!, $p: Position) { orders(filter: $filter, first: 9, atLeast: $p) { nodes { id } } }
    """

    def helped(**agent: Any) -> set[str]:
        given = {"filter": {"storeId": {"in": [team.store]}, "agent": agent}, "p": team.head()}
        return {node["id"] for node in api.ask(query, given)["orders"]["nodes"]}

    sues, tims, nobodys = (gid("Order", team.orders[agent]) for agent in ("sue", "tim", None))
    assert helped(eq="sue") == {sues}
    assert helped(isSet=False) == {nobodys}
    team.shop.do(NameOrderAgent(order_id=team.orders["sue"], agent="ann"))
    team.shop.do(NameOrderAgent(order_id=team.orders["sue"], agent="tim"))
    team.shop.do(NameOrderAgent(order_id=team.orders["tim"]))
    assert helped(eq="sue") == helped(eq="ann") == set()
    assert helped(eq="tim") == {sues}
    assert helped(isSet=False) == {tims, nobodys}
    [error] = api.errors(query, {"filter": {"agent": {"eq": "tim"}}}, token=api.token(Role.STOREFRONT))
    assert error["extensions"]["code"] == "FORBIDDEN", "what may not be seen may not be searched by"


def test_a_scheme_is_in_force_once_a_second_person_has_approved_it(api: Api, team: Team) -> None:
    assert team.commissions(atLeast=team.head()) is None
    own = api.token(Role.MANAGER, name="first")
    given = {"effectiveMonth": "2024-01-01", "tiers": [{"fromMinor": 0, "rate": "0.02"}]}
    assert team.give("proposeCommissionScheme", own, **given)["userErrors"] == []
    [error] = team.give("approveCommissionScheme", own, schemeVersion=1)["userErrors"]
    assert error["code"] == "SAME_PERSON"
    [error] = team.settle()["userErrors"]
    assert (error["code"], error["path"]) == ("COMMISSION_SCHEME_MISSING", ["month"])
    for role in (Role.SERVICE, Role.FINANCE):
        [error] = team.give("approveCommissionScheme", api.token(role), schemeVersion=1)["userErrors"]
        assert error["code"] == "NOT_AUTHORISED"
    assert team.give("approveCommissionScheme", schemeVersion=1)["userErrors"] == []
    assert team.schemes() == [{"schemeVersion": 1, "approved": True, "approvedBy": "owner"}]
    assert team.schemes(api.token(Role.STOREFRONT)) == []


def test_commission_runs_during_the_month_and_everybody_sees_their_own(api: Api, shop: Shop, team: Team) -> None:
    steps = [{"fromGrowth": "0.2", "factor": "2"}]
    grades = [{"grade": "A", "factor": "1.5"}, {"grade": "B", "factor": "1"}]
    known = team.scheme(baseMinor=40_000, growthSteps=steps, grades=grades, grade="A")
    month = team.commissions(atLeast=known)
    assert (month["netSales"]["amountMinor"], month["growth"], month["growthFactor"], month["gradeFactor"]) == (
        49_000, "0.225", "2", "1.5",
    )  # fmt: skip
    assert paid(month["lines"]) == {"sue": (15_000, 750, 0, 0, 750), "tim": (4_000, 120, 0, 0, 120)}
    assert month["settlement"] is None and month["scheme"] == {"schemeVersion": 1, "grade": "A"}
    team.sell(20, 10, "sue")
    more = team.commissions(atLeast=team.head())
    assert paid(more["lines"])["sue"] == (16_000, 840, 0, 0, 840)
    assert paid(team.commissions(asOf={"position": known})["lines"]) == paid(month["lines"])
    own = team.commissions(token=api.token(Role.SERVICE, name="sue"))
    assert paid(own["lines"]) == {"sue": (16_000, 840, 0, 0, 840)}
    assert (own["netSales"], own["growth"], own["growthFactor"]) == (None, None, "2")
    assert team.commissions(token=api.token(Role.WAREHOUSE, name="walt"))["lines"] == []
    assert team.commissions(token=api.token(Role.MANAGER, stores=(shop.store_id,))) is None
    given = {"store": team.store, "month": "2024-01-01"}
    [error] = api.errors(COMMISSIONS, given, token=api.token(Role.STOREFRONT))
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert team.commissions("2024-01-31") == more, "any day names its month"


def test_a_settled_month_is_frozen_and_corrected_in_the_next_one(api: Api, team: Team) -> None:
    team.scheme()
    finance = api.token(Role.FINANCE, name="fay")
    key = str(uuid4())
    first = team.settle(token=finance, idempotencyKey=key)
    assert first["userErrors"] == []
    # 60 of Sue's 150 pounds go back in February, of what was counted at 3 %, then at 1 %.
    back = datetime(2024, 2, 3, 12, tzinfo=UTC)
    team.shop.do(RefundOrder(order_id=team.orders["sue"], other_minor=6_000), occurred_at=back)
    team.sell(6, 20, "sue", month=2)
    again = team.settle(token=finance, idempotencyKey=key)
    assert (again["replayed"], again["position"]) == (True, first["position"]), "a retry changes nothing"
    [error] = team.settle()["userErrors"]
    assert error["code"] == "COMMISSION_ALREADY_SETTLED"
    assert team.settle("2024-02-01", finance)["userErrors"] == []
    january, february = team.settlements(finance)
    assert paid(january["lines"]) == {"sue": (15_000, 250, 0, 0, 250), "tim": (4_000, 40, 0, 0, 40)}
    assert (january["settledBy"], january["schemeVersion"], january["amount"]["amountMinor"]) == ("fay", 1, 290)
    assert paid(february["lines"]) == {"sue": (2_000, 20, -160, 0, -140)}
    [correction] = february["corrections"]
    assert (correction["month"], correction["due"]["amountMinor"]) == ("2024-01-01", 90)
    # January as it is known now is what the correction says, beside what was settled.
    now = team.commissions(atLeast=team.head(), token=finance)
    assert paid(now["lines"])["sue"] == (9_000, 90, 0, 0, 90) and now["settlement"] == january
    assert team.settlements(api.token(Role.SERVICE)) == []


def test_an_auditor_makes_a_settlement_again_from_the_log_at_its_position(api: Api, team: Team) -> None:
    team.scheme()
    team.settle()
    team.shop.do(NameOrderAgent(order_id=team.orders["sue"], agent="tim"))
    team.shop.do(RefundOrder(order_id=team.orders["tim"], other_minor=1_000))
    auditor = api.token(Role.AUDITOR)
    [settled] = team.settlements(auditor)
    then = {"asOf": {"position": settled["knownAtPosition"]}}
    made_again = team.commissions(token=auditor, atLeast=team.head(), **then)
    assert made_again["lines"] == settled["lines"] and made_again["settlement"] is None
    assert paid(team.commissions(token=auditor)["lines"]) != paid(settled["lines"])
    # And each line is opened down to the payments and refunds that made it.
    for moment, agent, amounts in ((then, "sue", [15_000]), ({}, "tim", [15_000, 4_000, -1_000])):
        rows = api.ask(EXPLAIN, {"stores": [team.store], "agent": agent, **moment}, token=auditor)["explainKpi"]
        assert [int(row["amount"]) for row in rows["nodes"]] == amounts
        assert rows["nodes"][0]["orderId"] == gid("Order", team.orders["sue"])

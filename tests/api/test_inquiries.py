"""Inquiries over the API: booked by those who serve, counted by channel and agent, and what came of them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from opscore.domain.command import Role
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.staff import AssignStaffRole
from opscore.domain.store_events import StaffRole
from tests.api.conftest import Api, gid
from tests.shop import Shop

KPI = """
query ($code: String!, $stores: [ID!], $by: KpiSlice, $p: Position) {
  kpi(
    code: $code, fromDay: "2024-01-01", toDay: "2024-01-31", grain: MONTH, storeIds: $stores, by: $by, atLeast: $p
  ) { rows { slice value } }
}
"""


def test_who_asked_is_booked_by_those_who_serve_and_counted_with_what_they_bought(api: Api) -> None:
    shop = Shop.open(api.server.writer, f"Shop {uuid4()}")
    for person in ("sue", "tim"):
        shop.do(
            AssignStaffRole(store_id=shop.store_id, person=person, role=StaffRole.SERVICE, from_day=date(2023, 1, 1))
        )
    sku, buyer, idler = shop.sku(stock=10), shop.customer(), shop.customer()
    store = gid("Store", shop.store_id)

    def ask(day: int, token: str = "", **fields: Any) -> dict[str, Any]:
        given = {"storeId": store, "channel": "chat", "occurredAt": f"2024-01-{day:02}T12:00:00Z", **fields}
        return api.give("recordInquiry", "store { id } replayed userErrors { code message path }", given, token=token)

    service = api.token(Role.SERVICE)
    first = ask(2, service, agent="sue", customerId=gid("Customer", buyer), idempotencyKey="asked-once")
    again = ask(2, service, agent="sue", customerId=gid("Customer", buyer), idempotencyKey="asked-once")
    assert (first["userErrors"], first["store"]["id"], first["replayed"], again["replayed"]) == ([], store, False, True)
    ask(3, agent="tim", customerId=gid("Customer", buyer), channel="phone")
    ask(4, agent="tim", customerId=gid("Customer", idler))
    ask(5, agent="sue", visitor="someone")
    line = RecordedLine(sku_id=sku, quantity=Decimal(1), unit_price=Decimal(3))
    shop.do(
        RecordOrder(store_id=shop.store_id, lines=(line,), customer_id=buyer),
        occurred_at=datetime(2024, 1, 6, 12, tzinfo=UTC),
    )

    def figure(code: str, by: str | None = None) -> dict[str | None, str]:
        head = api.server.services.log.head().position
        found = api.ask(KPI, {"code": code, "stores": [store], "by": by, "p": head})["kpi"]
        return {row["slice"]: row["value"] for row in found["rows"]}

    assert figure("K010") == {None: "4"}
    assert figure("K010", "CHANNEL") == {"chat": "3", "phone": "1"}
    assert figure("K011", "AGENT") == {"tim": "0.5", "sue": "0"}, "the last who was asked before the payment has it"
    assert figure("K011")[None].startswith("0.333"), "one of three people bought"

    refused = {
        role: [error["code"] for error in ask(7, api.token(role), agent="sue", visitor="v")["userErrors"]]
        for role in (Role.WAREHOUSE, Role.STOREFRONT)
    }
    assert refused == {Role.WAREHOUSE: ["NOT_AUTHORISED"], Role.STOREFRONT: ["NOT_AUTHORISED"]}
    [error] = ask(7, agent="sue")["userErrors"]
    assert (error["code"], error["path"]) == ("INQUIRER_UNCLEAR", ["customerId"])
    [error] = ask(7, agent="nobody", visitor="v")["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID_FIELD", ["agent"])
    assert figure("K010") == {None: "4"}

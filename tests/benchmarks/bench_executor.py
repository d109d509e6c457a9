"""What answering costs in CPU time: the stock executor, the compiled one, and dicts made by hand, in one process."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from inspect import isawaitable
from typing import Any

import orjson
import strawberry
from graphql import execute, parse

from opscore.api.executor import Plans, run_with
from opscore.api.order_lists import ORDER
from opscore.api.paging import Connection, PageInfo
from opscore.api.rows import Found, Rows
from opscore.api.schema import build_schema
from tests.benchmarks.harness import Aim, Table
from tests.benchmarks.rows import ROWS, SCALARS, RowQuery

SECONDS = 1.5
OF_CEILING = Aim(30)
"""Percent of what dicts made by hand reach."""


def _order_row(number: int) -> dict[str, Any]:
    moment = datetime(2026, 3, 31, 10, 30, tzinfo=UTC)
    return {
        **dict.fromkeys(("region", "expires_at", "paid_at", "ship_by", "ship_by_hard", "confirmed_at", "coupon_code")),
        **dict.fromkeys(("delivered_at", "completed_at", "cancelled_at", "customer_id")),
        **dict.fromkeys(("cancelled_goods_minor", "cancelled_freight_minor", "refunded_minor", "paid_minor"), 0),
        **dict.fromkeys(("discount_minor", "freight_minor"), 0),
        "order_id": uuid.UUID(int=number),
        "store_id": uuid.UUID(int=7),
        "kind": "sale",
        "status": "placed",
        "channel": "web",
        "external_reference": f"T{number}",
        "currency": "GBP",
        "price_source": "opscore",
        "surge": False,
        "expired": False,
        "placed_at": moment,
        "goods_minor": 750,
        "total_minor": 750,
        "campaign_ids": [],
    }


def _line_row(number: int) -> dict[str, Any]:
    return {
        **dict.fromkeys(("cancelled", "exchanged", "returned", "refunded"), Decimal(0)),
        "line": number,
        "sku_id": uuid.UUID(int=number),
        "sku_code": f"MUG-{number}",
        "name": "A mug",
        "unit": "piece",
        "quantity": Decimal(3),
        "list_price": Decimal("2.50"),
        "unit_price": Decimal("2.50"),
        "gross_minor": 750,
        "discount_minor": 0,
        "amount_minor": 750,
        "exchanged_minor": 0,
        "currency": "GBP",
        "campaign_id": None,
        "gift": False,
        "service": False,
    }


ORDERS = parse(
    """
    { orders(first: 50) { nodes {
      id status placedAt total { amount currencyCode }
      lines { skuCode name quantity amount { amount } }
    } } }
    """
)
ORDER_ROWS = [_order_row(number) for number in range(50)]
LINE_ROWS = [_line_row(number) for number in (1, 2, 3)]


def order_page() -> Any:
    """Return a page of 50 orders with three lines each, as the resolver of `orders` hands it out."""
    columns, line_columns = tuple(ORDER_ROWS[0]), tuple(LINE_ROWS[0])
    lines = [tuple(line.values()) for line in LINE_ROWS]
    found = Found(line_columns, {row["order_id"]: lines for row in ORDER_ROWS})
    return Connection(
        edges=[],
        nodes=Rows(ORDER, columns, [tuple(row.values()) for row in ORDER_ROWS], {"lines": found}),
        page_info=PageInfo(has_next_page=True, has_previous_page=False, start_cursor="0", end_cursor="49"),
        total_count=None,
    )


def cpu(work: Callable[[], Any]) -> float:
    """Return the CPU time of one call, in milliseconds."""
    work()
    rounds, began = 0, time.process_time()
    while time.process_time() - began < SECONDS:
        for _ in range(5):
            work()
        rounds += 5
    return (time.process_time() - began) / rounds * 1000


def main() -> None:
    """Print every figure with its ratio to the ceiling of the same run."""
    rows = strawberry.Schema(query=RowQuery)._schema
    question = parse(f"{{ items {{ {' '.join(SCALARS)} }} }}")

    def answer(schema: Any, document: Any, plans: Plans | None, root: Any = None) -> bytes:
        result: Any = execute(schema, document, root, **run_with(plans))
        assert not isawaitable(result) and result.errors is None, result
        return orjson.dumps({"data": result.data})

    def by_hand() -> bytes:
        return orjson.dumps({"data": {"items": [{name: getattr(row, name) for name in SCALARS} for row in ROWS]}})

    plans = Plans(question)
    assert answer(rows, question, None) == answer(rows, question, plans) == by_hand()
    with Table("100 rows of 10 scalars from memory, to bytes: CPU per request") as table:
        ceiling = cpu(by_hand)
        table.row("dicts by hand, orjson (the ceiling)", f"{ceiling:.3f} ms", "100 %")
        for name, kept in (("compiled executor", plans), ("stock executor", None)):
            spent = cpu(lambda kept=kept: answer(rows, question, kept))
            share = ceiling / spent
            aim = OF_CEILING.judged(share * 100) if kept is not None else ""
            table.row(name, f"{spent:.3f} ms", f"{share:.0%} of the ceiling", aim)

    schema = build_schema()._schema
    assert schema.query_type is not None
    page = order_page()
    field = schema.query_type.fields["orders"]
    resolve = field.resolve
    field.resolve = lambda *_, **__: page
    try:
        plans = Plans(ORDERS)
        assert answer(schema, ORDERS, None) == answer(schema, ORDERS, plans)
        with Table("50 orders with 4 fields and 3 lines each, in process: CPU per request") as table:
            table.row(
                "compiled executor, from rows of two statements", f"{cpu(lambda: answer(schema, ORDERS, plans)):.3f} ms"
            )
            table.row("stock executor, from the same", f"{cpu(lambda: answer(schema, ORDERS, None)):.3f} ms")
    finally:
        field.resolve = resolve


if __name__ == "__main__":
    main()

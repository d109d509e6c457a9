"""The numbers of orders that people read out and type in.

A number is the position of the event that placed the order, with two check digits behind it (ISO 7064, MOD 97-10, as
in an IBAN): the whole number divided by 97 leaves 1. A position is of one order alone, over all stores, and never
changes, so every order has had a number since it was placed. With the check digits, one digit misheard and two digits
swapped are found out, where they would else be somebody else's order. The order book makes the same number in SQL.
"""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader
from strawberry.types import Info

from opscore.api.context import Context, Services
from opscore.api.errors import BadInput
from opscore.api.ids import key_of
from opscore.sqlfiles import load

SQL = load(__file__, "numbers.sql")

_POSITION_MAX = 2**63 - 1
_SPACING = str.maketrans("", "", " -")


def number_of(position: int) -> str:
    """Return the number of the order that was placed at a position of the log."""
    return str(position * 100 + 98 - position * 100 % 97)


def position_of(number: str) -> int:
    """Return the position of a number; spaces and hyphens in it do not matter. Raises BadInput for what is none."""
    digits = number.translate(_SPACING)
    if digits.isascii() and digits.isdigit() and len(digits) <= len(str(_POSITION_MAX)) + 2:
        position = int(digits) // 100
        if digits == number_of(position) and 0 < position <= _POSITION_MAX:
            return position
    raise BadInput("This is not the number of an order: a digit is missing, wrong or out of place. Read it again.")


def order_at(services: Services, position: int) -> UUID | None:
    """Return the order that was placed at a position; None when another event is there, or none (blocking)."""
    with services.database.pool.connection() as connection:
        row = connection.execute(SQL["order_at"], {"position": position}).fetchone()
    return None if row is None else row[0]


def _loader(context: Context) -> DataLoader[UUID, str | None]:
    if context.numbers is None:

        def numbers(order_ids: list[UUID]) -> list[str | None]:
            with context.services.database.pool.connection() as connection:
                found = dict(connection.execute(SQL["placed_at"], {"order_ids": order_ids}).fetchall())
            return [number_of(found[each]) if each in found else None for each in order_ids]

        async def load(order_ids: list[UUID]) -> list[str | None]:
            return await context.services.read(numbers, order_ids)

        context.numbers = DataLoader(load_fn=load)
    return context.numbers


def order_number_field() -> Any:
    """Return the field `orderNumber` of a type that names an order as `orderId`; all of a request are read together."""

    async def resolve(root: Any, info: Info) -> str | None:
        return None if root.order_id is None else await _loader(info.context).load(key_of(root.order_id, "Order"))

    return strawberry.field(resolver=resolve, description="That order's number, as people call it.")

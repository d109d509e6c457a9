"""A hundred rows of ten scalars that lie ready, and the question that hands them out."""

from __future__ import annotations

import strawberry

SCALARS = ("id", "title", "brand", "unit", "colour", "stock", "sold", "weight", "listed", "gift")


@strawberry.type
class Row:
    """A row of ten scalars, all of them ready."""

    id: strawberry.ID
    title: str
    brand: str
    unit: str
    colour: str
    stock: int
    sold: int
    weight: int
    listed: bool
    gift: bool


ROWS = [
    Row(
        id=strawberry.ID(f"Row:{number}"),
        title=f"A mug with the number {number}",
        brand="Kiln",
        unit="piece",
        colour="blue",
        stock=number,
        sold=number * 3,
        weight=350,
        listed=True,
        gift=False,
    )
    for number in range(100)
]


@strawberry.type
class RowQuery:
    """The question that hands out the rows."""

    @strawberry.field
    def items(self) -> list[Row]:
        """Return all rows."""
        return ROWS

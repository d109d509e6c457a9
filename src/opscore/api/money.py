"""Money and unit prices as the API shows them: exact decimals as strings, always beside their currency."""

from __future__ import annotations

import functools
from decimal import Decimal

import strawberry

from opscore.api.rows import Made, MadeObject
from opscore.api.scalars import MinorUnits
from opscore.domain.values import minor_digits


@strawberry.type(description="An amount of money.")
class Money:
    amount: Decimal = strawberry.field(
        description='The amount in the currency\'s main unit with all its places, such as "12.50".'
    )
    amount_minor: MinorUnits = strawberry.field(
        description="The same amount as a whole number of minor units (pence, fen)."
    )
    currency_code: str = strawberry.field(description="ISO 4217 code of the currency.")


@strawberry.type(description="A price or cost of one unit of something.")
class UnitPrice:
    amount: Decimal = strawberry.field(description="The price, exact to at most six places.")
    currency_code: str = strawberry.field(description="ISO 4217 code of the currency.")


@functools.cache
def _minor_exponent(currency: str) -> Decimal:
    return Decimal(1).scaleb(-minor_digits(currency))


def _amount(amount_minor: int, currency: str) -> Decimal:
    return amount_minor * _minor_exponent(currency)


def money(amount_minor: int, currency: str) -> Money:
    """Return an amount of minor units as money."""
    return Money(
        amount=_amount(amount_minor, currency),
        amount_minor=MinorUnits(amount_minor),
        currency_code=currency,
    )


def money_in(amount_minor: Made, currency: str) -> MadeObject:
    """Return how money is made of a row. amount_minor: how its minor units are; currency: the column of its code."""
    make = amount_minor.make
    amount = _amount if make is None else lambda *columns: _amount(make(*columns[:-1]), columns[-1])
    return MadeObject(
        Money,
        {
            "amount": Made((*amount_minor.columns, currency), amount, repeats=True),
            "amount_minor": amount_minor,
            "currency_code": Made((currency,)),
        },
    )


def unit_price_in(amount: str, currency: str) -> MadeObject:
    """Return how a price of one unit is made of a row, by the columns that hold it and its currency."""
    return MadeObject(UnitPrice, {"amount": Made((amount,)), "currency_code": Made((currency,))})


def money_or_none(amount_minor: int | None, currency: str) -> Money | None:
    """Return an amount that may be unknown."""
    return None if amount_minor is None else money(amount_minor, currency)


def unit_price(amount: Decimal, currency: str) -> UnitPrice:
    """Return a price of one unit."""
    return UnitPrice(amount=amount, currency_code=currency)


def unit_price_or_none(amount: Decimal | None, currency: str) -> UnitPrice | None:
    """Return a price that may be unknown."""
    return None if amount is None else unit_price(amount, currency)

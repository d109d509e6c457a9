"""Numbers are exact: spelled one way, multiplied without loss, split without a remainder."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import hypothesis.strategies as st
import pytest
from hypothesis import given

from opscore.domain.values import derived_id, line_amount_minor, local_day, plain, share_minor

prices = st.decimals(min_value=0, max_value=10**12, places=6)
quantities = st.decimals(min_value=-(10**9), max_value=10**9, places=6)


@given(prices, quantities, st.sampled_from(["GBP", "JPY", "KWD"]))
def test_a_line_amount_is_the_exact_product_rounded_half_even_once(
    price: Decimal, quantity: Decimal, currency: str
) -> None:
    digits = {"GBP": 2, "JPY": 0, "KWD": 3}[currency]
    exact = Fraction(price) * Fraction(quantity) * 10**digits
    assert line_amount_minor(price, quantity, currency) == round(exact)  # Fraction rounds half to even.


@pytest.mark.parametrize(
    ("price", "quantity", "minor"),
    [("0.001", "5", 0), ("0.001", "15", 2), ("0.001", "25", 2), ("1.005", "1", 100), ("1.015", "1", 102)],
)
def test_halves_go_to_the_even_penny(price: str, quantity: str, minor: int) -> None:
    assert line_amount_minor(Decimal(price), Decimal(quantity), "GBP") == minor


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40, places=6))
def test_every_decimal_has_one_spelling_and_keeps_its_value(value: Decimal) -> None:
    spelled = str(plain(value))
    assert Decimal(spelled) == value
    assert "E" not in spelled and not spelled.startswith("-0.0000000")
    assert spelled == str(plain(Decimal(f"{value:f}000" if "." in f"{value:f}" else f"{value:f}.000")))


@given(st.integers(-(10**15), 10**15), st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
def test_shares_sum_to_the_whole_and_are_less_than_one_unit_off(total: int, weights: list[int]) -> None:
    parts = share_minor(total, weights)
    assert sum(parts) == total
    base = sum(weights)
    if base:
        assert all(
            abs(Fraction(part) - Fraction(total * weight, base)) < 1
            for part, weight in zip(parts, weights, strict=True)
        )


def test_a_day_is_the_stores_own_also_when_clocks_change() -> None:
    assert local_day(datetime(2010, 3, 27, 23, 30, tzinfo=UTC), "Europe/London") == "2010-03-27"
    assert local_day(datetime(2010, 3, 28, 23, 30, tzinfo=UTC), "Europe/London") == "2010-03-29"
    assert local_day(datetime(2010, 3, 28, 16, 0, tzinfo=UTC), "Asia/Shanghai") == "2010-03-29"


def test_derived_ids_are_the_same_for_ever() -> None:
    assert str(derived_id("sku", "shop", "A")) == "da6c2190-ff9e-585f-a945-14654a40cedd"
    assert derived_id("sku", "shop", "A") != derived_id("sku", "shopA")

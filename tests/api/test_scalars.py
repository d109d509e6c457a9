"""How values are written: as Python writes them, whatever is used to write them faster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from graphql import GraphQLError
from hypothesis import given, strategies as st

from opscore.api.ids import global_id, parse_global_id
from opscore.api.scalars import parse_date_time, serialize_date_time

MOMENTS = st.datetimes(datetime(1000, 1, 1), datetime(8999, 12, 31), timezones=st.just(UTC))
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(MOMENTS, ZONES)
def test_a_moment_is_written_in_utc_whatever_zone_it_was_told_in(moment: datetime, zone: timezone) -> None:
    written = f"{moment.isoformat().removesuffix('+00:00')}Z"
    assert serialize_date_time(moment) == serialize_date_time(moment.astimezone(zone)) == written
    assert parse_date_time(written) == moment


@pytest.mark.parametrize("value", [datetime(2026, 1, 1), "2026-01-01T00:00:00Z", None, 1])
def test_what_is_no_moment_is_not_written(value: object) -> None:
    with pytest.raises(GraphQLError, match="DateTime cannot represent this value"):
        serialize_date_time(value)


@given(st.uuids(), st.sampled_from(["Order", "Sku"]))
def test_a_global_id_is_the_type_and_the_key_as_python_writes_it(key: UUID, kind: str) -> None:
    assert parse_global_id(global_id(kind, key)) == (kind, key)
    assert global_id("Order", UUID(int=1)) == "T3JkZXI6MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAx"

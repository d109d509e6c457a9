"""The canonical form and the chain are what schema/events/HASH.md says, by a second implementation of that page."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from uuid import UUID

import hypothesis.strategies as st
from hypothesis import given

from opscore.log.canonical import GENESIS, HASHED_COLUMNS, canonical, event_hash, microseconds

texts = st.text(st.characters(exclude_categories=("Cs",)))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def by_the_page(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


@given(values)
def test_canonical_form_is_what_the_page_describes(value: object) -> None:
    assert canonical(value) == by_the_page(value)


def test_control_characters_are_the_only_ones_escaped_beside_quote_and_backslash() -> None:
    assert canonical('\x00\x08\t\n\x0c\r\x1f\x7f"\\/é\u2028😀') == (
        '"\\u0000\\b\\t\\n\\f\\r\\u001f\x7f\\"\\\\/é\u2028😀"'.encode()
    )


def test_hash_covers_previous_hash_columns_and_data_in_that_order() -> None:
    stream, store = UUID(int=1), UUID(int=2)
    at = datetime(2010, 1, 2, 3, 4, 5, 678901, UTC)
    columns = (1, stream, 1, "Store", "StoreApplied", 1, store, microseconds(at), microseconds(at))
    columns += ("Europe/London", "ann", "live", "key", None, None)
    assert len(columns) == len(HASHED_COLUMNS)
    data = {"name": "Gifts", "amount_minor": 1}
    written = [str(each) if isinstance(each, UUID) else each for each in columns]
    expected = hashlib.sha256(bytes(32) + by_the_page(written) + by_the_page(data)).digest()
    assert event_hash(GENESIS, columns, canonical(data)) == expected


def test_microseconds_are_exact_far_from_the_epoch() -> None:
    assert microseconds(datetime(2262, 4, 11, 23, 47, 16, 854775, UTC)) == 9223372036854775
    assert microseconds(datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)) == -1

"""An old shape reads the same whether Python or SQL brings it up to date."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from opscore.embedded import EmbeddedServer
from opscore.log.upcasts import Default, Move, Rename, Scale, Split, Step, upcast, upcast_sql

NAMES = ("alpha", "beta", "gamma", "it's")
texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=8)
names = st.sampled_from(NAMES)


@st.composite
def versions(draw: st.DrawFn) -> tuple[dict[str, Any], list[list[Step]]]:
    """An object in the shape of version 1 and the steps of some versions behind it."""
    data = draw(
        st.fixed_dictionaries(
            {"amount": st.none() | st.integers(-(10**12), 10**12), "label": st.none() | texts},
            optional={name: texts | st.integers(-5, 5) | st.none() for name in NAMES},
        )
    )
    steps: st.SearchStrategy[Step] = st.one_of(
        st.builds(Rename, names, names.map(lambda name: name + "2")),
        st.builds(Default, names, st.none() | texts | st.integers(-9, 9) | st.lists(st.booleans(), max_size=2)),
        st.builds(Move, names, st.just("box"), names),
        st.builds(Scale, st.just("amount"), st.integers(-100, 100)),
        st.builds(Split, st.just("label"), st.sampled_from([" ", "-", "/ "]), st.just(("first", "middle", "last"))),
    )
    return data, draw(st.lists(st.lists(steps, min_size=1, max_size=3), min_size=1, max_size=3))


@pytest.fixture(scope="module")
def connection(server: EmbeddedServer) -> Any:
    with psycopg.connect(server.url, autocommit=True) as opened:
        yield opened


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=versions())
def test_python_and_sql_upcast_alike(connection: Any, case: tuple[dict[str, Any], list[list[Step]]]) -> None:
    data, upcasts = case
    stored = orjson.dumps(data).decode()
    for version in range(1, len(upcasts) + 2):
        query = f"SELECT ({upcast_sql('given.data', 'given.version', upcasts)})::text FROM given"
        by_sql = connection.execute(
            "WITH given AS (SELECT %s::jsonb AS data, %s::int AS version) " + query.replace("%", "%%"),
            (stored, version),
        ).fetchone()[0]
        assert orjson.loads(by_sql) == upcast(orjson.loads(stored), version, upcasts)


def test_the_newest_version_is_left_as_it_is() -> None:
    assert upcast({"a": 1}, 2, [[Rename("a", "b")]]) == {"a": 1}
    assert upcast_sql("data", "schema_version", []) == "data"

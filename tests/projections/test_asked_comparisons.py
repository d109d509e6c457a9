"""A comparison that was asked for is made, whatever becomes of the server that began it, or says why it was not."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from opscore.comparisons import BEGUN_MAX, Comparisons, OfVersions, WhatIf
from opscore.database import Database
from opscore.housekeeping import Housekeeping
from opscore.projector import Projector
from opscore.settings import Settings
from opscore.works import Works
from tests.projections.logs import Log
from tests.projections.test_crashes import folder, killed, settled, two

__all__ = ["folder", "two"]

FREIGHT = WhatIf("kpi_daily", {"gmv_counts_freight": "true"})


@pytest.fixture
def works() -> Iterator[Works]:
    made = Works()
    yield made
    made.stop()


@pytest.fixture
def served(log: Log, projector: Projector) -> Projector:
    log.fill(300)
    projector.rebuild("kpi_daily")
    return projector


def begun(connection: psycopg.Connection[tuple[int]], comparison_id: UUID) -> int:
    """Return how often a comparison was begun and did not come to its end."""
    row = connection.execute(
        "SELECT attempts FROM asked_comparison_attempts WHERE id = %s", (comparison_id,)
    ).fetchone()
    return 0 if row is None else row[0]


@pytest.mark.parametrize(
    "question", [OfVersions("kpi_daily", 3, 4), WhatIf("kpi_daily", {"guest_order_is_buyer": "false"})]
)
def test_a_comparison_whose_server_was_killed_is_made_by_the_next_one(
    settings: Settings,
    two: Projector,
    folder: object,
    database: Database,
    works: Works,
    connection: psycopg.Connection[tuple[int]],
    question: OfVersions | WhatIf,
) -> None:
    comparison_id = uuid4()
    work = f"""
from uuid import UUID
from opscore.comparisons import Comparisons, OfVersions, WhatIf
from opscore.works import Works
stand_still(compare, "store", 1)
asked = Comparisons(database, projections, Works())
asked.ask(UUID("{comparison_id}"), {question!r}, "olga")
asked.take_up(UUID("{comparison_id}")).result()
"""
    with killed(settings, folder, work):
        pass
    settled(connection)
    assert two.compared(comparison_id) is None and begun(connection, comparison_id) == 1

    comparisons = Comparisons(database, two, works)
    assert comparisons.resume() == 1
    comparisons.take_up(comparison_id).result(60)

    made = two.compared(comparison_id)
    assert made is not None and made.compared_by == "olga"
    assert comparisons.resume() == 0, "what is made is no longer asked for"


def test_what_another_server_makes_is_left_to_it(
    served: Projector, database: Database, works: Works, connection: psycopg.Connection[tuple[int]]
) -> None:
    comparisons, comparison_id = Comparisons(database, served, works), uuid4()
    comparisons.ask(comparison_id, FREIGHT, "olga")
    with connection.transaction():
        connection.execute("SELECT FROM asked_comparisons WHERE id = %s FOR UPDATE", (comparison_id,))
        comparisons.take_up(comparison_id).result(60)
        assert served.compared(comparison_id) is None

    comparisons.take_up(comparison_id).result(60)

    assert served.compared(comparison_id) is not None


def test_asked_twice_it_is_made_once(served: Projector, database: Database, works: Works) -> None:
    comparisons, comparison_id = Comparisons(database, served, works), uuid4()
    for _ in range(2):
        comparisons.ask(comparison_id, FREIGHT, "olga")
        comparisons.take_up(comparison_id).result(60)

    assert [each.id for each in served.compares()] == [comparison_id]
    assert comparisons.resume() == 0


def test_a_refusal_is_kept_with_its_reason_until_it_is_asked_for_again(
    served: Projector, database: Database, works: Works, settings: Settings
) -> None:
    comparisons, comparison_id = Comparisons(database, served, works), uuid4()
    question = OfVersions("kpi_daily", 3, 4)
    comparisons.ask(comparison_id, question, "olga")
    comparisons.take_up(comparison_id).result(60)
    assert "kpi_daily has no version 4; there are 3 (serving)" in (comparisons.refusal(comparison_id) or "")
    assert comparisons.resume() == 0

    comparisons.ask(comparison_id, question, "olga")
    assert comparisons.refusal(comparison_id) is None
    comparisons.take_up(comparison_id).result(60)
    Housekeeping(database, settings).run_once()
    assert comparisons.refusal(comparison_id), "a refusal is kept as long as the key that it answers"
    Housekeeping(database, settings.model_copy(update={"keep_commands_days": 0})).run_once()
    assert comparisons.refusal(comparison_id) is None


def test_a_comparison_that_ends_its_server_each_time_is_given_up_and_says_so(
    served: Projector, database: Database, works: Works, connection: psycopg.Connection[tuple[int]]
) -> None:
    comparisons, comparison_id = Comparisons(database, served, works), uuid4()
    comparisons.ask(comparison_id, FREIGHT, "olga")
    connection.execute("INSERT INTO asked_comparison_attempts VALUES (%s, %s)", (comparison_id, BEGUN_MAX))

    comparisons.take_up(comparison_id).result(60)

    assert "see the server's log, then ask again" in (comparisons.refusal(comparison_id) or "")
    comparisons.ask(comparison_id, FREIGHT, "olga")
    comparisons.take_up(comparison_id).result(60)
    assert served.compared(comparison_id) is not None


def test_a_server_that_is_stopped_leaves_the_comparison_to_the_next_one(
    served: Projector, database: Database, log: Log, works: Works
) -> None:
    comparison_id, stopped = uuid4(), Works()
    comparisons = Comparisons(database, served, stopped)
    comparisons.ask(comparison_id, FREIGHT, "olga")
    stopped._stopping = True
    comparisons.take_up(comparison_id).result(60)
    assert served.compared(comparison_id) is None and comparisons.refusal(comparison_id) is None
    stopped.stop()

    Comparisons(database, served, works).take_up(comparison_id).result(60)

    assert served.compared(comparison_id) is not None

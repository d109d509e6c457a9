"""Campaigns of Complete Journey, booked as commands and asked over GraphQL: what DuckDB says of the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from opscore.imports.complete_journey import FILES, import_complete_journey
from opscore.imports.reader import UnreadableFile
from tests.api.conftest import Api
from tests.gold_complete_journey import campaign_figures, overall_figures

FOLDER = Path(__file__).parents[1] / "imports" / "complete_journey"

FUNNEL = """
SELECT c.campaign_id, c.start_date::varchar, c.end_date::varchar,
    (SELECT count(*) FROM reached t WHERE t.campaign_id = c.campaign_id),
    (SELECT count(*) FROM redeemed r WHERE r.campaign_id = c.campaign_id),
    (SELECT count(DISTINCT household_id) FROM redeemed r WHERE r.campaign_id = c.campaign_id),
    (SELECT count(*) FROM redeemed r
        WHERE r.campaign_id = c.campaign_id AND r.redemption_date BETWEEN c.start_date AND c.end_date)
FROM campaign c ORDER BY c.campaign_id::int
"""
OVERALL = """
SELECT (SELECT count(DISTINCT household_id) FROM reached), (SELECT count(*) FROM redeemed),
    (SELECT count(DISTINCT household_id) FROM redeemed)
"""


@pytest.fixture(scope="module")
def table() -> duckdb.DuckDBPyConnection:
    """The files of the slice as tables."""
    connection = duckdb.connect()
    for name, file in (
        ("campaign", "campaign_descriptions"),
        ("reached", "campaigns"),
        ("redeemed", "coupon_redemptions"),
    ):
        connection.execute(
            f"CREATE TABLE {name} AS SELECT * FROM read_csv(?, header = true, all_varchar = true)",
            [str(FOLDER / f"{file}.csv")],
        )
    return connection


@pytest.fixture(scope="module")
def booked(api: Api) -> Any:
    """The report of importing the slice, after importing it twice."""
    report = import_complete_journey(api.server.writer, FOLDER)
    again = import_complete_journey(api.server.writer, FOLDER)
    assert again.added == 0
    return report


def ask(api: Api, query: str, variables: dict[str, Any]) -> Any:
    head = api.ask("{ head { position } }")["head"]["position"]
    return api.ask(query, {**variables, "at": head})


def test_the_funnel_of_each_campaign_is_what_duckdb_says(
    api: Api, booked: Any, table: duckdb.DuckDBPyConnection
) -> None:
    assert not booked.commands_refused
    assert booked.verdicts["rejected"] == 0
    said = table.execute(FUNNEL).fetchall()

    found = campaign_figures(lambda query, variables: ask(api, query, variables))

    assert len(said) == 6
    ours = ("id", "campaign_type")
    assert [tuple(value for name, value in each.items() if name not in ours) for each in found] == said


def test_households_are_counted_once_over_all_campaigns(
    api: Api, booked: Any, table: duckdb.DuckDBPyConnection
) -> None:
    [said] = table.execute(OVERALL).fetchall()
    found = overall_figures(lambda query, variables: ask(api, query, variables))
    assert tuple(found.values()) == said
    added_up = sum(row[3] for row in table.execute(FUNNEL).fetchall())
    assert found["targeted_households"] < added_up, "the slice has no household that several campaigns reached"


def test_rows_that_cannot_be_booked_are_said_and_other_files_are_refused(api: Api, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="there is no campaign_descriptions"):
        import_complete_journey(api.server.writer, tmp_path)
    for name, rows in (
        ("campaign_descriptions", "1,Type A,2017-03-03,2017-03-01\n2,Type A,2017-13-01,2017-03-01\n"),
        ("campaigns", "9,1\n9,\n"),
        ("coupon_redemptions", "1,5,9,soon\n"),
    ):
        (tmp_path / f"{name}.csv").write_text(f"{','.join(FILES[name])}\n{rows}")
    report = import_complete_journey(api.server.writer, tmp_path, store="Nothing", rejects=tmp_path / "rejects.csv")
    assert (report.verdicts["rejected"], report.added) == (5, 0)

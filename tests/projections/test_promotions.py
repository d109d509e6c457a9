"""Which version serves: kept from it by checks that fail, let by somebody, and all of it on record."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest

from opscore import resources
from opscore.database import Database
from opscore.projector import ChecksFail, ProjectionRefused, Projector, answers, read_all
from tests.projections.logs import Log

FEW = """
-- few_orders: no day has as many orders as this.
SELECT kpi.day, kpi.orders FROM kpi_daily AS kpi WHERE kpi.orders > {};
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the projections that a test may edit."""
    return Path(shutil.copytree(resources.path("projections"), tmp_path / "projections"))


def raise_version(folder: Path) -> int:
    """Raise the version of kpi_daily by one, and return it."""
    version = read_all(folder)["kpi_daily"].version
    path = folder / "kpi_daily" / "projection.toml"
    path.write_text(path.read_text("utf-8").replace(f"version = {version}\n", f"version = {version + 1}\n"), "utf-8")
    return version + 1


def add_check(folder: Path, most: str) -> None:
    path = folder / "kpi_daily" / "checks.sql"
    path.write_text(path.read_text("utf-8").partition("\n-- few_orders")[0] + FEW.format(most), "utf-8")


def states(projector: Projector) -> dict[int, str]:
    return {each.entry.version: each.entry.state for each in projector.status() if each.entry.name == "kpi_daily"}


# Checks --------------------------------------------------------------------------------------------------------------


def test_a_version_whose_checks_fail_is_built_and_follows_but_is_not_let_serve(
    log: Log, projector: Projector, database: Database, folder: Path
) -> None:
    log.fill(400)
    first = projector.rebuild("kpi_daily")
    assert first.failed_checks == []
    add_check(folder, "0")
    new = raise_version(folder)
    changed = Projector(database, folder)

    built = changed.rebuild("kpi_daily")

    assert (built.status, built.failing) == ("ready", ["few_orders"])
    (failed,) = built.failed_checks or []
    assert failed["description"] == "no day has as many orders as this."
    assert 0 < len(failed["rows"]) <= answers.CHECK_ROWS_MAX and failed["rows"][0]["orders"] > 0
    (line,) = (line for line in changed.plan() if line.name == "kpi_daily")
    assert (line.action, line.why) == ("nothing", f"version {new} is ready; its checks fail: few_orders")
    changed.compare("kpi_daily", new - 1, new)
    with pytest.raises(ChecksFail, match=r"few_orders of its checks.sql found rows that should not be there.*'orders'"):
        changed.promote("kpi_daily", new, by="owner")
    log.fill(50, seed=4)
    changed.catch_up()
    assert states(changed) == {new - 1: "serving", new: "ready"}
    assert {each.lag for each in changed.status()} == {0}


def test_who_lets_it_serve_all_the_same_is_on_record_with_the_reason(
    log: Log, projector: Projector, database: Database, folder: Path
) -> None:
    log.fill(400)
    projector.rebuild("kpi_daily")
    add_check(folder, "0")
    new = raise_version(folder)
    changed = Projector(database, folder)
    changed.rebuild("kpi_daily")
    compared = changed.compare("kpi_daily", new - 1, new)

    assert changed.promote("kpi_daily", new, by="ann", despite="the check is too strict").status == "serving"
    back = changed.promote("kpi_daily", new - 1, by="ben", despite="not needed")

    assert (back.status, back.promoted_by) == ("serving", "ben")
    latest, forced, first = changed.promotions("kpi_daily")
    assert (forced.version, forced.from_version, forced.promoted_by, forced.despite) == (
        new, new - 1, "ann", "the check is too strict",
    )  # fmt: skip
    assert (latest.version, latest.from_version, latest.promoted_by, latest.despite) == (new - 1, new, "ben", None)
    assert {latest.compare_id, forced.compare_id} == {compared.id}
    assert (first.version, first.from_version, first.promoted_by, first.compare_id) == (new - 1, None, "rebuild", None)
    assert [each.number for each in (latest, forced, first)] == [3, 2, 1]
    assert (latest.position, latest.digest, latest.promoted_at) == (log.head(), back.digest, back.promoted_at)


def test_the_first_version_does_not_serve_when_its_checks_fail_until_somebody_decides(
    log: Log, database: Database, folder: Path
) -> None:
    log.fill(300)
    add_check(folder, "0")
    mine = Projector(database, folder)

    assert mine.rebuild("kpi_daily").status == "ready"

    version = mine.definitions()["kpi_daily"].version
    with pytest.raises(ChecksFail, match=r"few_orders of its checks.sql.*nothing serves until it is mended"):
        mine.run_query("kpi_daily", "totals", store_ids=None)
    assert mine.run_query("kpi_daily", "totals", store_ids=None, version=version), "it can be looked at"
    # A check that was wrong is mended without a new version, and asked again before it serves.
    add_check(folder, "1000000")
    mine.deploy()
    assert mine.promote("kpi_daily", version, by="owner").failed_checks == []
    assert mine.run_query("kpi_daily", "totals", store_ids=None)


def test_a_check_that_takes_too_long_says_nothing_and_one_that_cannot_be_run_fails(
    log: Log, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "CHECK_SECONDS_MAX", 1)
    log.fill(400)
    path = folder / "kpi_daily" / "checks.sql"
    text = path.read_text("utf-8")
    path.write_text(text + "\n-- slow: never ends.\nSELECT pg_sleep(60)::text AS slept, 1 AS row;\n", "utf-8")
    mine = Projector(database, folder)
    built = mine.rebuild("kpi_daily")
    assert (built.status, built.failing) == ("serving", [])
    assert [(each["check"], each["rows"]) for each in built.failed_checks or ()] == [("slow", None)]

    path.write_text(
        text + "\n-- odd: divides by nothing.\nSELECT kpi.orders / 0 AS odd FROM kpi_daily AS kpi;\n", "utf-8"
    )
    raise_version(folder)
    odd = Projector(database, folder).rebuild("kpi_daily")
    assert odd.failing == ["odd"]
    assert (odd.failed_checks or [])[0]["rows"] == [{"error": "division by zero"}]


def test_a_version_that_was_built_before_checks_were_run_is_checked_when_it_is_promoted(
    log: Log, projector: Projector, database: Database, folder: Path, connection: psycopg.Connection[Any]
) -> None:
    log.fill(300)
    projector.rebuild("kpi_daily")
    add_check(folder, "0")
    new = raise_version(folder)
    changed = Projector(database, folder)
    changed.rebuild("kpi_daily")
    changed.compare("kpi_daily", new - 1, new)
    connection.execute("UPDATE projection_catalogue SET failed_checks = NULL")

    with pytest.raises(ChecksFail):
        changed.promote("kpi_daily", new, by="owner")
    assert changed.promotions("kpi_daily")[0].version == new - 1


# The record ----------------------------------------------------------------------------------------------------------


def test_promotions_are_kept_for_ever_and_paged(
    log: Log, projector: Projector, database: Database, folder: Path, connection: psycopg.Connection[Any]
) -> None:
    log.fill(200)
    projector.deploy(by="ann")
    new = raise_version(folder)
    changed = Projector(database, folder)
    changed.rebuild("kpi_daily")
    with pytest.raises(ProjectionRefused, match="first"):
        changed.promote("kpi_daily", new, by="ann")
    changed.compare("kpi_daily", new - 1, new)
    later = changed.compare("kpi_daily", new - 1, new)
    for number in range(4):
        version = new - number % 2
        changed.promote("kpi_daily", version, by=f"user {number}")
        changed.promote("kpi_daily", version, by="asked twice, done once")

    whole = changed.promotions()
    mine = changed.promotions("kpi_daily")

    assert [each.promoted_by for each in mine] == ["user 3", "user 2", "user 1", "user 0", "ann"]
    assert [each.compare_id for each in mine] == [*[later.id] * 4, None], "the latest comparison of the two"
    deployed = len(changed.definitions())
    assert len(whole) == changed.promotions_count(None) == deployed + 4 and changed.promotions_count("kpi_daily") == 5
    pages: list[Any] = []
    while page := changed.promotions(
        after=(pages[-1].promoted_at, pages[-1].name, pages[-1].number) if pages else None, limit=3
    ):
        pages += page
    assert pages == whole
    for statement in ("DELETE FROM projection_promotions", "UPDATE projection_promotions SET promoted_by = 'me'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)

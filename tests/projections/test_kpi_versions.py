"""Definitions of key figures have versions: an edit without a raise is refused, what was in force stays on record."""

from __future__ import annotations

import itertools
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from opscore import kpi_versions, kpis, resources
from opscore.database import Database
from opscore.kpis import Kpi
from opscore.projector import lock
from opscore.projector.lock import EditedWithoutVersion

KPIS = kpis.load()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The package's projections, to be edited."""
    return Path(shutil.copytree(resources.path("projections"), tmp_path / "projections"))


def edit(folder: Path, old: str, new: str) -> None:
    """Change the first place of a text in the folder's kpis.toml."""
    path = folder / "kpis.toml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    kpis.read.cache_clear()


K012 = 'formula = "different paying buyers / visitors of the same window"'


def test_every_version_of_a_key_figure_is_locked() -> None:
    folder = resources.path("projections")
    assert lock.unlocked(folder, kpis.released(KPIS), kpis.LOCK) == [], "run: opscore projections lock"
    lock.refuse_edited(folder, kpis.released(KPIS), kpis.LOCK)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (K012, 'formula = "different paying buyers / page views"'),
        ('counts = "people", of = ["sold"] }', 'counts = "orders", of = ["sold"] }'),
        ("at_least = 5", "at_least = 6"),
        ("matures_days = 15", "matures_days = 30"),
    ],
)
def test_an_edited_definition_is_refused_until_its_version_is_raised(folder: Path, old: str, new: str) -> None:
    edit(folder, old, new)
    with pytest.raises(EditedWithoutVersion, match=r"raise the version in kpis\.toml"):
        kpis.load(folder)


def test_words_about_a_figure_may_change_under_the_same_version(folder: Path) -> None:
    edit(folder, 'name = "Conversion rate"', 'name = "Buyers among visitors"')
    assert kpis.load(folder)["K012"].name == "Buyers among visitors"


def test_a_raised_version_is_locked_beside_the_old_one_and_raises_what_is_made_of_it(folder: Path) -> None:
    edit(folder, f"[K012]\nversion = {KPIS['K012'].version}", "[K012]\nversion = 99")
    edit(folder, K012, 'formula = "other words"')
    # GMV identity multiplies by it: its own meaning has changed.
    with pytest.raises(EditedWithoutVersion, match=r"^K018"):
        kpis.load(folder)
    for code in ("K018", "K063C"):
        edit(folder, f"[{code}]\nversion = {KPIS[code].version}", f"[{code}]\nversion = 99")
    found = kpis.load(folder)
    lock.write(folder, kpis.released(found), kpis.LOCK)
    locked = lock.read(folder, kpis.LOCK)
    assert locked["K012", KPIS["K012"].version] == kpis.released(KPIS)["K012"].digest != locked["K012", 99]


def test_a_definition_is_the_same_read_again_from_what_is_kept() -> None:
    assert {code: kpis.from_json(kpis.as_json(kpi)) for code, kpi in KPIS.items()} == KPIS


def in_force(database: Database, code: str) -> list[tuple[int, bool]]:
    """Return (version, whether it is in force) of each stretch of time, and check that they follow each other."""
    found = kpi_versions.listed(database, code)
    for early, late in itertools.pairwise(found):
        assert early.until is not None and early.since <= early.until <= late.since
    return [(each.kpi.version, each.until is None) for each in found]


def few(*changed: Kpi) -> dict[str, Kpi]:
    """Return three definitions, some of them changed."""
    return {**{code: KPIS[code] for code in ("K017", "K019", "K021")}, **{kpi.code: kpi for kpi in changed}}


def test_what_was_in_force_stays_on_record_with_its_times(database: Database) -> None:
    gmv = KPIS["K017"]
    newer = replace(gmv, version=gmv.version + 1, formula="another meaning")
    kpi_versions.take_into_service(database, few())
    kpi_versions.take_into_service(database, few())
    assert in_force(database, "K017") == [(gmv.version, True)]

    kpi_versions.take_into_service(database, few(newer))
    assert in_force(database, "K017") == [(gmv.version, False), (newer.version, True)]
    assert in_force(database, "K019") == [(KPIS["K019"].version, True)]
    old, new = kpi_versions.listed(database, "K017")
    assert (old.kpi, new.kpi) == (gmv, newer)
    assert old.digest == kpis.released(few())["K017"].digest != new.digest

    # An older program is put back, and a figure is gone.
    without = {code: kpi for code, kpi in few().items() if code != "K019"}
    kpi_versions.take_into_service(database, without)
    assert in_force(database, "K017") == [(gmv.version, False), (newer.version, False), (gmv.version, True)]
    assert in_force(database, "K019") == [(KPIS["K019"].version, False)]


def test_a_version_that_was_in_force_with_another_meaning_is_refused_and_nothing_changes(database: Database) -> None:
    gmv = KPIS["K017"]
    kpi_versions.take_into_service(database, few())
    with pytest.raises(EditedWithoutVersion, match=f"K017: its definition differs from version {gmv.version}"):
        kpi_versions.take_into_service(database, few(replace(gmv, formula="edited")))
    assert kpi_versions.listed(database, "K017")[0].kpi == gmv
    kpi_versions.take_into_service(database, few(replace(gmv, name="Turnover")))
    assert [each.kpi.name for each in kpi_versions.listed(database, "K017")] == ["Turnover"]


def test_many_processes_may_take_the_same_definitions_into_service(database: Database) -> None:
    gmv = KPIS["K017"]
    for version in (1, 2, 3):
        several = few(replace(gmv, version=version, formula=f"meaning {version}"))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda given: kpi_versions.take_into_service(database, given), [several] * 4))
    assert in_force(database, "K017") == [(1, False), (2, False), (3, True)]

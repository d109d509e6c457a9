"""Taobao behaviour: rows become traffic reports and orders, once, and corrections become revisions."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from opscore import kpis
from opscore.database import Database
from opscore.imports.reader import UnreadableFile
from opscore.imports.report import ImportReport
from opscore.imports.taobao_behaviour import import_taobao_behaviour
from opscore.kpis import Asked, KpiGrain
from opscore.projector import Projector
from opscore.settings import Settings
from opscore.writer import Writer

# 1 January 2024, 23:30 and 2 January 00:10 in China.
NIGHT, MORNING = 1704123000, 1704125400
ROWS = f"""\
1,11,5,pv,{NIGHT}
1,12,5,pv,{NIGHT}
1,11,5,buy,{NIGHT}
2,11,5,pv,{NIGHT}
2,11,5,pv,{MORNING}
2,12,5,buy,{MORNING}
2,12,5,buy,{MORNING}
3,11,5,fav,{MORNING}
"""
BAD = "1,11,5,stare,1\n1,11,5\nx,11,5,pv,1704123000\n1,11,5,pv,99999999999\n"


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    made = Writer(database, Settings(_env_file=None))
    made.start()
    yield made
    made.stop()


def book(writer: Writer, folder: Path, text: str, *, name: str = "rows.csv") -> ImportReport:
    file = folder / name
    file.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    return import_taobao_behaviour(writer, file)


def figure(projector: Projector, code: str, day: int) -> tuple[int | None, int | None]:
    window = date(2024, 1, day)
    asked = Asked(window, window, KpiGrain.DAY, None, datetime(2030, 1, 1, tzinfo=UTC))
    [cell] = kpis.cells(projector, kpis.load(), kpis.load()[code], asked).values()
    return tuple(None if side is None else int(side) for side in (cell.numerator, cell.denominator))


def test_rows_become_traffic_and_orders_on_the_days_of_the_store(
    writer: Writer, database: Database, tmp_path: Path
) -> None:
    report = book(writer, tmp_path, ROWS + BAD, name="rows.csv.gz")
    projector = Projector(database)
    projector.deploy()

    assert (report.verdicts["rejected"], report.rows) == (4, 12)
    assert not report.commands_refused
    assert report.commands == {"registerCustomer": 2, "registerSku": 2, "recordOrder": 3, "reportTraffic": 4}
    # Views, buyers by visitors, and visits that were one page and nothing else by visits.
    assert [figure(projector, code, 1) for code in ("K001", "K012", "K004")] == [(3, None), (1, 2), (1, 2)]
    assert [figure(projector, code, 2) for code in ("K001", "K012", "K004")] == [(1, None), (1, 1), (0, 1)]
    assert figure(projector, "K019", 2) == (2, None)
    assert figure(projector, "K017", 2) == (0, None)


def test_the_same_file_twice_adds_nothing_and_more_rows_raise_revisions(
    writer: Writer, database: Database, tmp_path: Path
) -> None:
    book(writer, tmp_path, ROWS)
    assert book(writer, tmp_path, ROWS).added == 0

    more = book(writer, tmp_path, ROWS + f"4,11,5,pv,{MORNING}\n4,11,5,buy,{MORNING}\n")

    assert more.commands == {"registerCustomer": 1, "recordOrder": 1, "reportTraffic": 2}
    projector = Projector(database)
    projector.deploy()
    assert figure(projector, "K012", 2) == (2, 2)
    held = projector.run_query(
        "traffic", "fact_rows", {"as_of": kpis.LATEST, "measures": ["page_views"]}, store_ids=None
    )
    assert [(row["day"].day, row["amount"]) for row in held] == [(1, 3), (2, 2)]


def test_another_kind_of_file_is_refused(writer: Writer, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="expected user, item"):
        book(writer, tmp_path, "a,b\n1,2\n")

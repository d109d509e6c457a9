"""What files look like: exact numbers, no formulas, types where the format has them."""

from __future__ import annotations

import csv
import io
import json
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest

from opscore.exports.datasets import Column, Dataset, Kind
from opscore.exports.formats import Format, FormatNotInstalled, guarded, writer
from opscore.files import appearing
from tests.exports.conftest import Trade

COLUMNS = [
    Column("text", Kind.TEXT), Column("count", Kind.INTEGER), Column("amount", Kind.DECIMAL),
    Column("yes", Kind.BOOLEAN), Column("at", Kind.TIME), Column("day", Kind.DAY), Column("list", Kind.JSON),
]  # fmt: skip
ROWS: list[tuple[Any, ...]] = [
    (
        'a "b", c\nd', -5, Decimal("-12345678901234567890.000000000001"), True,
        datetime(2030, 1, 2, 3, 4, 5, 678901, UTC), date(2030, 1, 2), [UUID(int=7), "x"],
    ),
    (None, None, None, None, None, None, None),
    ("", 2**53, Decimal("0E-6"), False, datetime(1999, 12, 31, tzinfo=UTC), date(1, 1, 1), {"b": 1, "a": "é"}),
]  # fmt: skip


def write(format_: Format, tmp_path: Path, rows: list[tuple[Any, ...]] = ROWS) -> Path:
    file = tmp_path / f"out.{format_}"
    with appearing(file) as out, writer(format_, out, COLUMNS, {"position": 9}) as put:
        for row in rows:
            put([row])
    return file


def test_csv_is_rfc_4180_and_exact(tmp_path: Path) -> None:
    text = write(Format.CSV, tmp_path).read_bytes().decode("utf-8")
    assert text.split("\r\n", 1)[0] == "text,count,amount,yes,at,day,list"
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read[1:] == [
        ['a "b", c\nd', "-5", "-12345678901234567890.000000000001", "true", "2030-01-02T03:04:05.678901Z",
         "2030-01-02", '["00000000-0000-0000-0000-000000000007","x"]'],
        [""] * 7,
        ["", "9007199254740992", "0.000000", "false", "1999-12-31T00:00:00Z", "0001-01-01", '{"b":1,"a":"é"}'],
    ]  # fmt: skip
    assert text.endswith("\r\n")


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20x"]
)  # fmt: skip
def test_a_cell_that_a_spreadsheet_would_run_has_an_apostrophe_in_front(tmp_path: Path, text: str) -> None:
    row = (text, -1, Decimal(-1), None, None, None, [text])
    read = list(csv.reader(io.StringIO(write(Format.CSV, tmp_path, [row]).read_bytes().decode(), newline="")))
    assert read[1][0] == f"'{text}"
    assert read[1][1:3] == ["-1", "-1"], "numbers are ours and stay numbers"
    [line] = write(Format.JSONL, tmp_path, [row]).read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["text"] == text, "for programs it is untouched"


def test_harmless_text_stays_as_it_is() -> None:
    for text in ("", "a=b", "1-1", "'=1", " =1", "a@b", "-5", "-5.25"):
        assert guarded(text) == text


def test_a_name_that_somebody_chose_to_be_a_formula_is_disarmed_from_end_to_end(trade: Trade) -> None:
    sku = trade.shop.sku(code="=cmd|' /C calc'!A0")
    trade.shop.do(trade.shop.order((sku, 1)))
    trade.projector.catch_up()
    _, file = trade.write(Dataset.ORDER_LINES, Format.CSV)
    cells = [row["sku_code"] for row in csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))]
    assert "'=cmd|' /C calc'!A0" in cells
    assert not any(cell.startswith("=") for cell in cells)


def test_json_lines_are_objects_with_decimals_as_strings(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in write(Format.JSONL, tmp_path).read_text(encoding="utf-8").splitlines()]
    assert lines[0] == {
        "text": 'a "b", c\nd', "count": -5, "amount": "-12345678901234567890.000000000001", "yes": True,
        "at": "2030-01-02T03:04:05.678901Z", "day": "2030-01-02",
        "list": ["00000000-0000-0000-0000-000000000007", "x"],
    }  # fmt: skip
    assert set(lines[1].values()) == {None}
    assert lines[2]["list"] == {"b": 1, "a": "é"}


def test_parquet_has_types_and_says_what_it_was_read_at(tmp_path: Path) -> None:
    file = write(Format.PARQUET, tmp_path)
    with duckdb.connect() as reader:
        types = reader.execute(f"DESCRIBE FROM '{file}'").fetchall()
        assert {row[0]: row[1] for row in types} == {
            "text": "VARCHAR", "count": "BIGINT", "amount": "DECIMAL(38,12)", "yes": "BOOLEAN",
            "at": "TIMESTAMP WITH TIME ZONE", "day": "DATE", "list": "VARCHAR",
        }  # fmt: skip
        rows = reader.execute(
            f'SELECT "text", "count", amount, yes, epoch_us("at"), "day"::VARCHAR, "list" FROM \'{file}\''
        ).fetchall()
        assert rows[0][:4] == ROWS[0][:4]
        assert rows[0][4] == int(ROWS[0][4].timestamp()) * 1_000_000 + 678901
        assert rows[0][5:] == ("2030-01-02", '["00000000-0000-0000-0000-000000000007","x"]')
        assert rows[1] == (None,) * 7
        assert rows[2][2] == 0 and rows[2][5] == "0001-01-01"
        facts = reader.execute(
            f"SELECT decode(value) FROM parquet_kv_metadata('{file}') WHERE decode(key) = 'opscore'"
        ).fetchall()
    assert json.loads(facts[0][0]) == {"position": 9}
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.stat().st_mode & 0o777 == 0o600


def test_parquet_of_no_rows_has_its_columns(tmp_path: Path) -> None:
    file = write(Format.PARQUET, tmp_path, [])
    with duckdb.connect() as reader:
        assert len(reader.execute(f"DESCRIBE FROM '{file}'").fetchall()) == len(COLUMNS)
        assert reader.execute(f"SELECT count(*) FROM '{file}'").fetchone() == (0,)


@pytest.mark.parametrize("dataset", list(Dataset))
def test_the_three_formats_hold_the_same_rows(trade: Trade, dataset: Dataset) -> None:
    as_json = trade.rows(dataset)
    _, as_csv = trade.write(dataset, Format.CSV)
    _, as_parquet = trade.write(dataset, Format.PARQUET)
    with as_csv.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    with duckdb.connect() as reader:
        found = reader.execute(f"SELECT count(*) FROM '{as_parquet}'").fetchone()
        names = [row[0] for row in reader.execute(f"DESCRIBE FROM '{as_parquet}'").fetchall()]
    assert found == (len(as_json),) and len(rows) == len(as_json)
    for one, other in zip(rows, as_json, strict=True):
        assert list(one) == list(other) == names
        for name, value in other.items():
            if isinstance(value, bool):
                assert one[name] == str(value).lower()
            elif value is None or isinstance(value, str | int):
                assert one[name].removeprefix("'") == ("" if value is None else str(value)).removeprefix("'")


def test_without_the_extra_parquet_is_refused_with_its_name(
    trade: Trade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FormatNotInstalled, match=r"opscore\[parquet\]") as refused:
        trade.write(Dataset.ORDERS, Format.PARQUET)
    assert refused.value.path == ("format",)
    assert not list(tmp_path.glob("orders*"))
    trade.write(Dataset.ORDERS, Format.CSV)


def test_a_link_stays_and_the_file_it_leads_to_is_made_anew(tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "rows.csv"
    kept.parent.mkdir()
    link = tmp_path / "out.csv"
    link.symlink_to(kept)
    for _ in range(2):
        with appearing(link) as out:
            out.write(b"whole")
        assert link.is_symlink() and kept.read_bytes() == b"whole" and not kept.is_symlink()
    assert list(kept.parent.iterdir()) == [kept]

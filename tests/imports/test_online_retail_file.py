"""What the rows of a retail file mean: classes, opening stock, matching of cancellations, and every row's one place."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from opscore import resources
from opscore.imports.online_retail_file import (
    COLUMNS,
    BadRow,
    Cancellation,
    OpeningStock,
    Operation,
    RowClass,
    Sale,
    Survey,
    amount_minor,
    is_goods,
    loss_kind,
    operations,
    parse,
    rows_of,
    sku_code,
    survey,
)
from opscore.imports.reader import UnreadableFile, read_rows
from opscore.imports.report import ImportReport, RejectFile
from tests.imports.retail_rows import as_table, figures, write_rows

SLICE = resources.path("data") / "online_retail_slice.csv.gz"


def read(file: Path, rejects: Path | None = None) -> tuple[Survey, list[Operation], ImportReport]:
    found, report = survey(file), ImportReport()
    with RejectFile(rejects, COLUMNS, report) as reject_file:
        done = [each for _, each in operations(file, found, report, reject_file) if each is not None]
    return found, done, report


def opening_stock(done: list[Operation]) -> dict[str, int]:
    opening = OpeningStock()
    for operation in done:
        opening.book(operation)
    return opening.needed()


@pytest.mark.parametrize(
    ("invoice", "quantity", "price", "expected"),
    [
        ("489434", "12", "6.95", RowClass.SALE),
        ("C489449", "-12", "2.95", RowClass.CANCELLATION),
        ("489464", "-96", "0.0", RowClass.STOCK_ADJUST),
        ("489521", "4", "0.0", RowClass.ZERO_PRICE),
        ("A506401", "1", "-53594.36", RowClass.BAD_DEBT),
    ],
)
def test_a_row_belongs_to_the_first_class_whose_rule_fits(
    invoice: str, quantity: str, price: str, expected: RowClass
) -> None:
    row = parse(1, [invoice, "21733", "A THING", quantity, "2009-12-01 07:45:00", price, "13085.0", "EIRE"])
    assert row.kind is expected


def test_a_cancellation_may_charge_a_service_but_no_goods() -> None:
    cells = ["C496350", "M", "Manual", "1", "2010-02-01 08:24:00", "373.57", "", "United Kingdom"]
    assert parse(1, cells).kind is RowClass.CANCELLATION
    with pytest.raises(BadRow, match="a cancellation of goods"):
        parse(1, ["C496350", "21733", *cells[2:]])


def test_every_class_of_the_bundled_slice_is_what_duckdb_says() -> None:
    _, _, report = read(SLICE)
    expected = dict(figures(as_table(SLICE), "SELECT class, count(*) FROM retail GROUP BY class"))
    assert dict(report.rows_by_class) == expected


def test_opening_quantities_of_the_bundled_slice_are_what_duckdb_says() -> None:
    expected = dict(
        figures(
            as_table(SLICE),
            """
            WITH moved AS (
                SELECT code, ts, line_no, CASE WHEN class IN ('sale', 'cancellation') THEN -quantity
                    WHEN class = 'stock_adjust' THEN quantity
                    WHEN class = 'zero_price' THEN if(customer IS NULL, quantity, -quantity) ELSE 0 END AS change
                FROM retail WHERE goods),
            balances AS (SELECT code, sum(change) OVER (PARTITION BY code ORDER BY ts, line_no) AS balance FROM moved)
            SELECT code, greatest(0, -min(balance)) FROM balances GROUP BY code
            """,
        )
    )
    _, done, _ = read(SLICE)
    assert opening_stock(done) == {code: units for code, units in expected.items() if units}


def test_booked_in_the_order_of_the_operations_no_balance_goes_below_zero_and_each_touches_it() -> None:
    _, done, _ = read(SLICE)
    opening = opening_stock(done)
    balances, lowest = Counter(opening), dict(opening)
    for operation in done:
        goods = [row for row in rows_of(operation) if is_goods(row.code)]
        for row in goods:
            balances[row.code] += row.stock_change()
        for row in goods:
            lowest[row.code] = min(lowest.get(row.code, 0), balances[row.code])
    assert set(lowest.values()) == {0}


def test_every_row_ends_in_exactly_one_place(tmp_path: Path) -> None:
    file = write_rows(
        tmp_path / "mixed.csv.gz",
        "1,21733,A,2,2010-01-04 09:00:00,1.0,1.0,EIRE",
        "2,21733,A,2,2010-01-04 09:00:00,1.0,,EIRE",
        "1,21733,A,2,2010-01-04 09:00:00,1.0,1.0,EIRE",
        "C3,21733,A,-1,2010-01-04 09:00:00,1.0,1.0,EIRE",
        "4,21733,lost,-1,2010-01-04 09:00:00,0.0,,EIRE",
        "5,POST,nan,1,2010-01-04 09:00:00,0.0,,EIRE",
        "A6,B,Adjust bad debt,1,2010-01-04 09:00:00,-5.5,,EIRE",
        "7,21733,A,many,2010-01-04 09:00:00,1.0,1.0,EIRE",
        "8,21733,A,1",
        "9,21733,A,1,2010-01-04 09:00:00,-1.0,,EIRE",
    )
    _, done, report = read(file, tmp_path / "rejects.csv")
    report_columns = ("row", "verdict", "reason", *COLUMNS)
    rejected = [int(cells[0]) for _, cells in read_rows(tmp_path / "rejects.csv", report_columns)]
    booked = [row.number for each in done for row in rows_of(each)]
    assert sorted(booked + rejected) == list(range(1, 11))
    assert rejected == [6, 8, 9, 10]
    assert dict(report.verdicts) == {"rejected": 3, "no effect": 1}


def test_an_invoice_keeps_equal_rows_as_two_lines_and_is_complete_at_its_last_row(tmp_path: Path) -> None:
    file = write_rows(
        tmp_path / "one.csv",
        "1,21733,A,2,2010-01-04 09:00:00,1.0,1.0,EIRE",
        "2,21733,A,2,2010-01-04 09:00:00,1.0,,EIRE",
        "1,21733,A,2,2010-01-04 09:00:00,1.0,1.0,EIRE",
        "1,85123A,B,1,2010-01-04 09:01:00,1.0,1.0,EIRE",
    )
    _, done, report = read(file)
    assert [(sale.invoice, len(sale.rows), sale.at) for sale in done if isinstance(sale, Sale)] == [
        ("2", 1, datetime(2010, 1, 4, 9, 0, tzinfo=UTC)),
        ("1", 3, datetime(2010, 1, 4, 9, 1, tzinfo=UTC)),
    ]
    assert report.notes["rows equal to another row of their invoice (kept)"] == 1
    assert report.notes["invoices over more than one minute (booked at the last)"] == 1


def test_invoice_dates_are_london_local_time_and_become_utc() -> None:
    summer = parse(1, ["1", "21733", "A", "1", "2010-07-01 00:30:00", "1.0", "", "EIRE"])
    winter = parse(2, ["1", "21733", "A", "1", "2010-01-01 00:30:00", "1.0", "", "EIRE"])
    assert summer.at == datetime(2010, 6, 30, 23, 30, tzinfo=UTC)
    assert winter.at == datetime(2010, 1, 1, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sales", "cancelled", "expected"),
    [
        (["1,X,9.0,5"], "C9,X,9.0,-5", ("1", 1)),
        (["1,X,9.0,5", "2,X,9.0,5"], "C9,X,9.0,-5", ("2", 1)),
        (["1,X,9.0,5", "2,X,8.0,5"], "C9,X,9.0,-5", ("1", 1)),
        (["1,X,9.0,5", "2,X,9.5,5"], "C9,X,8.0,-2", ("2", 1)),
        (["1,X,9.0,4"], "C9,X,9.0,-5", (None, None)),
        (["1,X,9.0,5"], "C9,X,9.5,-5", (None, None)),
        (["1,x,9.0,5"], "C9,X,9.0,-5", (None, None)),
    ],
    ids=["whole line", "latest of two", "same price first", "any price", "too few", "too dear", "other letter case"],
)
def test_a_cancellation_takes_back_the_best_earlier_sale(
    tmp_path: Path, sales: list[str], cancelled: str, expected: tuple[str | None, int | None]
) -> None:
    def row(text: str, minute: int) -> str:
        invoice, letter, price, quantity = text.split(",")
        return f"{invoice},21733{letter},A,{quantity},2010-01-04 09:{minute:02}:00,{price},7.0,EIRE"

    lines = [row(text, minute) for minute, text in enumerate([*sales, cancelled])]
    _, done, _ = read(write_rows(tmp_path / "match.csv", *lines))
    taken_back = done[-1]
    assert isinstance(taken_back, Cancellation)
    assert taken_back.lines[0][1:] == expected


def test_a_sold_unit_is_taken_back_once_only(tmp_path: Path) -> None:
    file = write_rows(
        tmp_path / "twice.csv",
        "1,21733,A,5,2010-01-04 09:00:00,9.0,7.0,EIRE",
        "C2,21733,A,-3,2010-01-04 09:01:00,9.0,7.0,EIRE",
        "C3,21733,A,-3,2010-01-04 09:02:00,9.0,7.0,EIRE",
    )
    _, done, _ = read(file)
    assert [each.lines[0].invoice for each in done if isinstance(each, Cancellation)] == ["1", None]


def test_what_a_cancellation_takes_back_never_exceeds_what_was_sold() -> None:
    _, done, report = read(SLICE)
    sold: dict[tuple[str, int], tuple[int, int]] = {}
    matched = 0
    for each in done:
        if isinstance(each, Sale):
            for line, row in enumerate(each.rows, start=1):
                sold[each.invoice, line] = (row.quantity, amount_minor(row.price, row.quantity))
        elif isinstance(each, Cancellation):
            for row, invoice, line in each.lines:
                if invoice is not None and line is not None:
                    quantity, minor = sold[invoice, line]
                    sold[invoice, line] = (quantity + row.quantity, minor + amount_minor(row.price, row.quantity))
                    assert min(sold[invoice, line]) >= 0
                    matched += 1
    assert matched == report.notes["cancelled rows matched to an earlier sale"] > 250


def test_codes_that_differ_in_letter_case_or_trailing_blanks_are_different_skus() -> None:
    assert len({sku_code(code) for code in ("47503J", "47503j", "47503J ", "47503J  ")}) == 4
    assert sku_code("47503J ") == "47503J%20"


def test_only_five_digits_and_letters_name_goods() -> None:
    assert all(map(is_goods, ("21733", "85123A", "15056BL", "15056bl")))
    assert not any(map(is_goods, ("POST", "M", "gift_0001_30", "DCGS0058", "47503J ", "2173", "AMAZONFEE", "217333")))


def test_a_price_finer_than_a_penny_is_rounded_half_even_and_reported(tmp_path: Path) -> None:
    file = write_rows(
        tmp_path / "fine.csv",
        "1,21733,A,1,2010-01-04 09:00:00,0.001,7.0,EIRE",
        "1,21733,A,5,2010-01-04 09:00:00,0.001,7.0,EIRE",
        "1,21733,A,15,2010-01-04 09:00:00,0.001,7.0,EIRE",
    )
    _, done, report = read(file)
    (sale,) = [each for each in done if isinstance(each, Sale)]
    assert [amount_minor(row.price, row.quantity) for row in sale.rows] == [0, 0, 2]
    assert report.rounding == Decimal("0.001")
    assert report.verdicts["changed"] == 3


@pytest.mark.parametrize(
    ("description", "kind"),
    [
        ("damages", "damaged"),
        ("Damp and rusty", "damaged"),
        ("MIA", "lost"),
        ("missing?", "lost"),
        ("lost?", "lost"),
        ("Donated to The Food Chain charity", None),
        ("nan", None),
        ("?", None),
        ("sold as gold", None),
    ],
)
def test_the_description_of_a_correction_says_what_became_of_the_goods(description: str, kind: str | None) -> None:
    assert loss_kind(description) == kind


def test_a_file_with_another_header_is_refused_with_both_headers_named(tmp_path: Path) -> None:
    file = tmp_path / "other.csv"
    file.write_text("InvoiceNo,StockCode\n1,2\n")
    with pytest.raises(UnreadableFile, match=r"expected the header Invoice,StockCode.* found InvoiceNo,StockCode"):
        survey(file)


def test_a_gzip_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cut.csv.gz"
    file.write_bytes(SLICE.read_bytes()[:100_000])
    with pytest.raises(UnreadableFile, match=r"cut\.csv\.gz"):
        survey(file)


_CELL = st.text(max_size=12) | st.sampled_from(["1", "-1", "0", "NaN", "1e9", "2010-01-04 09:00:00"])
_CELLS = st.lists(_CELL, max_size=10) | st.lists(_CELL, min_size=8, max_size=8)


@given(_CELLS)
@settings(max_examples=300, deadline=None)
def test_any_row_is_understood_or_refused_with_a_sentence(cells: list[str]) -> None:
    try:
        row = parse(1, cells)
    except BadRow as bad:
        assert str(bad)
    else:
        assert row.quantity != 0


@pytest.mark.parametrize(
    "cells",
    [
        "1:2,21733,A,1,2010-01-04 09:00:00,1.0,7.0,EIRE",
        ",21733,A,1,2010-01-04 09:00:00,1.0,7.0,EIRE",
        "1, ,A,1,2010-01-04 09:00:00,1.0,7.0,EIRE",
        f"1,{'9' * 41},A,1,2010-01-04 09:00:00,1.0,7.0,EIRE",
        "1,21733,A\x00B,1,2010-01-04 09:00:00,1.0,7.0,EIRE",
        "1,21733,A,1,2010-01-04 09:00:00,1.0,7.0,",
        "1,21733,A,1,2010-02-30 09:00:00,1.0,7.0,EIRE",
        "1,21733,A,1,2010-01-04 09:00:00,0.0000001,7.0,EIRE",
        "C1,21733,A,1,2010-01-04 09:00:00,1.0,7.0,EIRE",
        "1,21733,A,99999999999,2010-01-04 09:00:00,1.0,7.0,EIRE",
    ],
)
def test_a_row_that_no_command_could_carry_is_refused(cells: str) -> None:
    with pytest.raises(BadRow):
        parse(1, cells.split(","))


def test_a_blank_description_is_no_fault() -> None:
    assert parse(1, ["1", "21733", "", "1", "2010-01-04 09:00:00", "1.0", "", "EIRE"]).description == ""

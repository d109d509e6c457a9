"""What a file of Online Retail II means: the class of each row, the stock it presupposes, and what happened, in order.

The survey learns what cannot be known line by line: which customers and codes there are, and where each invoice ends.
Every later reading yields operations: one per invoice, cancellation, stock correction, sample or bad debt, in the order
in which they were complete.
"""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from opscore.imports.reader import read_rows
from opscore.imports.report import ImportReport, RejectFile, Verdict

COLUMNS = ("Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country")
CURRENCY = "GBP"
TIME_ZONE = "Europe/London"
"""InvoiceDate is local time here."""

_LONDON = ZoneInfo(TIME_ZONE)
_NUMBER = re.compile(r"[A-Za-z0-9._/-]{1,40}")
_CODE = re.compile(r"\S.{0,39}")
_TEXT = re.compile(r".{0,200}")
_GOODS = re.compile(r"[0-9]{5}[A-Za-z]*")
_PENNY = Decimal("0.01")
_NO_TEXT = "nan"
_MOST = 10**9
"""More units, or pounds for one, are a mistake."""
_LOSS_KINDS = (
    (
        "damaged",
        re.compile(r"damag|broke|smash|crush|wet\b|rust|rot|dirty|discolo|mould|quality|faulty|thrown", re.IGNORECASE),
    ),
    ("lost", re.compile(r"missing|lost|gone|mia\b|stolen|can't find", re.IGNORECASE)),
)


class RowClass(enum.StrEnum):
    """What a row is, by the first rule that fits."""

    BAD_DEBT = "bad_debt"
    """Invoice starts with A."""
    CANCELLATION = "cancellation"
    """Invoice starts with C."""
    STOCK_ADJUST = "stock_adjust"
    """Quantity is below zero."""
    ZERO_PRICE = "zero_price"
    """Price is zero."""
    SALE = "sale"
    """Everything else."""


class Row(NamedTuple):
    """One understood row. Quantity in units, price in pounds per unit, `at` in UTC."""

    number: int
    invoice: str
    code: str
    description: str
    quantity: int
    at: datetime
    price: Decimal
    customer: str | None
    country: str
    kind: RowClass
    cells: list[str]

    @property
    def amount(self) -> Decimal:
        """Price times quantity, exact, in pounds."""
        return self.price * self.quantity

    def stock_change(self) -> int:
        """Return by how many units the row moves the stock on hand, if its code holds stock."""
        if self.kind is RowClass.SALE or self.kind is RowClass.CANCELLATION:
            return -self.quantity
        if self.kind is RowClass.STOCK_ADJUST:
            return self.quantity
        if self.kind is RowClass.ZERO_PRICE:
            return -self.quantity if self.customer is not None else self.quantity
        return 0


@lru_cache(maxsize=65536)
def is_goods(code: str) -> bool:
    """Say whether a stock code names goods: five digits and perhaps letters. Anything else is a fee or a service."""
    return _GOODS.fullmatch(code) is not None


def sku_code(code: str) -> str:
    """Return the SKU code of a stock code: the same text, trailing blanks written as %20, for they tell codes apart."""
    bare = code.rstrip(" ")
    return bare + "%20" * (len(code) - len(bare))


def classify(invoice: str, quantity: int, price: Decimal) -> RowClass:
    """Return the class of a row: the first rule that fits."""
    if invoice.startswith("A"):
        return RowClass.BAD_DEBT
    if invoice.startswith("C"):
        return RowClass.CANCELLATION
    if quantity < 0:
        return RowClass.STOCK_ADJUST
    if price == 0:
        return RowClass.ZERO_PRICE
    return RowClass.SALE


def amount_minor(price: Decimal, quantity: int) -> int:
    """Return price times quantity in pence, rounded half-even once."""
    return int((price * quantity * 100).to_integral_value(rounding=ROUND_HALF_EVEN))


def loss_kind(description: str) -> str | None:
    """Return what a stock correction's description says became of the goods: damaged, lost, or None."""
    for kind, words in _LOSS_KINDS:
        if words.search(description):
            return kind
    return None


@lru_cache(maxsize=4096)
def _utc(text: str) -> datetime:
    local = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=_LONDON)
    return local.astimezone(UTC)


@lru_cache(maxsize=65536)
def _price(text: str) -> Decimal:
    price = Decimal(text)
    if not price.is_finite() or -price.as_tuple().exponent > 6 or abs(price) > _MOST:  # type: ignore[operator]
        raise InvalidOperation
    return price


@lru_cache(maxsize=65536)
def _is_clean(text: str, allowed: re.Pattern[str]) -> bool:
    return allowed.fullmatch(text) is not None and text.isprintable()


@lru_cache(maxsize=65536)
def _is_finer_than_a_penny(price: Decimal) -> bool:
    return price != price.quantize(_PENNY, rounding=ROUND_HALF_EVEN)


class BadRow(ValueError):
    """The row cannot be understood; the message says why."""


def parse(number: int, cells: list[str]) -> Row:
    """Return the row, or raise BadRow with a sentence that says what is wrong with it."""
    if len(cells) != len(COLUMNS):
        raise BadRow(f"it has {len(cells)} cells, not {len(COLUMNS)}")
    invoice, code, description, quantity_text, at_text, price_text, customer_text, country = cells
    try:
        quantity = int(quantity_text)
    except ValueError:
        raise BadRow(f"the quantity '{quantity_text}' is no whole number") from None
    if not 0 < abs(quantity) <= _MOST:
        raise BadRow("the quantity is zero or beyond all measure")
    try:
        at = _utc(at_text)
    except ValueError:
        raise BadRow(f"the date '{at_text}' is not of the form 2009-12-01 07:45:00") from None
    try:
        price = _price(price_text)
    except InvalidOperation:
        raise BadRow(f"the price '{price_text}' is no amount of at most six decimal places") from None
    kind = classify(invoice, quantity, price)
    if price < 0 and kind is not RowClass.BAD_DEBT:
        raise BadRow("the price is negative and the invoice is no bad debt")
    if kind is RowClass.CANCELLATION and quantity > 0 and is_goods(code):
        raise BadRow("a cancellation of goods has a quantity below zero")
    customer = customer_text.removesuffix(".0") or None
    for name, text, allowed in (
        ("invoice", invoice, _NUMBER),
        ("stock code", code, _CODE),
        ("description", description, _TEXT),
        ("customer", customer or "0", _NUMBER),
        ("country", country, _CODE),
    ):
        if not _is_clean(text, allowed):
            raise BadRow(f"the {name} is missing, too long, or has signs that do not belong there")
    return Row(number, invoice, code, description, quantity, at, price, customer, country, kind, cells)


@dataclass(slots=True)
class CodeFacts:
    """What the survey learned about one stock code."""

    goods: bool
    """Whether it names goods, which hold stock, or a fee or a service, which holds none."""
    names: Counter[str] = field(default_factory=Counter)
    prices: Counter[Decimal] = field(default_factory=Counter)
    """How many sales were made at which price, in pounds."""

    def name(self, code: str) -> str:
        """Return the description that most sales carry, or the code when there is none."""
        return self.names.most_common(1)[0][0] if self.names else code

    def list_price(self) -> Decimal | None:
        """Return the price that most sales were made at; None when it was never sold."""
        return self.prices.most_common(1)[0][0] if self.prices else None

    def lowest_price(self) -> Decimal | None:
        """Return the lowest price that it was sold at; None when it was never sold."""
        return min(self.prices, default=None)


@dataclass
class Survey:
    """What the first reading of the file learned."""

    codes: dict[str, CodeFacts] = field(default_factory=dict)
    customers: dict[str, str] = field(default_factory=dict)
    """Customer number -> country of their first row."""
    invoice_ends: dict[str, int] = field(default_factory=dict)
    """Number of an invoice or cancellation -> number of its last row."""
    cancelled: set[tuple[str, str, str]] = field(default_factory=set)
    """(customer, code, country) as cancellations name them: the only sales that matching must remember."""
    first_at: datetime | None = None
    """Time of the earliest row, UTC; None when no row can be understood."""
    rows: int = 0


def survey(file: Path, *, progress: Callable[[int], None] = lambda rows: None) -> Survey:
    """Read the file once and return what must be known before the first row can be booked.

    progress: is told the number of rows read so far, now and then.
    """
    found = Survey()
    codes = found.codes
    for number, cells in read_rows(file, COLUMNS):
        found.rows = number
        if number % 10_000 == 0:
            progress(number)
        try:
            row = parse(number, cells)
        except BadRow:
            continue  # The next reading reports it.
        facts = codes.get(row.code)
        if facts is None:
            facts = codes[row.code] = CodeFacts(goods=is_goods(row.code))
        if row.kind is RowClass.SALE:
            facts.prices[row.price] += 1
            if row.description != _NO_TEXT and row.description.strip():
                facts.names[row.description.strip()] += 1
            found.invoice_ends[row.invoice] = number
        elif row.kind is RowClass.CANCELLATION:
            found.invoice_ends[row.invoice] = number
            if row.customer is not None:
                found.cancelled.add((row.customer, row.code, row.country))
        if row.customer is not None:
            found.customers.setdefault(row.customer, row.country)
        if found.first_at is None or row.at < found.first_at:
            found.first_at = row.at
    return found


# What happened ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Sale:
    """An invoice: goods sold and sent at one time. Lines are its rows in file order, numbered from 1."""

    invoice: str
    at: datetime
    customer: str | None
    country: str
    rows: list[Row]


class ReturnedLine(NamedTuple):
    """A cancelled row, and the line of an earlier invoice that it takes back, where there is one."""

    row: Row
    invoice: str | None
    line: int | None


@dataclass(slots=True)
class Cancellation:
    """A C invoice: goods taken back and money given back, on its own day."""

    invoice: str
    at: datetime
    customer: str | None
    country: str
    lines: list[ReturnedLine]


@dataclass(slots=True)
class StockChange:
    """A row that moves stock without money: a correction, a loss, goods found, or a sample given."""

    row: Row


@dataclass(slots=True)
class BadDebt:
    """Money that will not come in."""

    row: Row


Operation = Sale | Cancellation | StockChange | BadDebt


def rows_of(operation: Operation) -> list[Row]:
    """Return the rows that an operation books."""
    if isinstance(operation, Sale):
        return operation.rows
    if isinstance(operation, Cancellation):
        return [line.row for line in operation.lines]
    return [operation.row]


class OpeningStock:
    """Works out the smallest opening quantity per stock code that keeps its balance at zero or above throughout."""

    def __init__(self) -> None:
        self._balance: Counter[str] = Counter()
        self._lowest: dict[str, int] = {}

    def book(self, operation: Operation) -> None:
        """Take in the next operation; codes that hold no stock are left out."""
        goods = [row for row in rows_of(operation) if is_goods(row.code)]
        for row in goods:
            self._balance[row.code] += row.stock_change()
        # An operation is booked as one, so only the balance after it counts.
        for row in goods:
            self._lowest[row.code] = min(self._lowest.get(row.code, 0), self._balance[row.code])

    def needed(self) -> dict[str, int]:
        """Return stock code -> units that must be there before the first operation, where any must."""
        return {code: -lowest for code, lowest in self._lowest.items() if lowest < 0}


@dataclass(slots=True)
class _OpenLine:
    """A sold line of which something may still be taken back."""

    invoice: str
    line: int
    price: Decimal
    quantity_left: int
    minor_left: int


class Matcher:
    """Finds for a cancelled row the customer's earlier sale of the same code to the same country."""

    def __init__(self, wanted: set[tuple[str, str, str]]) -> None:
        self._wanted = wanted
        self._open: dict[tuple[str, str, str], list[_OpenLine]] = {}

    def sold(self, sale: Sale) -> None:
        """Remember the lines of a sale that a later cancellation may name."""
        if sale.customer is None:
            return
        for line, row in enumerate(sale.rows, start=1):
            key = (sale.customer, row.code, row.country)
            if key in self._wanted:
                self._open.setdefault(key, []).append(
                    _OpenLine(sale.invoice, line, row.price, row.quantity, amount_minor(row.price, row.quantity))
                )

    def match(self, row: Row) -> ReturnedLine:
        """Return the row with the line it takes back: the latest one at the same price that has enough quantity and
        money left, else the latest one at any price that has; else with none.
        """
        if row.customer is None or row.quantity >= 0:
            return ReturnedLine(row, None, None)
        quantity, minor = -row.quantity, -amount_minor(row.price, row.quantity)
        fitting = [
            line
            for line in self._open.get((row.customer, row.code, row.country), ())
            if line.quantity_left >= quantity and line.minor_left >= minor
        ]
        if not fitting:
            return ReturnedLine(row, None, None)
        same_price = [line for line in fitting if line.price == row.price]
        chosen = (same_price or fitting)[-1]
        chosen.quantity_left -= quantity
        chosen.minor_left -= minor
        return ReturnedLine(row, chosen.invoice, chosen.line)


def operations(
    file: Path, found: Survey, report: ImportReport, rejects: RejectFile
) -> Iterator[tuple[int, Operation | None]]:
    """Read the file again and yield (row number, operation) as each operation is complete; None marks progress only.

    An invoice is complete at its last row, and happened at that row's time. Every row ends in exactly one place:
    an operation or the reject file.
    """
    matcher = Matcher(found.cancelled)
    pending: dict[str, list[Row]] = {}
    for number, cells in read_rows(file, COLUMNS):
        report.rows = number
        try:
            row = parse(number, cells)
        except BadRow as bad:
            report.rows_by_class["unreadable"] += 1
            rejects.add(number, Verdict.REJECTED, f"{bad}", cells)
            yield number, None
            continue
        kind = row.kind
        report.rows_by_class[kind] += 1
        _note(row, cells, report, rejects)
        if kind is RowClass.SALE or kind is RowClass.CANCELLATION:
            rows = pending.setdefault(row.invoice, [])
            rows.append(row)
            if found.invoice_ends[row.invoice] != number:
                continue
            del pending[row.invoice]
            _note_invoice(rows, report)
            if kind is RowClass.SALE:
                sale = Sale(row.invoice, row.at, rows[0].customer, rows[0].country, rows)
                matcher.sold(sale)
                yield number, sale
            else:
                lines = [matcher.match(each) for each in rows]
                for line in lines:
                    report.notes[
                        "cancelled rows without an earlier sale to match"
                        if line.invoice is None
                        else "cancelled rows matched to an earlier sale"
                    ] += 1
                yield number, Cancellation(row.invoice, row.at, rows[0].customer, rows[0].country, lines)
        elif kind is RowClass.BAD_DEBT:
            yield number, BadDebt(row)
        elif found.codes[row.code].goods:
            yield number, StockChange(row)
        else:
            rejects.add(number, Verdict.NO_EFFECT, "a code that holds no stock, without money", cells)
            yield number, None


def _note(row: Row, cells: list[str], report: ImportReport, rejects: RejectFile) -> None:
    """Count what is odd about a row that is booked all the same."""
    if row.customer is None:
        report.notes["rows without a customer (guests)"] += 1
    if row.description == _NO_TEXT or not row.description.strip():
        report.notes["rows without a description"] += 1
    if "\ufffd" in row.description:
        report.notes["rows with bytes that are no UTF-8"] += 1
    if _is_finer_than_a_penny(row.price) and row.kind in (RowClass.SALE, RowClass.CANCELLATION):
        exact = row.amount
        booked = exact.quantize(_PENNY, rounding=ROUND_HALF_EVEN)
        if booked != exact:
            report.rounding += exact - booked
            rejects.add(row.number, Verdict.CHANGED, f"the amount {exact} is booked as {booked}", cells)
    if row.code != row.code.rstrip(" "):
        rejects.add(row.number, Verdict.CHANGED, f"the code ends in a blank; its SKU is {sku_code(row.code)}", cells)
    if row.kind is RowClass.CANCELLATION and row.quantity > 0:
        rejects.add(row.number, Verdict.CHANGED, "a cancellation with a quantity above zero takes money back", cells)
    if row.kind is RowClass.STOCK_ADJUST and row.price != 0:
        rejects.add(row.number, Verdict.CHANGED, "a stock correction has no money; its price is not booked", cells)


def _note_invoice(rows: list[Row], report: ImportReport) -> None:
    """Count what is odd about an invoice as a whole."""
    first = rows[0]
    if len(rows) > 1:
        repeated = len(rows) - len({row[2:9] for row in rows})
        if repeated:
            report.notes["rows equal to another row of their invoice (kept)"] += repeated
        if rows[-1].at != first.at:
            report.notes["invoices over more than one minute (booked at the last)"] += 1
        if any(row.customer != first.customer or row.country != first.country for row in rows):
            report.notes["invoices with more than one customer or country (the first is taken)"] += 1

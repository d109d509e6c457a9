"""Import the whole Online Retail II file and compare every figure with gold figures that another program computed.

python tests/gold_online_retail.py FILE GOLD [DATA]

FILE is online_retail_ii_2009_2010.csv(.gz); GOLD a folder with or_summary.csv, or2_daily.csv and so on; DATA a folder
for the embedded PostgreSQL, by default a temporary one. Money is compared to the penny: where the gold file has
fractions of a penny (prices of 0.001), opscore must say less by exactly the fractions of the rows behind that figure.
Leaves with status 1 when any figure differs.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from opscore.database import Database, migrate
from opscore.imports.online_retail import import_online_retail
from opscore.imports.online_retail_file import is_goods
from opscore.imports.pipeline import Progress
from opscore.imports.reader import open_text
from opscore.imports.report import ImportReport
from opscore.log.event_log import EventFilter, EventLog, LoggedEvent
from opscore.projector.projector import Projector
from opscore.settings import Settings
from opscore.writer import Writer

LONDON = ZoneInfo("Europe/London")
PROJECTIONS = ("kpi_daily", "order_book", "stock_ledger")


def pounds(minor: int) -> Decimal:
    """Return pence as pounds."""
    return Decimal(minor) / 100


@dataclass
class Fractions:
    """Fractions of a penny in the file, which no amount of opscore has, by what the figures are about."""

    total: Decimal = Decimal(0)
    by: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    @classmethod
    def of(cls, file: Path) -> Fractions:
        """Read them from the file."""
        found = cls()
        with open_text(file) as text:
            for row in csv.DictReader(text):
                if row["Price"] == "0.001":
                    amount = Decimal(row["Price"]) * int(row["Quantity"])
                    found.total += amount
                    for key in (row["InvoiceDate"][:10], row["InvoiceDate"][:7], row["Country"], row["StockCode"]):
                        found.by[key] += amount
        return found


def everything(key: str) -> bool:
    """Leave nothing out of a comparison."""
    return True


class Comparison:
    """Counts figures that are met and prints those that are not."""

    def __init__(self, gold: Path, fractions: Fractions) -> None:
        self.gold = gold
        self.fractions = fractions
        self.differing = 0

    def rows(self, table: str) -> Iterator[dict[str, str]]:
        """Yield the rows of a gold table."""
        with (self.gold / f"{table}.csv").open(newline="") as text:
            yield from csv.DictReader(text)

    def table(self, table: str, key: str, found: dict[str, dict[str, Any]], *, only: Callable[[str], bool]) -> None:
        """Compare the columns that `found` has for each key with the gold table's; `only`: the keys compared."""
        met = differing = 0
        expected = {row[key]: row for row in self.rows(table) if only(row[key])}
        columns = list(next(iter(found.values())))
        for name in expected.keys() | found.keys():
            for column, ours in found.get(name, {}).items():
                theirs = Decimal(expected[name][column]) if name in expected else None
                if isinstance(ours, Decimal) and theirs is not None and column in ("gross_sales", "net_sales"):
                    theirs -= self.fractions.by.get(name, Decimal(0))
                if theirs == ours:
                    met += 1
                else:
                    differing += 1
                    if differing <= 5:
                        print(f"  {table} {name} {column}: {ours} here, {theirs} there")
            if name not in found and any(Decimal(expected[name][column]) for column in columns):
                differing += 1
                print(f"  {table} {name}: missing here")
        self._say(table, met, differing)

    def values(self, table: str, pairs: dict[str, tuple[Any, Any]]) -> None:
        """Compare named pairs of (ours, theirs)."""
        wrong = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        for name, (ours, theirs) in wrong.items():
            print(f"  {table} {name}: {ours} here, {theirs} there")
        self._say(table, len(pairs) - len(wrong), len(wrong))

    def _say(self, table: str, met: int, differing: int) -> None:
        self.differing += differing
        print(f"{table:36} {met:>7,} figures met, {differing:,} differ", flush=True)


class Shown:
    """What opscore answers about the imported store, put together as the gold tables are."""

    def __init__(self, database: Database) -> None:
        self.projector = Projector(database)
        self.log = EventLog(database.pool.connection)
        self.days: dict[str, dict[str, Any]] = {}
        self.countries: dict[str, dict[str, Any]] = defaultdict(
            lambda: {"orders": 0, "customers": 0, "gross_sales": Decimal(0), "cancellations": Decimal(0)}
        )
        self.skus: dict[str, dict[str, Any]] = defaultdict(lambda: {"net_units": 0, "net_sales": Decimal(0)})

    def ask(self, projection: str, query: str, **params: Any) -> list[dict[str, Any]]:
        """Ask a projection over all stores."""
        return self.projector.run_query(projection, query, params, store_ids=None)

    def events(self, kind: str) -> Iterator[LoggedEvent]:
        """Yield every event of a type."""
        after = 0
        while page := self.log.select(EventFilter(types=[kind]), after=after, limit=1000):
            yield from page
            after = page[-1].position

    def read(self) -> None:
        """Ask for days, orders with their lines, and refunds."""
        for day in self.ask("kpi_daily", "days"):
            self.days[day["day"].isoformat()] = {
                "orders": day["orders"],
                "customers": day["customers"],
                "units_sold": 0,
                "units_cancelled": 0,
                "gross_sales": pounds(day["gross_minor"]),
                "cancellations": pounds(day["refunded_minor"]),
                "net_sales": pounds(day["net_sales_minor"]),
            }
        self._read_orders()
        for refund in self.events("OrderRefunded"):
            day_of = self.days[refund.occurred_at.astimezone(LONDON).date().isoformat()]
            for line in refund.data["lines"]:
                units = int(line["quantity"]) * (1 if line["amount_minor"] >= 0 else -1)
                day_of["units_cancelled"] += units
                self.skus[line["sku_code"]]["net_units"] -= units
                self.skus[line["sku_code"]]["net_sales"] -= pounds(line["amount_minor"])

    def _read_orders(self) -> None:
        buyers: dict[str, set[UUID]] = defaultdict(set)
        orders = self.ask("order_book", "orders", row_limit=1_000_000)
        for order in orders:
            country = self.countries[order["region"]]
            country["cancellations"] += pounds(order["refunded_minor"])
            if order["kind"] == "sale":
                country["orders"] += 1
                country["gross_sales"] += pounds(order["goods_minor"])
                if order["customer_id"] is not None:
                    buyers[order["region"]].add(order["customer_id"])
        for name, country in self.countries.items():
            country["customers"] = len(buyers[name])
            country["net_sales"] = country["gross_sales"] - country["cancellations"]
        sales = {order["order_id"]: order for order in orders if order["kind"] == "sale"}
        ids = list(sales)
        for start in range(0, len(ids), 1000):
            for line in self.ask("order_book", "lines", order_ids=ids[start : start + 1000]):
                day = sales[line["order_id"]]["placed_at"].astimezone(LONDON).date().isoformat()
                self.days[day]["units_sold"] += int(line["quantity"])
                self.skus[line["sku_code"]]["net_units"] += int(line["quantity"])
                self.skus[line["sku_code"]]["net_sales"] += pounds(line["amount_minor"])


def compare(database: Database, report: ImportReport, comparison: Comparison) -> None:
    """Compare every gold table that is about what was booked."""
    shown = Shown(database)
    shown.read()
    comparison.table("or2_daily", "date", shown.days, only=everything)
    months = {
        month["starts_on"].strftime("%Y-%m"): {
            "orders": month["orders"],
            "customers": month["customers"],
            "gross_sales": pounds(month["gross_minor"]),
            "cancellations": pounds(month["refunded_minor"]),
            "net_sales": pounds(month["net_sales_minor"]),
        }
        for month in shown.ask("kpi_daily", "periods", grain="month")
    }
    comparison.table("or2_monthly", "month", months, only=everything)
    comparison.table("or2_country", "country", shown.countries, only=everything)
    _compare_top(comparison, shown)
    _compare_stock(comparison, shown)
    _compare_summary(comparison, shown, report)


def _compare_top(comparison: Comparison, shown: Shown) -> None:
    top = shown.ask("order_book", "top_skus", row_limit=1_000_000)
    sold = [
        (each["sku_code"], {"units_sold": int(each["units"]), "gross_sales": pounds(each["amount_minor"])})
        for each in top
    ]
    goods = [(code, figures) for code, figures in sold if is_goods(code)]
    net = sorted(
        ((code, figures) for code, figures in shown.skus.items() if is_goods(code)),
        key=lambda each: (-each[1]["net_sales"], each[0]),
    )
    for table, ranked in (
        ("or2_top20_sku_gross", sold),
        ("or2_top20_sku_gross_merchandise", goods),
        ("or2_top20_sku_net", net),
    ):
        comparison.table(table, "sku", dict(ranked[:20]), only=everything)
        order = [row["sku"] for row in comparison.rows(table)]
        comparison.values(f"{table} (order)", {"codes": ([code for code, _ in ranked[:20]], order)})


def _compare_stock(comparison: Comparison, shown: Shown) -> None:
    moved: dict[str, Counter[str]] = defaultdict(Counter)
    for each in shown.ask("stock_ledger", "total_movements"):
        moved[each["code"]][each["kind"]] += int(each["on_hand"])
    closing: Counter[str] = Counter()
    for level in shown.ask("stock_ledger", "levels"):
        closing[level["code"]] += int(level["on_hand"])
    ledger = {
        code: {
            "opening_needed": kinds["received"],
            "sum_delta": sum(units for kind, units in kinds.items() if kind != "received"),
            "closing": closing[code],
        }
        for code, kinds in moved.items()
    }
    comparison.table("or2_sku_ledger", "sku", ledger, only=is_goods)
    movement = {code: {"sold": -kinds["shipped"], "cancelled": kinds["returned"]} for code, kinds in moved.items()}
    comparison.table("or2_sku_movement", "sku", movement, only=is_goods)
    without_money = {
        row["sku"]: int(row["adjusted"]) + int(row["zero_price_qty"])
        for row in comparison.rows("or2_sku_movement")
        if is_goods(row["sku"])
    }
    comparison.values(
        "or2_sku_movement (without money)",
        {
            code: (moved[code]["adjusted"] + moved[code]["written_off"] - moved[code]["sample"], units)
            for code, units in without_money.items()
        },
    )


def _compare_summary(comparison: Comparison, shown: Shown, report: ImportReport) -> None:
    (gold,) = comparison.rows("or_summary")
    (total,) = shown.ask("kpi_daily", "totals")
    fractions = comparison.fractions.total
    merchandise = sum(
        (
            pounds(each["amount_minor"])
            for each in shown.ask("order_book", "top_skus", row_limit=1_000_000)
            if is_goods(each["sku_code"])
        ),
        Decimal(0),
    )
    expenses = sum(event.data["amount_minor"] for event in shown.events("ExpenseRecorded"))
    comparison.values(
        "or_summary",
        {
            "gross_sales": (pounds(total["gross_minor"]), Decimal(gold["gross_sales"]) - fractions),
            "cancellations": (pounds(total["refunded_minor"]), Decimal(gold["cancellations"])),
            "net_sales": (pounds(total["net_sales_minor"]), Decimal(gold["net_sales"]) - fractions),
            "gross_sales_merchandise": (merchandise, Decimal(gold["gross_sales_merchandise"])),
            "bad_debt": (-pounds(expenses), Decimal(gold["bad_debt"])),
            "orders": (total["orders"], int(gold["orders"])),
            "customers": (total["customers"], int(gold["customers"])),
            "repeat_customers": (total["repeat_customers"], int(gold["repeat_customers"])),
            "units_sold": (sum(day["units_sold"] for day in shown.days.values()), int(gold["units_sold"])),
            "units_cancelled": (
                sum(day["units_cancelled"] for day in shown.days.values()),
                int(gold["units_cancelled"]),
            ),
            "rounding reported": (report.rounding, fractions),
            **{
                f"{name} rows": (report.rows_by_class[name], int(gold[f"{name}_rows"])) for name in report.rows_by_class
            },
        },
    )


def show(progress: Progress) -> None:
    """Print how far the import is."""
    left = "" if progress.eta_seconds is None else f", {progress.eta_seconds:.0f} s left"
    print(f"\r{progress.phase}: {progress.done:,} rows, {progress.rate:,.0f}/s{left}    ", end="", flush=True)


def run(file: Path, gold: Path, data: Path) -> int:
    """Import, build the read models, compare; return how many figures differ."""
    settings = Settings(_env_file=None, data_dir=data, port=0)
    with Database.open(settings) as database:
        migrate(database)
        writer = Writer(database, settings)
        writer.start()
        try:
            report = import_online_retail(writer, file, rejects=data / "rejects.csv", progress=show)
        finally:
            writer.stop()
        print("\n" + "\n".join(report.lines()))
        projector = Projector(database)
        for name in PROJECTIONS:
            projector.rebuild(name)
        comparison = Comparison(gold, Fractions.of(file))
        compare(database, report, comparison)
    return comparison.differing


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="opscore-gold-") as temporary:
        folder = Path(sys.argv[3] if len(sys.argv) == 4 else temporary)
        sys.exit(1 if run(Path(sys.argv[1]), Path(sys.argv[2]), folder) else 0)

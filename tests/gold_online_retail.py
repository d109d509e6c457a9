"""Import the whole Online Retail II file and compare every figure with gold figures that another program computed.

python tests/gold_online_retail.py FILE GOLD [DATA]

FILE is online_retail_ii_2009_2010.csv(.gz); GOLD a folder with or_summary.csv, or2_daily.csv and so on; DATA a folder
for the embedded PostgreSQL, by default a temporary one. Money is compared to the penny: where the gold file has
fractions of a penny (prices of 0.001), opscore must say less by exactly the fractions of the rows behind that figure.
Leaves with status 1 when any figure differs.

Not compared, because it is about the file and not about what was booked: or2_dirt (blanks, duplicates, spellings),
or2_cancellation_match (how many ways there are to match a C invoice to a sale), and of or_summary the first and last
times, rows without a customer, sums over all rows, and units of rows that are no sale. cancellation_invoices: a C
invoice that gives back units of several orders is a return of each of them. repeat_days_customers is counted over the
order book, since K034 leaves orders out that were refunded wholly.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import uvicorn

from opscore.app import create_app
from opscore.database import Database
from opscore.domain.command import Role
from opscore.imports.online_retail import import_online_retail
from opscore.imports.online_retail_file import is_goods
from opscore.imports.pipeline import Progress
from opscore.imports.reader import open_text
from opscore.imports.report import ImportReport
from opscore.migrations import migrate
from opscore.projector import Projector
from opscore.settings import Settings
from opscore.tokens import create_token
from opscore.writer import Writer

LONDON = ZoneInfo("Europe/London")
PAGE = 100
SALES = "orders customers gross { amount } refunded { amount } netSales { amount }"


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


def sales(row: dict[str, Any]) -> dict[str, Any]:
    """Return what the API says of sales under the gold tables' names."""
    return {
        "orders": row["orders"],
        "customers": row["customers"],
        "gross_sales": Decimal(row["gross"]["amount"]),
        "cancellations": Decimal(row["refunded"]["amount"]),
        "net_sales": Decimal(row["netSales"]["amount"]),
    }


def local_day(moment: str) -> str:
    """Return the day in London of an ISO time with offset."""
    return datetime.fromisoformat(moment).astimezone(LONDON).date().isoformat()


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
        with (self.gold / f"{table.split()[0]}.csv").open(newline="") as text:
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
    """What opscore answers about the imported store over GraphQL, put together as the gold tables are."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.codes: dict[str, str] = {}
        self.days_of: dict[str, set[str]] = defaultdict(set)
        (total,) = self.ask(
            f'{{ kpiTotals(fromDay: "1970-01-01", toDay: "2100-01-01") {{ firstDay lastDay {SALES} }} }}'
        )
        self.window = f'fromDay: "{total["firstDay"]}", toDay: "{total["lastDay"]}"'
        self.days: dict[str, dict[str, Any]] = {}
        self.countries: dict[str, dict[str, Any]] = defaultdict(
            lambda: {"orders": 0, "customers": 0, "gross_sales": Decimal(0), "cancellations": Decimal(0)}
        )
        self.skus: dict[str, dict[str, Any]] = defaultdict(
            lambda: {"units_sold": 0, "gross_sales": Decimal(0), "net_units": 0, "net_sales": Decimal(0)}
        )

    def ask(self, query: str, **variables: Any) -> Any:
        """Return what the one field of a query answers."""
        answer = self.client.post("/graphql", json={"query": query, "variables": variables}).json()
        if "errors" in answer:
            raise SystemExit(f"{query}\n{answer['errors']}")
        (data,) = answer["data"].values()
        return data

    def kpi(self, code: str, grain: str, more: str = "", window: str = "") -> list[dict[str, Any]]:
        """Return the rows of a key figure over all days on which something was sold, or a window of its own."""
        asked = f'code: "{code}", {window or self.window}, grain: {grain}, {more}'
        query = f"{{ kpi({asked}) {{ rows {{ startsOn slice value numerator }} }} }}"
        rows: list[dict[str, Any]] = self.ask(query)["rows"]
        return rows

    def pages(self, field: str, arguments: str, selection: str) -> Iterator[dict[str, Any]]:
        """Yield every node of a connection."""
        query = (
            f"query ($after: String) {{ {field}({arguments} first: {PAGE}, after: $after)"
            f" {{ nodes {{ {selection} }} pageInfo {{ hasNextPage endCursor }} }} }}"
        )
        after = None
        while True:
            page = self.ask(query, after=after)
            yield from page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]

    def events(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield every event of a type."""
        return self.pages("events", f'filter: {{types: ["{kind}"]}},', "occurredAt data")

    def of_skus(self, field: str, selection: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a field that is asked for a hundred articles at once, for all that hold stock."""
        ids = [sku["id"] for sku in self.pages("skus", "", "id mode") if sku["mode"] == "STOCKED"]
        query = f"query ($ids: [ID!]!) {{ {field}(skuIds: $ids) {{ {selection} }} }}"
        for start in range(0, len(ids), PAGE):
            yield from self.ask(query, ids=ids[start : start + PAGE])

    def read(self) -> None:
        """Ask for days, orders with their lines, and refunds."""
        self.codes = {sku["id"]: sku["code"] for sku in self.pages("skus", "", "id code")}
        for day in self.ask(f"{{ kpiDaily({self.window}) {{ day {SALES} }} }}"):
            self.days[day["day"]] = {**sales(day), "units_sold": 0, "units_cancelled": 0}
        self._read_orders()
        for refund in self.events("OrderRefunded"):
            day_of = self.days[local_day(refund["occurredAt"])]
            for line in refund["data"]["lines"]:
                units = int(line["quantity"]) * (1 if line["amount_minor"] >= 0 else -1)
                day_of["units_cancelled"] += units
                self.skus[line["sku_code"]]["net_units"] -= units
                self.skus[line["sku_code"]]["net_sales"] -= pounds(line["amount_minor"])

    def _read_orders(self) -> None:
        buyers: dict[str, set[str]] = defaultdict(set)
        for order in self.pages(
            "orders",
            "",
            "kind region customerId placedAt goods { amount } refunded { amount }"
            " lines { skuCode quantity amount { amount } }",
        ):
            country = self.countries[order["region"]]
            country["cancellations"] += Decimal(order["refunded"]["amount"])
            if order["kind"] != "SALE":
                continue
            country["orders"] += 1
            country["gross_sales"] += Decimal(order["goods"]["amount"])
            if order["customerId"] is not None:
                buyers[order["region"]].add(order["customerId"])
                self.days_of[order["customerId"]].add(local_day(order["placedAt"]))
            day = self.days[local_day(order["placedAt"])]
            for line in order["lines"]:
                units, amount = int(line["quantity"]), Decimal(line["amount"]["amount"])
                day["units_sold"] += units
                sku = self.skus[line["skuCode"]]
                sku["units_sold"] += units
                sku["gross_sales"] += amount
                sku["net_units"] += units
                sku["net_sales"] += amount
        for name, country in self.countries.items():
            country["customers"] = len(buyers[name])
            country["net_sales"] = country["gross_sales"] - country["cancellations"]

    def best(self, measure: str, columns: tuple[str, ...], *, goods: bool) -> list[tuple[str, dict[str, Any]]]:
        """Return the twenty codes with the highest of a measure, ties by code, each with these columns."""
        ranked = sorted(
            (each for each in self.skus.items() if is_goods(each[0]) or not goods),
            key=lambda each: (-each[1][measure], each[0]),
        )
        return [(code, {column: sku[column] for column in columns}) for code, sku in ranked[:20]]


def compare(shown: Shown, report: ImportReport, comparison: Comparison) -> None:
    """Compare every gold table that is about what was booked."""
    shown.read()
    comparison.table("or2_daily", "date", shown.days, only=everything)
    periods = shown.ask(f"{{ kpiPeriods(grain: MONTH, {shown.window}) {{ startsOn {SALES} }} }}")
    months = {month["startsOn"][:7]: sales(month) for month in periods}
    comparison.table("or2_monthly", "month", months, only=everything)
    comparison.table("or2_country", "country", shown.countries, only=everything)
    _compare_kpis(comparison, shown)
    for table, measure, columns, goods in (
        ("or2_top20_sku_gross", "gross_sales", ("units_sold", "gross_sales"), False),
        ("or2_top20_sku_gross_merchandise", "gross_sales", ("units_sold", "gross_sales"), True),
        ("or2_top20_sku_net", "net_sales", ("net_units", "net_sales"), True),
    ):
        ranked = shown.best(measure, columns, goods=goods)
        comparison.table(table, "sku", dict(ranked), only=everything)
        order = [row["sku"] for row in comparison.rows(table)]
        comparison.values(f"{table} (order)", {"codes": ([code for code, _ in ranked], order)})
    top = shown.ask("{ topSkus(first: 20) { skuCode units amount { amount } } }")
    answered = {
        each["skuCode"]: {"units_sold": int(each["units"]), "gross_sales": Decimal(each["amount"]["amount"])}
        for each in top
    }
    comparison.table("or2_top20_sku_gross (topSkus)", "sku", answered, only=everything)
    _compare_stock(comparison, shown)
    _compare_summary(comparison, shown, report)


YEARS = 'fromDay: "2005-01-01", toDay: "2014-12-31"'
"""Around the days of the file: customers are registered before they buy."""
KPI_COLUMNS = {"K019": "orders", "K017": "gross_sales", "K023R": "cancellations", "K023": "net_sales"}


def _compare_kpis(comparison: Comparison, shown: Shown) -> None:
    """Ask the key figures for what the daily figures have said: by day, by month, in all, and by article."""
    for grain, table, key, cut in (("DAY", "or2_daily", "date", 10), ("MONTH", "or2_monthly", "month", 7)):
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        for code, column in KPI_COLUMNS.items():
            for row in shown.kpi(code, grain):
                value = Decimal(row["value"])
                found[row["startsOn"][:cut]][column] = int(value) if column == "orders" else value
        whole = dict.fromkeys(KPI_COLUMNS.values(), Decimal(0))
        comparison.table(
            f"{table} (kpi)", key, {name: {**whole, **row} for name, row in found.items()}, only=everything
        )
    best = shown.kpi("K017", "TOTAL", "by: SKU, top: 20")
    answered = {
        shown.codes[row["slice"]]: {"gross_sales": Decimal(row["value"])} for row in best if row["slice"] is not None
    }
    comparison.table("or2_top20_sku_gross (kpi)", "sku", answered, only=everything)


def _compare_stock(comparison: Comparison, shown: Shown) -> None:
    moved: dict[str, Counter[str]] = defaultdict(Counter)
    for each in shown.of_skus("stockMovementTotals", "skuCode kind onHand"):
        moved[each["skuCode"]][each["kind"]] += int(each["onHand"])
    closing: Counter[str] = Counter()
    for level in shown.of_skus("stockLevels", "skuCode onHand"):
        closing[level["skuCode"]] += int(level["onHand"])
    ledger = {
        code: {
            "opening_needed": kinds["received"],
            "sum_delta": sum(units for kind, units in kinds.items() if kind != "received"),
            "closing": closing[code],
        }
        for code, kinds in moved.items()
    }
    comparison.table("or2_sku_ledger", "sku", ledger, only=is_goods)
    # The total has codes too that are no goods and move no stock here.
    (total,) = comparison.rows("or2_sku_ledger_total")
    others = [row for row in comparison.rows("or2_sku_ledger") if not is_goods(row["sku"])]
    comparison.values(
        "or2_sku_ledger_total",
        {
            column: (
                sum(sku[column] for sku in ledger.values()) + sum(int(row[column]) for row in others),
                int(total[column]),
            )
            for column in ("sum_delta", "opening_needed", "closing")
        },
    )
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
    (total,) = shown.ask(f"{{ kpiTotals({shown.window}) {{ repeatCustomers {SALES} }} }}")
    found = sales(total)
    fractions = comparison.fractions.total
    goods = [sku["gross_sales"] for code, sku in shown.skus.items() if is_goods(code)]
    expenses = sum(event["data"]["amount_minor"] for event in shown.events("ExpenseRecorded"))
    comparison.values(
        "or_summary",
        {
            "gross_sales": (found["gross_sales"], Decimal(gold["gross_sales"]) - fractions),
            "cancellations": (found["cancellations"], Decimal(gold["cancellations"])),
            "net_sales": (found["net_sales"], Decimal(gold["net_sales"]) - fractions),
            "gross_sales_merchandise": (sum(goods, Decimal(0)), Decimal(gold["gross_sales_merchandise"])),
            "bad_debt": (-pounds(expenses), Decimal(gold["bad_debt"])),
            "orders": (found["orders"], int(gold["orders"])),
            "customers": (found["customers"], int(gold["customers"])),
            "repeat_customers": (total["repeatCustomers"], int(gold["repeat_customers"])),
            "units_sold": (sum(day["units_sold"] for day in shown.days.values()), int(gold["units_sold"])),
            "units_cancelled": (
                sum(day["units_cancelled"] for day in shown.days.values()),
                int(gold["units_cancelled"]),
            ),
            "aov": (
                round(Decimal(shown.kpi("K021", "TOTAL")[0]["value"]), 5),
                round(Decimal(gold["aov"]) - fractions / int(gold["orders"]), 5),
            ),
            "repeat_rate": (
                round(Decimal(total["repeatCustomers"]) / found["customers"], 8),
                Decimal(gold["repeat_rate"]),
            ),
            "repeat_days_customers": (
                sum(len(days) > 1 for days in shown.days_of.values()),
                int(gold["repeat_days_customers"]),
            ),
            "customers_any_row (K030)": (
                int(Decimal(shown.kpi("K030", "TOTAL", window=YEARS)[0]["value"])),
                int(gold["customers_any_row"]),
            ),
            "rounding reported": (report.rounding, fractions),
            **{
                f"{name} rows": (report.rows_by_class[name], int(gold[f"{name}_rows"])) for name in report.rows_by_class
            },
        },
    )


@contextmanager
def served(settings: Settings) -> Iterator[httpx.Client]:
    """Serve the database on a port of this machine and give a client with the owner's token."""
    app = create_app(settings)
    running = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.05)
    port = running.servers[0].sockets[0].getsockname()[1]
    token = create_token(app.state.server.database, "gold", Role.OWNER)[1]
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120) as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.1)
        yield client
    running.should_exit = True
    thread.join()


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
        Projector(database).deploy(by="gold")
    comparison = Comparison(gold, Fractions.of(file))
    with served(settings) as client:
        compare(Shown(client), report, comparison)
    return comparison.differing


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="opscore-gold-") as temporary:
        folder = Path(sys.argv[3] if len(sys.argv) == 4 else temporary)
        sys.exit(1 if run(Path(sys.argv[1]), Path(sys.argv[2]), folder) else 0)

"""Importing a retail file: again, in overlapping parts, after a kill, with rows that changed, and beside other data."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from opscore import resources
from opscore.database import Database
from opscore.domain.command import Actor, Role
from opscore.domain.customer_commands import RegisterCustomer
from opscore.domain.order import Order
from opscore.domain.sku import Sku
from opscore.domain.values import derived_id
from opscore.imports.online_retail import IMPORTER, ImportStopped, RetailStore, import_online_retail
from opscore.imports.online_retail_file import COLUMNS
from opscore.imports.pipeline import Progress
from opscore.imports.reader import read_rows
from opscore.imports.report import ImportReport
from opscore.log.event_log import EventFilter, EventLog, LoggedEvent
from opscore.settings import Settings
from opscore.writer import Writer
from tests.conftest import MASTER_KEY
from tests.imports.retail_rows import write_rows
from tests.shop import Shop

SLICE = resources.path("data") / "online_retail_slice.csv.gz"


class Desk:
    """A writer on a database of its own, and what was recorded through it."""

    def __init__(self, writer: Writer, folder: Path) -> None:
        self.writer = writer
        self.folder = folder
        self.log = EventLog(writer.database.pool.connection)

    def book(self, *rows: str, **options: Any) -> ImportReport:
        file = write_rows(self.folder / "rows.csv", *rows)
        return import_online_retail(self.writer, file, rejects=self.folder / "rejects.csv", **options)

    def events(self, *types: str) -> list[LoggedEvent]:
        found: list[LoggedEvent] = []
        while page := self.log.select(
            EventFilter(types=types), after=found[-1].position if found else None, limit=1000
        ):
            found += page
        return found

    def rejects(self) -> list[tuple[str, str, str]]:
        with (self.folder / "rejects.csv").open(newline="") as file:
            return [(row["row"], row["verdict"], row["reason"]) for row in csv.DictReader(file)]

    @property
    def store_id(self) -> Any:
        return self.events("StoreApplied")[-1].stream_id

    def sku(self, code: str) -> Sku:
        sku = self.log.aggregate(Sku, derived_id("sku", self.store_id, code))
        assert sku is not None
        return sku

    def order(self, reference: str) -> Order:
        order = self.log.aggregate(Order, derived_id("order", self.store_id, reference))
        assert order is not None
        return order


@pytest.fixture
def desk(database: Database, settings: Settings, tmp_path: Path) -> Iterator[Desk]:
    writer = Writer(database, settings)
    writer.start()
    yield Desk(writer, tmp_path)
    writer.stop()


def sold(
    invoice: str, quantity: int, day: int = 4, *, code: str = "21733", price: str = "9.0", who: str = "7.0"
) -> str:
    return f"{invoice},{code},A THING,{quantity},2010-01-{day:02} 09:00:00,{price},{who},EIRE"


def meaning(desk: Desk) -> list[tuple[Any, ...]]:
    """What the log says happened to orders and stock, whoever recorded it when and in which run."""
    return sorted(
        (event.type, str(event.stream_id), event.occurred_at.isoformat(), str(event.data))
        for event in desk.events(
            "OrderPlaced", "OrderPaid", "OrderRefunded", "StockShipped", "StockReturned", "StockAdjusted"
        )
    )


def test_the_store_is_opened_by_its_seven_steps(desk: Desk) -> None:
    desk.book(sold("1", 1))
    assert [event.type for event in desk.events() if event.stream_type == "Store"] == [
        "StoreApplied",
        "PaymentAccountCertified",
        "StoreInfoSubmitted",
        "StoreAgreementSigned",
        "StoreAuditStarted",
        "StoreAuditPassed",
        "PaymentMethodsSet",
        "CouriersSet",
        "LocationAdded",
        "StoreOpened",
    ]


def test_an_invoice_is_an_order_placed_paid_and_shipped_at_its_time(desk: Desk) -> None:
    desk.book(sold("1", 2), sold("1", 2), sold("1", 1, code="POST", price="18.0"))
    order = desk.order("1")
    assert order.status == "shipped"
    assert [(line.sku_code, line.ordered, line.amount_minor, line.service) for line in order.lines] == [
        ("21733", 2, 1800, False),
        ("21733", 2, 1800, False),
        ("POST", 1, 1800, True),
    ]
    assert desk.sku("21733").on_hand == 0
    assert {event.occurred_at.isoformat() for event in desk.events("OrderPaid", "OrderShipped", "StockShipped")} == {
        "2010-01-04T09:00:00+00:00"
    }


def test_the_same_rows_in_another_file_add_nothing(desk: Desk) -> None:
    rows = [sold("1", 5), sold("2", 3), sold("C3", -1, 5), sold("4", -1, 6, price="0.0"), sold("4", -1, 6, price="0.0")]
    desk.book(*rows)
    head = desk.log.head()
    report = desk.book(*rows[:4])
    assert desk.log.head() == head
    assert report.added == 0


def test_files_that_overlap_come_to_the_same_as_one_file(database: Database, desk: Desk, tmp_path: Path) -> None:
    rows = [sold(str(day), day, day) for day in range(1, 10)] + [sold("C8", -2, 10), sold("11", -1, 11, price="0.0")]
    for first, last in ((0, 4), (2, 7), (5, 11)):
        desk.book(*rows[first:last])
    received = sum(Decimal(event.data["quantity"]) for event in desk.events("StockReceived"))
    assert received == sum(range(1, 10))
    assert desk.sku("21733").on_hand == received - sum(range(1, 10)) + 2 - 1
    assert len(desk.events("OrderPlaced")) == 9
    assert len(desk.events("OrderRefunded")) == 1


def test_an_invoice_that_gained_rows_gets_a_supplementary_order_once(desk: Desk) -> None:
    desk.book(sold("1", 5), sold("1", 2, code="85123A"))
    longer = [sold("1", 5), sold("1", 2, code="85123A"), sold("1", 2, code="85123A"), sold("1", 1, code="22423")]
    report = desk.book(*longer)
    assert report.notes["invoices that gained rows (booked as a supplementary order)"] == 1
    assert [(line.sku_code, line.ordered) for line in desk.order("1+1").lines] == [("85123A", 2), ("22423", 1)]
    head = desk.log.head()
    assert desk.book(*longer).added == 0
    assert desk.book(sold("1", 5)).added == 0
    assert desk.log.head() == head


def test_a_cancellation_that_changed_is_left_to_a_person(desk: Desk) -> None:
    desk.book(sold("1", 5), sold("C2", -1, 5))
    head = desk.log.head()
    report = desk.book(sold("1", 5), sold("C2", -1, 5), sold("C2", -2, 5))
    assert desk.log.head() == head
    assert report.verdicts["rejected"] == 2
    assert desk.rejects() == [
        (str(row), "rejected", "this cancellation was booked before with other rows; book the difference by hand")
        for row in (2, 3)
    ]


def test_a_cancellation_of_two_invoices_goes_back_to_both_and_to_none(desk: Desk) -> None:
    desk.book(
        sold("1", 5),
        sold("2", 5, 5, code="85123A"),
        sold("C3", -2, 6),
        sold("C3", -5, 6, code="85123A"),
        sold("C3", -1, 6, code="22423"),
    )
    refunds = {str(event.stream_id): event.data["amount_minor"] for event in desk.events("OrderRefunded")}
    assert refunds.pop(str(desk.order("1").id)) == 1800
    assert refunds.pop(str(desk.order("2").id)) == 4500
    assert list(refunds.values()) == [900]
    assert [event.data["external_reference"] for event in desk.events("ReturnRecorded")] == ["C3/3"]
    assert (desk.sku("21733").on_hand, desk.sku("85123A").on_hand, desk.sku("22423").on_hand) == (2, 5, 1)


def test_a_credit_note_may_charge_a_service(desk: Desk) -> None:
    desk.book(sold("1", 1), sold("C2", 1, 5, code="M", price="373.57", who=""))
    (refund,) = desk.events("OrderRefunded")
    assert refund.data["amount_minor"] == -37357


@pytest.mark.parametrize(
    ("row", "kind", "data"),
    [
        (sold("2", -1, price="0.0").replace("A THING", "damages"), "StockWrittenOff", {"kind": "damaged"}),
        (sold("2", -1, price="0.0").replace("A THING", "MIA"), "StockWrittenOff", {"kind": "lost", "reason": "MIA"}),
        (sold("2", -1, price="0.0").replace("A THING", "nan"), "StockAdjusted", {"difference": "-1"}),
        (sold("2", 3, price="0.0", who=""), "StockAdjusted", {"difference": "3", "reason": "A THING"}),
        (sold("2", 1, price="0.0"), "SampleIssued", {"quantity": "1", "receiver": "7"}),
        (sold("A2", 1, code="B", price="-53.5"), "ExpenseRecorded", {"category": "bad_debt", "amount_minor": 5350}),
    ],
)
def test_rows_without_a_sale_are_booked_as_what_they_are(desk: Desk, row: str, kind: str, data: dict[str, Any]) -> None:
    desk.book(sold("1", 5), row)
    (event,) = desk.events(kind)
    assert data.items() <= event.data.items()
    assert len(desk.events("OrderPlaced")) == 1


def test_what_is_refused_is_named_with_its_rows_and_the_rest_goes_on(desk: Desk) -> None:
    report = desk.book(sold("1", 5), sold("2", 4).replace("2010", "2999"), sold("3", 2, 5))
    assert [event.data["external_reference"] for event in desk.events("OrderPlaced")] == ["1", "3"]
    assert report.commands_refused == {"INVALID_FIELD": 1}
    assert desk.rejects() == [
        ("2", "rejected", "INVALID_FIELD: This value cannot be used: it cannot have happened in the future.")
    ]


def test_a_store_of_that_name_is_used_as_it_is(desk: Desk) -> None:
    shop = Shop.open(desk.writer, "Gift shop")
    desk.book(sold("1", 5), store=RetailStore(name="Gift shop"))
    assert desk.order("1").store_id == shop.store_id
    assert list(desk.sku("21733").levels) == [shop.location_id]


def test_a_store_in_another_currency_stops_the_import(desk: Desk) -> None:
    Shop.open(desk.writer, "Gift shop", currency="CNY", time_zone="Asia/Shanghai")
    with pytest.raises(ImportStopped, match="not in GBP and Europe/London"):
        desk.book(sold("1", 5), store=RetailStore(name="Gift shop"))


def test_a_customer_who_is_known_already_is_not_registered_twice(desk: Desk) -> None:
    shop = Shop.open(desk.writer)
    known = shop.do(RegisterCustomer(store_id=shop.store_id, channel="shop", external_reference="7"))
    report = desk.book(sold("1", 5))
    assert desk.order("1").customer_id == known
    assert not report.commands_refused


def test_a_second_store_takes_the_same_file_for_itself(desk: Desk) -> None:
    desk.book(sold("1", 5))
    desk.book(sold("1", 5), store=RetailStore(name="Another"))
    assert len({event.store_id for event in desk.events("OrderPlaced")}) == 2


def test_progress_says_phase_rows_rate_and_what_is_left(desk: Desk) -> None:
    told: list[Progress] = []
    desk.book(*(sold(str(number), 1) for number in range(1, 300)), progress=told.append)
    assert list(dict.fromkeys(each.phase for each in told)) == [
        "looking up what is booked already",
        "reading",
        "registering",
        "working out opening stock",
        "looking up stock",
        "booking",
    ]
    assert (told[-1].done, told[-1].total, told[-1].eta_seconds) == (299, 299, 0.0)


def test_an_import_that_is_killed_again_and_again_ends_as_if_it_had_not_been(
    desk: Desk, settings: Settings, tmp_path: Path, new_settings: Any
) -> None:
    rows = [",".join(_quoted(cells)) for number, cells in read_rows(SLICE, COLUMNS) if number <= 1500]
    file = write_rows(tmp_path / "part.csv.gz", *rows)
    assert settings.database_url is not None
    environment = {
        **os.environ,
        "OPSCORE_DATABASE_URL": settings.database_url.get_secret_value(),
        "OPSCORE_MASTER_KEY": MASTER_KEY,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    for position in (500, 1500, 3000):
        with subprocess.Popen([sys.executable, "-m", "tests.imports.importing", str(file)], env=environment) as process:
            while desk.log.head().position < position and process.poll() is None:
                time.sleep(0.002)
            process.kill()
            assert process.wait() == -signal.SIGKILL
    interrupted_at = desk.log.head().position
    import_online_retail(desk.writer, file)
    assert desk.log.head().position > interrupted_at

    other = new_settings()
    with Database.open(other) as database:
        writer = Writer(database, other)
        writer.start()
        import_online_retail(writer, file)
        untouched = Desk(writer, tmp_path)
        assert meaning(untouched) == meaning(desk)
        assert untouched.log.head().position == desk.log.head().position
        writer.stop()


def _quoted(cells: list[str]) -> list[str]:
    return ['"' + cell.replace('"', '""') + '"' for cell in cells]


def test_the_importer_acts_for_every_store_under_one_name() -> None:
    assert Actor(id="import:online-retail", role=Role.OWNER) == IMPORTER

"""Imports Online Retail II: a store, its SKUs and customers, the stock it must have had, then what happened, in order.

What the rows mean is said in `online_retail_file`; here their operations become commands. Every command is keyed by the
content that it books, so the same rows add nothing a second time, in whatever file and after whatever interruption.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from opscore.domain.command import Actor, Command, Origin, Role
from opscore.domain.customer_commands import RegisterCustomer
from opscore.domain.order_events import ReturnCondition
from opscore.domain.order_recorded_returns import (
    RecordedReturnLine,
    RecordReturn,
)
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.sku import FulfilmentMode, Sku, WriteOffKind
from opscore.domain.sku_commands import PriceSku, RegisterSku
from opscore.domain.stock_commands import CountStock, IssueSample, ReceiveStock, WriteOffStock
from opscore.domain.store import Store
from opscore.domain.store_commands import (
    AddLocation,
    ApplyForStore,
    CertifyPaymentAccount,
    FreezeDeposit,
    OpenStore,
    PassAudit,
    PayServiceFee,
    RecordExpense,
    SetCouriers,
    SetPaymentMethods,
    SignStoreAgreement,
    SubmitForAudit,
    SubmitStoreInfo,
)
from opscore.domain.values import derived_id
from opscore.imports.booked import Booked
from opscore.imports.online_retail_file import (
    COLUMNS,
    CURRENCY,
    TIME_ZONE,
    BadDebt,
    Cancellation,
    OpeningStock,
    Operation,
    ReturnedLine,
    Row,
    RowClass,
    Sale,
    StockChange,
    Survey,
    amount_minor,
    is_goods,
    loss_kind,
    operations,
    sku_code,
    survey,
)
from opscore.imports.pipeline import Meter, Pipeline, Progress, known_commands
from opscore.imports.reader import digest
from opscore.imports.report import ImportReport, RejectFile, Verdict
from opscore.log.event_log import EventLog
from opscore.writer import Refused, Request, Writer

IMPORTER = Actor(id="import:online-retail", role=Role.OWNER)
PLATFORM = Actor(id="import:online-retail:platform", role=Role.PLATFORM)
"""Passes the audit of the store: nobody audits their own application."""

IN_FLIGHT = 512
"""Enough that the writer is never without work while small commands are made."""
ROWS_IN_FLIGHT = 64
"""Fewer while rows are booked: the writer looks up all it takes in, and decides about ten invoices at a time."""

_UNIT_COST_PLACES = Decimal("0.000001")
_NO_REASON = "no reason given in the file"


class ImportStopped(Exception):
    """The import cannot go on; the message says why. What was booked stays, and running it again goes on from there."""


@dataclass(frozen=True, slots=True)
class RetailStore:
    """The store that a file is booked to, made by its real opening steps unless a store of this name exists."""

    name: str = "Online Retail"
    operator: str = "Online Retail Ltd"
    platform: str = "own"
    brand: str = "Online Retail"
    location: str = "Warehouse"
    channel: str = "wholesale"
    """Channel of its orders and customers."""
    category: str = "gifts"
    payment_method: str = "remittance"
    courier: str = "parcelforce"
    cost_ratio: Decimal = Decimal("0.6")
    """Assumed unit cost of opening stock: this part of the lowest price at which the file sells the code."""


def import_online_retail(
    writer: Writer,
    file: Path,
    *,
    store: RetailStore | None = None,
    rejects: Path | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
    in_flight: int = IN_FLIGHT,
) -> ImportReport:
    """Book a file of Online Retail II (CSV, plain or gzipped) and return what was done.

    writer: started; it decides while the file is still being read.
    rejects: where to write the rows that were not booked as they stood, with row number and reason.
    progress: is told, some times a second, how far each phase is, with rows per second and seconds left.
    in_flight: how many commands may wait for the writer at a time, at most.
    Raises UnreadableFile when this is another kind of file, ImportStopped when setting up the store is refused. May be
    interrupted at any moment and run again.
    """
    report = ImportReport()
    meter = Meter(progress)
    with RejectFile(rejects, COLUMNS, report) as reject_file:
        run = _Run(writer, file, store or RetailStore(), report, reject_file, meter, in_flight)
        run.set_up()
        run.register()
        run.receive_opening_stock()
        run.book()
    report.seconds = meter.seconds
    return report


class _Run:
    """One run of an import."""

    def __init__(
        self,
        writer: Writer,
        file: Path,
        store: RetailStore,
        report: ImportReport,
        rejects: RejectFile,
        meter: Meter,
        in_flight: int,
    ) -> None:
        self.writer = writer
        self.file = file
        self.retail = store
        self.report = report
        self.rejects = rejects
        self.meter = meter
        self.log = EventLog(lambda: writer.database.pool.connection())
        prefix = f"online-retail:{digest(store.name)}:"
        with file.open("rb") as raw:
            self.file_digest = hashlib.file_digest(raw, "sha256").hexdigest()[:16]
        meter.begin("looking up what is booked already")
        known = known_commands(writer.database, IMPORTER, prefix)
        meter.at(len(known))
        self.pipeline = Pipeline(writer, IMPORTER, report, known, f"import:{self.file_digest}", in_flight)
        self.booked = Booked(known, prefix, self.log)
        meter.begin("reading")
        self.survey: Survey = survey(file, progress=meter.at)
        meter.at(self.survey.rows)
        if self.survey.first_at is None:
            raise ImportStopped(f"{file.name} has no row that could be booked")
        first_day = self.survey.first_at.astimezone(ZoneInfo(TIME_ZONE)).date()
        self.morning = datetime.combine(first_day, time(), ZoneInfo(TIME_ZONE)).astimezone(UTC)
        """The start of the file's first day in London, UTC."""
        self.store_id = UUID(int=0)
        self.location_id = UUID(int=0)
        self.sku_ids: dict[str, UUID] = {}
        self.customer_ids: dict[str, UUID] = {}
        self.on_hand: Counter[str] = Counter()
        """Units on hand by stock code, as they are once everything that was sent has been decided."""

    # Before the first row ----------------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Make the store by its seven steps, or take the one of this name."""
        retail, booked = self.retail, self.booked
        at = self.morning - timedelta(days=1)
        applied = self._ask(
            booked.key("store", "apply"),
            ApplyForStore(
                name=retail.name,
                operator=retail.operator,
                platform=retail.platform,
                currency=CURRENCY,
                time_zone=TIME_ZONE,
            ),
            at,
            taken=True,
        )
        self.store_id = applied
        store = self.log.aggregate(Store, applied)
        assert store is not None
        if not booked.has(booked.key("store", "open")) and store.applicant == IMPORTER.id:
            steps: list[tuple[str, Command, Actor]] = [
                (
                    "account",
                    CertifyPaymentAccount(
                        store_id=applied, provider="bank", account_reference="assumed", holder=retail.operator
                    ),
                    IMPORTER,
                ),
                (
                    "info",
                    SubmitStoreInfo(
                        store_id=applied,
                        company=retail.operator,
                        brands=(retail.brand,),
                        categories=(retail.category,),
                    ),
                    IMPORTER,
                ),
                ("agreement", SignStoreAgreement(store_id=applied, terms_version="1"), IMPORTER),
                ("submit", SubmitForAudit(store_id=applied), IMPORTER),
                ("audit", PassAudit(store_id=applied), PLATFORM),
                ("deposit", FreezeDeposit(store_id=applied, amount_minor=0, currency=CURRENCY), IMPORTER),
                ("fee", PayServiceFee(store_id=applied, amount_minor=0, currency=CURRENCY), IMPORTER),
                ("payment", SetPaymentMethods(store_id=applied, methods=(retail.payment_method,)), IMPORTER),
                ("courier", SetCouriers(store_id=applied, couriers=(retail.courier,)), IMPORTER),
                ("location", AddLocation(store_id=applied, name=retail.location, region="United Kingdom"), IMPORTER),
                ("open", OpenStore(store_id=applied), IMPORTER),
            ]
            for name, command, actor in steps:
                self._ask(booked.key("store", name), command, at, actor=actor)
            store = self.log.aggregate(Store, applied)
            assert store is not None
        if store.currency != CURRENCY or store.time_zone != TIME_ZONE:
            raise ImportStopped(f"the store '{store.name}' is not in {CURRENCY} and {TIME_ZONE}; choose another name")
        if not store.open_location_ids:
            raise ImportStopped(f"the store '{store.name}' has no open location to hold the stock; add one")
        self.location_id = store.open_location_ids[0]

    def _ask(self, key: str, command: Command, at: datetime, *, actor: Actor = IMPORTER, taken: bool = False) -> UUID:
        """Send a command unless the log has it and return the aggregate; `taken`: one that has the name will do."""
        if self.booked.has(key):
            known = self.pipeline.known[key]
            return known if known is not None else self.store_id
        outcome = self.writer.ask(Request(command, actor, key, Origin.IMPORT, at))
        if outcome.refusal is None:
            assert outcome.aggregate_id is not None
            return outcome.aggregate_id
        if taken and outcome.refusal.code == "REFERENCE_TAKEN":
            return outcome.refusal.ids[0]
        raise ImportStopped(f"{command.command_name()} was refused: {outcome.refusal.message}")

    def register(self) -> None:
        """Register and price the SKUs, register the customers."""
        at = self.morning - timedelta(days=1)
        found = self.survey
        self.meter.begin("registering", len(found.codes) + len(found.customers))
        done = 0
        for code, facts in found.codes.items():
            self.pipeline.send(
                self.booked.key("sku", code),
                RegisterSku(
                    store_id=self.store_id,
                    code=sku_code(code),
                    name=facts.name(code),
                    category=self.retail.category if facts.goods else "service",
                    mode=FulfilmentMode.STOCKED if facts.goods else FulfilmentMode.SERVICE,
                ),
                at,
                may_exist=True,
            )
            price = facts.list_price()
            if price is not None:
                self.pipeline.send(
                    self.booked.key("price", code),
                    PriceSku(
                        sku_id=self.sku_id(code),
                        list_price=price,
                        reason="the price of most sales in the imported file",
                    ),
                    at,
                )
            done += 1
            self.meter.at(done)
        sent = {}
        for number, country in found.customers.items():
            sent[number] = self.pipeline.send(
                self.booked.key("customer", number),
                RegisterCustomer(
                    store_id=self.store_id,
                    channel=self.retail.channel,
                    external_reference=number,
                    region=country,
                ),
                at,
                may_exist=True,
            )
            done += 1
            self.meter.at(done)
        self.pipeline.drain()
        for number, each in sent.items():
            customer_id = each.aggregate_or_holder_id()
            if customer_id is None:
                raise ImportStopped(f"customer {number} could not be registered; see the refusals")
            self.customer_ids[number] = customer_id

    def sku_id(self, code: str) -> UUID:
        """Return the SKU's id, which follows from store and code."""
        found = self.sku_ids.get(code)
        if found is None:
            found = self.sku_ids[code] = derived_id("sku", self.store_id, sku_code(code))
        return found

    # Opening stock -----------------------------------------------------------------------------------------------

    def receive_opening_stock(self) -> None:
        """Book, per SKU, the smallest receipt that lets every remaining row happen; its cost is marked as assumed."""
        self.meter.begin("working out opening stock", self.survey.rows)
        opening = OpeningStock()
        adjusted: set[str] = set()
        with RejectFile(None, COLUMNS, ImportReport()) as nowhere:
            self.booked.begin_reading()
            for number, operation in operations(self.file, self.survey, ImportReport(), nowhere):
                self.meter.at(number)
                left = None if operation is None else self._left_of(operation)
                if left is not None:
                    opening.book(left)
                    if isinstance(left, StockChange):
                        adjusted.add(left.row.code)
        needed = opening.needed()
        receipts = {code: self.booked.key("opening", self.file_digest, code) for code in needed}
        # A code whose receipt for this very file is booked needs no more, wherever the import was interrupted.
        unsure = {code for code, key in receipts.items() if not self.booked.has(key)} | adjusted
        self._look_up_balances({code for code in unsure if self.booked.has(self.booked.key("sku", code))})
        for code, units in needed.items():
            missing = units - self.on_hand[code]
            if missing > 0 and not self.booked.has(receipts[code]):
                self._receive(code, missing, receipts[code])
        self.pipeline.drain()

    def _look_up_balances(self, codes: set[str]) -> None:
        self.meter.begin("looking up stock", len(codes))
        for done, code in enumerate(sorted(codes), start=1):
            sku = self.log.aggregate(Sku, self.sku_id(code))
            if sku is not None:
                self.on_hand[code] = int(sku.on_hand)
            self.meter.at(done)

    def _receive(self, code: str, units: int, key: str) -> None:
        lowest = self.survey.codes[code].lowest_price()
        cost = None
        if lowest is not None:
            cost = (lowest * self.retail.cost_ratio).quantize(_UNIT_COST_PLACES, rounding=ROUND_HALF_EVEN)
        command = ReceiveStock(
            sku_id=self.sku_id(code),
            location_id=self.location_id,
            quantity=Decimal(units),
            unit_cost=cost,
            cost_assumed=cost is not None,
            document=f"opening:{self.file_digest}",
        )
        self.on_hand[code] += units
        self.report.opening_quantity += units
        self.pipeline.send(key, command, self.morning)

    # The rows ----------------------------------------------------------------------------------------------------

    def _left_of(self, operation: Operation) -> Operation | None:
        """Return what of an operation is still to be booked."""
        booked = self.booked
        if booked.has_no_rows:
            return operation
        if isinstance(operation, Sale):
            if booked.has(booked.sale_key(operation)):
                return None
            return operation if booked.is_new_invoice(operation) else booked.supplement(operation)
        if isinstance(operation, Cancellation):
            return operation if booked.cancellation_state(operation) in ("new", "part") else None
        return None if booked.has(booked.row_key(operation)) else operation

    def book(self) -> None:
        """Read the file once more and send every operation that the log does not have."""
        self.meter.begin("booking", self.survey.rows)
        self.pipeline.in_flight = min(self.pipeline.in_flight, ROWS_IN_FLIGHT)
        self.booked.begin_reading()
        for number, operation in operations(self.file, self.survey, self.report, self.rejects):
            if isinstance(operation, Sale):
                self._sell(operation)
            elif isinstance(operation, Cancellation):
                self._take_back(operation)
            elif operation is not None:
                key = self.booked.row_key(operation)
                if self.booked.has(key):
                    self.report.commands_known += 1
                elif isinstance(operation, BadDebt):
                    self._write_off_debt(operation.row, key)
                else:
                    self._change_stock(operation.row, key)
            self.meter.at(number)
        self.pipeline.drain()

    def _send(self, key: str, command: Command, rows: Sequence[Row]) -> None:
        """Send what books these rows; when it is refused, they go to the reject file and the stock is as before."""
        at = max(row.at for row in rows)
        for row in rows:
            if is_goods(row.code):
                self.on_hand[row.code] += row.stock_change()

        def refused(refusal: Refused) -> None:
            for row in rows:
                self.rejects.add(row.number, Verdict.REJECTED, f"{refusal.code}: {refusal.message}", row.cells)
                if is_goods(row.code):
                    self.on_hand[row.code] -= row.stock_change()

        self.pipeline.send(key, command, at, on_refused=refused)

    def _sell(self, sale: Sale) -> None:
        key, left = self.booked.sale_key(sale), sale
        if self.booked.has(key):
            self.report.commands_known += 1
            return
        if not self.booked.is_new_invoice(sale):
            supplement = self.booked.supplement(sale)
            if supplement is None:
                self.report.notes["invoices whose rows are all booked, with others (left as they are)"] += 1
                return
            self.report.notes["invoices that gained rows (booked as a supplementary order)"] += 1
            key, left = self.booked.sale_key(supplement), supplement
        self._send(
            key,
            RecordOrder(
                store_id=self.store_id,
                lines=tuple(
                    RecordedLine(sku_id=self.sku_id(row.code), quantity=Decimal(row.quantity), unit_price=row.price)
                    for row in left.rows
                ),
                customer_id=None if sale.customer is None else self.customer_ids[sale.customer],
                channel=self.retail.channel,
                external_reference=left.invoice,
                currency=CURRENCY,
                region=sale.country,
                payment_method=self.retail.payment_method,
                shipped=True,
                location_id=self.location_id,
            ),
            left.rows,
        )

    def _take_back(self, cancellation: Cancellation) -> None:
        state = self.booked.cancellation_state(cancellation)
        if state == "booked":
            self.report.commands_known += 1
            return
        if state == "differs":
            reason = "this cancellation was booked before with other rows; book the difference by hand"
            for line in cancellation.lines:
                self.rejects.add(line.row.number, Verdict.REJECTED, reason, line.row.cells)
            return
        by_invoice: dict[str | None, list[ReturnedLine]] = {}
        for line in cancellation.lines:
            by_invoice.setdefault(line.invoice, []).append(line)
        for part, (invoice, lines) in enumerate(by_invoice.items(), start=1):
            key = self.booked.return_key(cancellation, part, len(by_invoice))
            if self.booked.has(key):
                continue
            reference = cancellation.invoice if part == 1 else f"{cancellation.invoice}/{part}"
            self._send(
                key,
                RecordReturn(
                    store_id=self.store_id,
                    lines=tuple(
                        RecordedReturnLine(
                            sku_id=self.sku_id(line.row.code),
                            quantity=Decimal(abs(line.row.quantity)),
                            amount_minor=-amount_minor(line.row.price, line.row.quantity),
                            line=line.line,
                        )
                        for line in lines
                    ),
                    order_id=None if invoice is None else derived_id("order", self.store_id, invoice),
                    customer_id=None if cancellation.customer is None else self.customer_ids[cancellation.customer],
                    external_reference=reference,
                    channel=self.retail.channel,
                    region=cancellation.country,
                    condition=ReturnCondition.RESTOCK,
                    location_id=self.location_id,
                    currency=CURRENCY,
                ),
                [line.row for line in lines],
            )

    def _change_stock(self, row: Row, key: str) -> None:
        """Book a row that moves stock without money: a sample, a loss with its kind, or a count with its difference."""
        sku_id, units = self.sku_id(row.code), Decimal(abs(row.quantity))
        reason = _reason(row)
        document = f"online-retail:{row.invoice}"
        command: Command
        if row.kind is RowClass.ZERO_PRICE and row.customer is not None:
            command = IssueSample(
                sku_id=sku_id,
                location_id=self.location_id,
                quantity=units,
                purpose=f"invoiced at no price: {reason}",
                receiver=row.customer,
                document=document,
            )
        elif row.kind is RowClass.STOCK_ADJUST and (kind := loss_kind(row.description)) is not None:
            command = WriteOffStock(
                sku_id=sku_id,
                location_id=self.location_id,
                quantity=units,
                kind=WriteOffKind(kind),
                reason=reason,
                document=document,
            )
        else:
            book = self.on_hand[row.code]
            command = CountStock(
                sku_id=sku_id,
                location_id=self.location_id,
                counted=Decimal(book + row.stock_change()),
                expected_on_hand=Decimal(book),
                reason=reason,
                document=document,
            )
        self._send(key, command, [row])

    def _write_off_debt(self, row: Row, key: str) -> None:
        """Book a debt that will not be paid as an expense of the store."""
        self._send(
            key,
            RecordExpense(
                store_id=self.store_id,
                category="bad_debt",
                amount_minor=-amount_minor(row.price, row.quantity),
                currency=CURRENCY,
                reference=row.invoice,
                reason=_reason(row),
            ),
            [row],
        )


def _reason(row: Row) -> str:
    text = row.description.strip()
    return _NO_REASON if not text or text == "nan" else text

"""What is bought, through the API: suppliers and how well they deliver, purchases and what is due, quotes."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: A002 -- arguments are called what the schema calls them.

from __future__ import annotations

import enum
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import strawberry

from opscore.api.arguments import After, AtLeast, Before, ContextInfo, First, Last
from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.filters import (
    DayFilter,
    DecimalFilter,
    Direction,
    Filter,
    IdFilter,
    IntFilter,
    TextFilter,
    TimeFilter,
    UuidFilter,
    condition,
    either,
    every,
    on,
    without,
)
from opscore.api.lists import Listing, PageArguments, listed, rows_of
from opscore.api.money import Money, UnitPrice, money, money_or_none, unit_price, unit_price_or_none
from opscore.api.nodes import gid, store_gid
from opscore.api.paging import Connection
from opscore.api.selected import wants_total
from opscore.domain.command import Role
from opscore.domain.policies import SupplierDocumentKind
from opscore.domain.sku_purchases import Purchase as OpenPurchase, Quote
from opscore.domain.suppliers import Supplier, SupplierKind, SupplierStatus
from opscore.domain.values import plain
from opscore.permissions import may_see_field
from opscore.projector.lists import Column, Condition

expose(SupplierKind)
expose(SupplierStatus)
expose(SupplierDocumentKind)


class PurchaseState(enum.StrEnum):
    """What became of a purchase."""

    ON_ORDER = "on_order"
    """Nothing of it has come yet."""
    PARTLY_RECEIVED = "partly_received"
    """A part of it has come, and more is to come."""
    RECEIVED = "received"
    """What was not called off has come."""
    CANCELLED = "cancelled"
    """All of it was called off."""


expose(PurchaseState)

# Of one store and one article ----------------------------------------------------------------------------------------


@strawberry.type(description="A document of a supplier on file; its number is not shown.")
class SupplierDocument:
    kind: SupplierDocumentKind = strawberry.field(description="Which document it is.")
    brand: str | None = strawberry.field(description="The brand it is about.")
    valid_from: date | None = strawberry.field(description="First day of its validity.")
    valid_until: date | None = strawberry.field(description="Last day of its validity.")


@strawberry.type(description="What was agreed with a supplier.")
class SupplierTerms:
    exchange_terms: str = strawberry.field(description="How it exchanges goods.")
    return_terms: str = strawberry.field(description="How it takes goods back.")
    after_sale_terms: str | None = strawberry.field(description="What it promises to those who bought its goods.")
    deposit: Money = strawberry.field(description="The deposit that it leaves.")


@strawberry.type(description="A supplier of the store.")
class StoreSupplier:
    supplier_id: UUID = strawberry.field(description="Its id, which commands about suppliers and purchases take.")
    company: str = strawberry.field(description="The company.")
    kind: SupplierKind = strawberry.field(description="What it is to its goods.")
    status: SupplierStatus = strawberry.field(description="How far it is.")
    documents: list[SupplierDocument] = strawberry.field(description="Its documents on file.")
    terms: SupplierTerms | None = strawberry.field(description="The terms that hold; null before any are agreed.")
    deposit: Money = strawberry.field(description="What is frozen of it now.")
    deposit_missing: Money = strawberry.field(description="What its terms ask for beyond that.")


def supplier_view(supplier_id: UUID, supplier: Supplier, currency: str) -> StoreSupplier:
    """Return a supplier of a store as the API shows it."""
    terms = supplier.terms
    return StoreSupplier(
        supplier_id=supplier_id,
        company=supplier.company,
        kind=supplier.kind,
        status=supplier.status,
        documents=[
            SupplierDocument(kind=each.kind, brand=each.brand, valid_from=each.valid_from, valid_until=each.valid_until)
            for each in supplier.documents
        ],
        terms=None
        if terms is None
        else SupplierTerms(
            exchange_terms=terms.exchange_terms,
            return_terms=terms.return_terms,
            after_sale_terms=terms.after_sale_terms,
            deposit=money(terms.deposit_minor, currency),
        ),
        deposit=money(supplier.deposit_minor, currency),
        deposit_missing=money(supplier.deposit_missing_minor, currency),
    )


@strawberry.type(
    description="A purchase of the article of which units are to come, or money is to be paid or to come back."
)
class SkuPurchase:
    purchase_id: UUID = strawberry.field(description="Its id, which receipts and commands about purchases take.")
    supplier_id: UUID = strawberry.field(description="The supplier: one of the home store's.")
    ordered: Decimal = strawberry.field(description="Units that were ordered.")
    received: Decimal = strawberry.field(description="Units that have come.")
    cancelled: Decimal = strawberry.field(description="Units that were called off.")
    open: Decimal = strawberry.field(description="Units that are still to come.")
    due_on: date = strawberry.field(
        description="The day by whose end they have to be there, in the home store's calendar."
    )
    due_by: datetime = strawberry.field(description="When that day is over.")
    unit_cost: UnitPrice | None = strawberry.field(
        description="What one of them costs; null for roles that see no cost."
    )
    owed: Money | None = strawberry.field(
        description="What it costs in all, less what was called off; null for roles that see no cost."
    )
    paid: Money | None = strawberry.field(description="What was paid for it; null for roles that see no cost.")


def purchase_view(purchase_id: UUID, purchase: OpenPurchase, role: Role) -> SkuPurchase:
    """Return an open purchase of an article as the API shows it to a role."""
    costs, currency = may_see_field(role, "SkuPurchase.unitCost"), purchase.currency
    return SkuPurchase(
        purchase_id=purchase_id,
        supplier_id=purchase.supplier_id,
        ordered=plain(purchase.ordered),
        received=plain(purchase.received),
        cancelled=plain(purchase.cancelled),
        open=plain(purchase.open),
        due_on=purchase.due_on,
        due_by=purchase.due_by,
        unit_cost=unit_price_or_none(purchase.unit_cost if costs else None, currency),
        owed=money_or_none(purchase.owed_minor if costs else None, currency),
        paid=money_or_none(purchase.paid_minor if costs else None, currency),
    )


@strawberry.type(description="For what a supplier delivers the article.")
class SkuQuote:
    supplier_id: UUID = strawberry.field(description="The supplier: one of the home store's.")
    unit_cost: UnitPrice = strawberry.field(description="What one unit costs.")
    min_quantity: Decimal = strawberry.field(description="From how many units of one purchase on; 0 is any quantity.")
    valid_until: date | None = strawberry.field(description="Last day on which it holds; null while no end is known.")


def quote_view(quote: Quote, currency: str) -> SkuQuote:
    """Return a quote of an article as the API shows it."""
    return SkuQuote(
        supplier_id=quote.supplier_id,
        unit_cost=unit_price(quote.unit_cost, currency),
        min_quantity=plain(quote.min_quantity),
        valid_until=quote.valid_until,
    )


# Lists ---------------------------------------------------------------------------------------------------------------


@strawberry.type(description="A purchase: an article of a supplier, due on a day.")
class Purchase:
    purchase_id: UUID = strawberry.field(description="Its id, which receipts and commands about purchases take.")
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    name: str = strawberry.field(description="Its name.")
    unit: str = strawberry.field(description="What one of it is.")
    store_id: strawberry.ID = strawberry.field(description="Its home store.")
    supplier_id: UUID = strawberry.field(description="The supplier: one of that store's.")
    company: str = strawberry.field(description="The supplier's company.")
    state: PurchaseState = strawberry.field(description="What became of it.")
    ordered_at: datetime = strawberry.field(description="When it was ordered.")
    due_on: date = strawberry.field(description="The day by whose end it has to be there, in the store's calendar.")
    due_by: datetime = strawberry.field(description="When that day is over.")
    ordered: Decimal = strawberry.field(description="Units that were ordered.")
    received: Decimal = strawberry.field(description="Units that have come.")
    received_in_time: Decimal = strawberry.field(description="Of these, units that came before that day was over.")
    cancelled: Decimal = strawberry.field(description="Units that were called off.")
    open: Decimal = strawberry.field(description="Units that are still to come: ordered - received - cancelled.")
    last_received_at: datetime | None = strawberry.field(description="When the last of them came.")
    document: str | None = strawberry.field(description="Number of the order form.")
    unit_cost: UnitPrice | None = strawberry.field(description="What one unit costs; null for roles that see no cost.")
    best_quote: UnitPrice | None = strawberry.field(
        description="The lowest unit cost that an active supplier had quoted for so many when it was ordered; null "
        "without any, and for roles that see no cost."
    )
    owed: Money | None = strawberry.field(
        description="What it costs in all, less what was called off; null for roles that see no cost."
    )
    paid: Money | None = strawberry.field(description="What was paid for it; null for roles that see no cost.")
    unpaid: Money | None = strawberry.field(
        description="What is left to pay; below zero, what is to come back. Null for roles that see no cost."
    )


@strawberry.input(description="Which purchases; all that is given has to hold.")
class PurchaseFilter:
    and_: list[PurchaseFilter] | None = every()
    or_: list[PurchaseFilter] | None = either()
    not_: PurchaseFilter | None = without()
    purchase_id: UuidFilter | None = on("purchase_id", "The purchase.")
    sku_id: IdFilter | None = on("sku_id", "The article.", of="Sku")
    sku_code: TextFilter | None = on("sku_code", "The article's code.")
    store_id: IdFilter | None = on("store_id", "The article's home store.", of="Store")
    supplier_id: UuidFilter | None = on("supplier_id", "The supplier.")
    company: TextFilter | None = on("company", "The supplier's company.")
    state: Filter[PurchaseState] | None = on("state", "What became of it.")
    ordered_at: TimeFilter | None = on("ordered_at", "When it was ordered.")
    due_on: DayFilter | None = on("due_on", "The day by whose end it has to be there.")
    due_by: TimeFilter | None = on("due_by", "When that day is over.")
    open: DecimalFilter | None = on("open", "Units that are still to come.")
    document: TextFilter | None = on("document", "Number of the order form.")


class PurchaseSortKey(enum.StrEnum):
    """What purchases are sorted by."""

    DUE_BY = "due_by"
    """When they are due."""
    ORDERED_AT = "ordered_at"
    """When they were ordered."""
    SKU_CODE = "sku_code"
    """The articles' codes, character by character."""


expose(PurchaseSortKey)


@strawberry.input(description="How purchases are sorted; of two that are equal, the ids decide.")
class PurchaseSort:
    by: PurchaseSortKey = strawberry.field(description="What they are sorted by.")
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


PURCHASES = Listing(
    "purchasing",
    "purchase_rows",
    (Column("purchase_id", "uuid"),),
    {
        PurchaseSortKey.DUE_BY: Column("due_by", "timestamptz"),
        PurchaseSortKey.ORDERED_AT: Column("ordered_at", "timestamptz"),
        PurchaseSortKey.SKU_CODE: Column("sku_code", "text"),
    },
    (PurchaseSortKey.DUE_BY, Direction.ASC),
)


@strawberry.type(
    description="A supplier, and what came of what was due of it up to now. Units of all its articles are added up."
)
class SupplierRow:
    supplier_id: UUID = strawberry.field(description="Its id, which commands about suppliers and purchases take.")
    store_id: strawberry.ID = strawberry.field(description="The store.")
    company: str = strawberry.field(description="The company.")
    kind: SupplierKind = strawberry.field(description="What it is to its goods.")
    status: SupplierStatus = strawberry.field(description="How far it is.")
    applied_at: datetime = strawberry.field(description="When it applied.")
    terms_at: datetime | None = strawberry.field(description="When terms were agreed last; null before any were.")
    deposit: Money | None = strawberry.field(description="What is frozen of it; null before terms are agreed.")
    purchases: int = strawberry.field(description="Purchases that were ordered of it.")
    open_purchases: int = strawberry.field(description="Of these, purchases of which units are still to come.")
    overdue_purchases: int = strawberry.field(description="Of these, purchases whose day is over.")
    due_units: Decimal = strawberry.field(
        description="Units whose day is over, without those that were called off before it was."
    )
    in_time_units: Decimal = strawberry.field(description="Of these, units that came in time.")
    on_time_rate: Decimal | None = strawberry.field(description="The part that came in time; null where none was due.")
    wanted_units: Decimal = strawberry.field(description="Units whose day is over, without any that were called off.")
    received_units: Decimal = strawberry.field(description="Of these, units that came at all.")
    fill_rate: Decimal | None = strawberry.field(description="The part that came at all; null where none was wanted.")


@strawberry.input(description="Which suppliers; all that is given has to hold.")
class SupplierFilter:
    and_: list[SupplierFilter] | None = every()
    or_: list[SupplierFilter] | None = either()
    not_: SupplierFilter | None = without()
    supplier_id: UuidFilter | None = on("supplier_id", "The supplier.")
    store_id: IdFilter | None = on("store_id", "The store.", of="Store")
    company: TextFilter | None = on("company", "The company.")
    status: Filter[SupplierStatus] | None = on("status", "How far it is.")
    kind: Filter[SupplierKind] | None = on("kind", "What it is to its goods.")
    open_purchases: IntFilter | None = on("open_purchases", "Purchases of which units are still to come.")
    overdue_purchases: IntFilter | None = on("overdue_purchases", "Of these, purchases whose day is over.")
    on_time_rate: DecimalFilter | None = on("on_time_rate", "The part of what was due that came in time.")
    fill_rate: DecimalFilter | None = on("fill_rate", "The part of what was wanted that came at all.")


class SupplierSortKey(enum.StrEnum):
    """What suppliers are sorted by."""

    COMPANY = "company"
    """Their companies, character by character."""
    ON_TIME_RATE = "on_time_rate"
    """The part of what was due that came in time; suppliers of whom nothing was due come last."""
    FILL_RATE = "fill_rate"
    """The part of what was wanted that came at all; suppliers of whom nothing was wanted come last."""


expose(SupplierSortKey)


@strawberry.input(description="How suppliers are sorted; of two that are equal, the ids decide.")
class SupplierSort:
    by: SupplierSortKey = strawberry.field(description="What they are sorted by.")
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


SUPPLIERS = Listing(
    "purchasing",
    "supplier_rows",
    (Column("supplier_id", "uuid"),),
    {
        SupplierSortKey.COMPANY: Column("company", "text"),
        SupplierSortKey.ON_TIME_RATE: Column("on_time_rate", "numeric", nullable=True),
        SupplierSortKey.FILL_RATE: Column("fill_rate", "numeric", nullable=True),
    },
    (SupplierSortKey.COMPANY, Direction.ASC),
)


@strawberry.type(description="For what a supplier delivers an article, from a quantity on: its last word.")
class SupplierQuote:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    name: str = strawberry.field(description="Its name.")
    unit: str = strawberry.field(description="What one of it is.")
    store_id: strawberry.ID = strawberry.field(description="Its home store.")
    supplier_id: UUID = strawberry.field(description="The supplier: one of that store's.")
    company: str = strawberry.field(description="The supplier's company.")
    supplier_status: SupplierStatus = strawberry.field(description="How far it is; goods are ordered of active ones.")
    unit_cost: UnitPrice = strawberry.field(description="What one unit costs.")
    min_quantity: Decimal = strawberry.field(description="From how many units of one purchase on; 0 is any quantity.")
    valid_until: date | None = strawberry.field(description="Last day on which it holds; null while no end is known.")
    quoted_at: datetime = strawberry.field(description="When it was said.")


@strawberry.input(description="Which quotes; all that is given has to hold.")
class SupplierQuoteFilter:
    and_: list[SupplierQuoteFilter] | None = every()
    or_: list[SupplierQuoteFilter] | None = either()
    not_: SupplierQuoteFilter | None = without()
    sku_id: IdFilter | None = on("sku_id", "The article.", of="Sku")
    sku_code: TextFilter | None = on("sku_code", "The article's code.")
    store_id: IdFilter | None = on("store_id", "The article's home store.", of="Store")
    supplier_id: UuidFilter | None = on("supplier_id", "The supplier.")
    supplier_status: Filter[SupplierStatus] | None = on("supplier_status", "How far the supplier is.")
    min_quantity: DecimalFilter | None = on("min_quantity", "From how many units of one purchase on.")
    valid_until: DayFilter | None = on("valid_until", "Last day on which it holds.")


class _ByCost(enum.Enum):
    """The one order of the list."""

    ONLY = enum.auto()


QUOTES = Listing(
    "purchasing",
    "quote_rows",
    (Column("sku_id", "uuid"), Column("supplier_id", "uuid"), Column("min_quantity", "numeric")),
    {_ByCost.ONLY: Column("unit_cost", "numeric")},
    (_ByCost.ONLY, Direction.ASC),
)


@strawberry.type
class PurchaseQueries:
    """Questions about what is bought."""

    @strawberry.field(
        description="What is and was on order: of whom, how much of it came, what is still to come, and when it is due."
    )
    async def purchases(
        self,
        info: ContextInfo,
        filter: Annotated[
            PurchaseFilter | None, strawberry.argument(description="Which purchases; all if left out.")
        ] = None,
        sort: Annotated[
            PurchaseSort | None,
            strawberry.argument(description="In which order; what is due first comes first if left out."),
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[Purchase]:
        context = info.context
        asked = condition(filter, context.viewer.role)
        page = PageArguments(first, after, last, before)
        return await context.services.read(_purchases, context, asked, sort, page, wants_total(info), at_least)

    @strawberry.field(
        description="Suppliers, and how well they deliver: what part of what was due came in time, and what part of "
        "what was wanted came at all. By month or article, the figures K114 and K116 say so."
    )
    async def suppliers(
        self,
        info: ContextInfo,
        filter: Annotated[
            SupplierFilter | None, strawberry.argument(description="Which suppliers; all if left out.")
        ] = None,
        sort: Annotated[
            SupplierSort | None, strawberry.argument(description="In which order; by company if left out.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[SupplierRow]:
        context = info.context
        asked = condition(filter, context.viewer.role)
        page = PageArguments(first, after, last, before)
        return await context.services.read(_suppliers, context, asked, sort, page, wants_total(info), at_least)

    @strawberry.field(description="For what suppliers deliver articles, the lowest unit cost first.")
    async def supplier_quotes(
        self,
        info: ContextInfo,
        filter: Annotated[
            SupplierQuoteFilter | None, strawberry.argument(description="Which quotes; all if left out.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[SupplierQuote]:
        context = info.context
        asked = condition(filter, context.viewer.role)
        page = PageArguments(first, after, last, before)
        return await context.services.read(_quotes, context, asked, page, wants_total(info), at_least)


def _purchases(
    context: Context,
    wanted: Condition,
    sort: PurchaseSort | None,
    page: PageArguments,
    counted: bool,
    at_least: int | None,
) -> Any:
    """Return a page of purchases, by when they are due unless sorted (blocking)."""
    asked = listed(PURCHASES, wanted, sort, page, counted=counted)
    rows, total = rows_of(context, asked, store_ids=context.store_ids, at_least=at_least)
    costs = may_see_field(context.viewer.role, "Purchase.unitCost")

    def shown(row: dict[str, Any]) -> Purchase:
        currency = row["currency"]

        def amount(name: str) -> Money | None:
            return money_or_none(int(row[name]) if costs else None, currency)

        return Purchase(
            purchase_id=row["purchase_id"],
            sku_id=gid("Sku", row["sku_id"]),
            sku_code=row["sku_code"],
            name=row["name"],
            unit=row["unit"],
            store_id=store_gid(row["store_id"]),
            supplier_id=row["supplier_id"],
            company=row["company"],
            state=PurchaseState(row["state"]),
            ordered_at=row["ordered_at"],
            due_on=row["due_on"],
            due_by=row["due_by"],
            ordered=plain(row["quantity"]),
            **{name: plain(row[name]) for name in ("received", "received_in_time", "cancelled", "open")},
            last_received_at=row["last_received_at"],
            document=row["document"],
            unit_cost=unit_price_or_none(row["unit_cost"] if costs else None, currency),
            best_quote=unit_price_or_none(row["best_quote_cost"] if costs else None, currency),
            owed=amount("owed_minor"),
            paid=amount("paid_minor"),
            unpaid=amount("unpaid_minor"),
        )

    return asked.connection(rows, shown, total)


def _suppliers(
    context: Context,
    wanted: Condition,
    sort: SupplierSort | None,
    page: PageArguments,
    counted: bool,
    at_least: int | None,
) -> Any:
    """Return a page of suppliers, by company unless sorted (blocking)."""
    asked = listed(SUPPLIERS, wanted, sort, page, counted=counted)
    params = {"now": datetime.now(UTC)}
    rows, total = rows_of(context, asked, params, store_ids=context.store_ids, at_least=at_least)

    def shown(row: dict[str, Any]) -> SupplierRow:
        return SupplierRow(
            supplier_id=row["supplier_id"],
            store_id=store_gid(row["store_id"]),
            company=row["company"],
            kind=SupplierKind(row["kind"]),
            status=SupplierStatus(row["status"]),
            applied_at=row["applied_at"],
            terms_at=row["terms_at"],
            deposit=None if row["currency"] is None else money(int(row["deposit_minor"]), row["currency"]),
            purchases=row["purchases"],
            open_purchases=row["open_purchases"],
            overdue_purchases=row["overdue_purchases"],
            due_units=plain(row["due_units"]),
            in_time_units=plain(row["in_time_units"]),
            wanted_units=plain(row["wanted_units"]),
            received_units=plain(row["received_units"]),
            on_time_rate=row["on_time_rate"],
            fill_rate=row["fill_rate"],
        )

    return asked.connection(rows, shown, total)


def _quotes(context: Context, wanted: Condition, page: PageArguments, counted: bool, at_least: int | None) -> Any:
    """Return a page of quotes, the lowest first (blocking)."""
    asked = listed(QUOTES, wanted, None, page, counted=counted)
    rows, total = rows_of(context, asked, store_ids=context.store_ids, at_least=at_least)

    def shown(row: dict[str, Any]) -> SupplierQuote:
        return SupplierQuote(
            sku_id=gid("Sku", row["sku_id"]),
            sku_code=row["sku_code"],
            name=row["name"],
            unit=row["unit"],
            store_id=store_gid(row["store_id"]),
            supplier_id=row["supplier_id"],
            company=row["company"],
            supplier_status=SupplierStatus(row["supplier_status"]),
            unit_cost=unit_price(row["unit_cost"], row["currency"]),
            min_quantity=plain(row["min_quantity"]),
            valid_until=row["valid_until"],
            quoted_at=row["quoted_at"],
        )

    return asked.connection(rows, shown, total)

"""The demonstration: real retail history imported, its figures built and shown, tokens and queries to go on with."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from opscore import resources
from opscore.api.ids import global_id
from opscore.console import Bars, StopSwitch, out, table
from opscore.database import Database
from opscore.domain.command import Actor, Command, Role
from opscore.domain.sku import Sku
from opscore.domain.sku_commands import ListSku, PassSkuReview, SetSkuContent, SubmitSku
from opscore.domain.stock_commands import ReceiveStock
from opscore.domain.store import Store
from opscore.domain.values import minor_digits
from opscore.imports.online_retail import import_online_retail
from opscore.log.event_log import EventLog
from opscore.projector import Projector
from opscore.projector.lists import Column, Compare, Operator, Total
from opscore.settings import Settings, SetupError
from opscore.tokens import TokenBook, TokenRefused, create_token
from opscore.writer import Request, Writer

SLICE = "online_retail_slice.csv.gz"
MARK = "demo.json"
"""Says that the data directory is a demonstration's, which `remove` may delete, and keeps its tokens."""
ROLES = (Role.OWNER, Role.MANAGER, Role.WAREHOUSE, Role.FINANCE, Role.STOREFRONT, Role.AUDITOR)
TOKEN_LIFETIME = timedelta(days=30)
TOP_SKUS = 5
UNITS_ON_SALE = Decimal(100)


@dataclass(frozen=True)
class Figures:
    """What the table of the demonstration shows."""

    store_id: UUID
    currency: str
    first_day: date
    last_day: date
    days: int
    orders: int
    customers: int
    gross_minor: int
    refunded_minor: int
    net_sales_minor: int
    stock_value_minor: int
    top_skus: list[tuple[Sku, Decimal]]
    """Each with the units shipped, most first."""
    events: int


def load(database: Database, settings: Settings, bars: Bars, stop: StopSwitch) -> int:
    """Import the bundled slice and build the read models; return how many commands were new.

    Done before, it adds nothing; stopped, it goes on where it was. Raises `Stopped`.
    """
    mark = settings.data_dir / MARK
    if not mark.exists() and EventLog(database.pool.connection).head().position:
        raise SetupError(
            f"The schema '{settings.schema_name}' holds events that are no demonstration's. Try another one: "
            "OPSCORE_SCHEMA_NAME=demo OPSCORE_DATA_DIR=.opscore-demo opscore demo"
        )
    if not mark.exists():
        _write_private(mark, {})
    writer = Writer(database, settings)
    writer.start()
    try:
        report = import_online_retail(
            writer,
            resources.path("data") / SLICE,
            rejects=settings.data_dir / "demo.rejects.csv",
            progress=bars.importing(stop),
        )
        projector = Projector(database)
        projector.deploy(by="demo", progress=bars.projecting, stop=stop)
        projector.catch_up()
        _put_on_sale(writer, figures(database))
        projector.catch_up()
    finally:
        writer.stop()
    return report.added


def _put_on_sale(writer: Writer, found: Figures) -> None:
    """Let the storefront sell the best sellers: described by one person, reviewed by another, stocked and listed."""
    manager, owner = (Actor(f"demo-{role.value}", role) for role in (Role.MANAGER, Role.OWNER))
    store = EventLog(writer.database.pool.connection).aggregate(Store, found.store_id)
    assert store is not None
    (location_id,) = store.open_location_ids[:1]
    for sku, _ in found.top_skus:
        steps: list[tuple[Actor, Command]] = [
            (
                manager,
                SetSkuContent(
                    sku_id=sku.id,
                    title=sku.name.capitalize(),
                    description="A best seller of the spring of 2010.",
                    specification="As pictured.",
                    images=("no-image",),
                    after_sale_text="Thirty days to send it back.",
                ),
            ),
            (manager, SubmitSku(sku_id=sku.id)),
            (owner, PassSkuReview(sku_id=sku.id)),
            (owner, ReceiveStock(sku_id=sku.id, location_id=location_id, quantity=UNITS_ON_SALE)),
            (owner, ListSku(sku_id=sku.id, store_id=found.store_id)),
        ]
        for actor, command in steps:
            outcome = writer.ask(Request(command, actor, f"demo:{command.command_name()}:{sku.code}"))
            if outcome.refusal is not None:
                raise SetupError(
                    f"The demonstration cannot go on: {outcome.refusal.message} If another version of opscore began it:"
                    " opscore demo --remove, then begin again."
                )


def figures(database: Database) -> Figures:
    """Return the figures of the demonstration, asked of the read models."""
    projector = Projector(database)
    log = EventLog(database.pool.connection)
    days = projector.run_query("kpi_daily", "days", store_ids=None)
    (total,) = projector.run_query("kpi_daily", "totals", store_ids=None)
    (stock,) = projector.run_query("stock_ledger", "total_worth", store_ids=None)
    by_sku = Total(
        Compare(Column("kind", "text"), Operator.IS_IN, ["shipped"]),
        by=(Column("sku_code", "text"), Column("sku_id", "uuid")),
        sums=(Column("on_hand", "numeric"),),
    )
    movements = projector.read("stock_ledger", lambda ask: ask("movement_rows", None, by_sku), store_ids=None)
    shipped = sorted(movements, key=lambda row: row["on_hand"])
    top = []
    for row in shipped[:TOP_SKUS]:
        sku = log.aggregate(Sku, row["sku_id"])
        assert sku is not None
        top.append((sku, -row["on_hand"]))
    return Figures(
        store_id=days[0]["store_id"],
        currency=total["currency"],
        first_day=total["first_day"],
        last_day=total["last_day"],
        days=len({row["day"] for row in days}),
        orders=total["orders"],
        customers=total["customers"],
        gross_minor=total["gross_minor"],
        refunded_minor=total["refunded_minor"],
        net_sales_minor=total["net_sales_minor"],
        stock_value_minor=stock["value_minor"],
        top_skus=top,
        events=log.head().position,
    )


def tokens(database: Database, settings: Settings, store_id: UUID) -> dict[Role, str]:
    """Return a good token for each role of the demonstration; those of an earlier run are used again."""
    mark = settings.data_dir / MARK
    kept = json.loads(mark.read_text(encoding="utf-8"))
    book = TokenBook(database)
    for role in ROLES:
        try:
            book.ask(f"Bearer {kept.get(role.value, '')}")
        except TokenRefused:
            everything = role in (Role.OWNER, Role.AUDITOR)
            _, kept[role.value] = create_token(
                database,
                f"demo-{role.value}",
                role,
                store_ids=None if everything else [store_id],
                expires_at=datetime.now(UTC) + TOKEN_LIFETIME,
            )
    _write_private(mark, kept)
    return {role: kept[role.value] for role in ROLES}


def show(found: Figures, given: Mapping[Role, str], settings: Settings) -> None:
    """Print the table of figures, the tokens, and three queries that can be sent as they are."""

    def money(minor: int) -> str:
        return f"{Decimal(minor).scaleb(-minor_digits(found.currency)):,} {found.currency}"

    out.print()
    table(
        ("figure", "value"),
        [
            ("days", f"{found.days} ({found.first_day} to {found.last_day})"),
            ("orders", f"{found.orders:,}"),
            ("customers", f"{found.customers:,}"),
            ("gross sales", money(found.gross_minor)),
            ("refunds", money(found.refunded_minor)),
            ("net sales", money(found.net_sales_minor)),
            ("stock value (at assumed cost)", money(found.stock_value_minor)),
            *(
                (f"top SKU {place}", f"{sku.code} {sku.name}: {units:,} units")
                for place, (sku, units) in enumerate(found.top_skus, start=1)
            ),
            ("events in the log", f"{found.events:,}"),
        ],
    )
    out.print()
    table(("role", "token"), [(role.value, token) for role, token in given.items()])
    out.print("\nThree queries to try (as auditor; the explorer page takes the token, too):")
    for title, query in queries(found).items():
        out.print(f"\n# {title}\n{query}", markup=False)
    address = f"http://{settings.host}:{settings.port}/graphql"
    first = json.dumps({"query": next(iter(queries(found).values()))}).replace("'", "'\\''")
    out.print(
        f"\ncurl -s {address} -H 'Content-Type: application/json' -H 'Authorization: Bearer {given[Role.AUDITOR]}' "
        f"-d '{first}'\n",
        markup=False,
    )


def queries(found: Figures) -> dict[str, str]:
    """Return three GraphQL queries over the demonstration's data, by what they ask."""
    store = global_id("Store", found.store_id)
    return {
        "What was sold, to how many, and what went back?": (
            f'{{ kpiTotals(fromDay: "{found.first_day}", toDay: "{found.last_day}") '
            "{ orders customers gross { amount currencyCode } refunded { amount } netSales { amount } } }"
        ),
        "Which events made the figures of the last day?": (
            f'{{ kpiExplain(storeId: "{store}", day: "{found.last_day}", currencyCode: "{found.currency}", first: 5) '
            "{ edges { node { position event occurredAt ruleVersion figures } } } }"
        ),
        "How much of the best seller is there, and at what price?": (
            f'{{ skuByCode(storeId: "{store}", code: "{found.top_skus[0][0].code}") '
            "{ name onHand sellable prices { listPrice { amount currencyCode } } version } }"
        ),
    }


def remove(settings: Settings) -> bool:
    """Delete the demonstration's data directory; return whether there was one.

    Raises `SetupError` for a directory that no demonstration made, and for a database that opscore does not run itself.
    """
    if settings.database_url is not None:
        raise SetupError(
            f"This demonstration is in a PostgreSQL of yours; remove the schemas '{settings.schema_name}' and "
            f"'{settings.keys_schema}' there yourself."
        )
    if not settings.data_dir.exists():
        return False
    if not (settings.data_dir / MARK).exists():
        raise SetupError(f"{settings.data_dir} is no demonstration's; nothing was removed.")
    from opscore.embedded import EmbeddedServer

    EmbeddedServer(settings.data_dir).remove()
    shutil.rmtree(settings.data_dir)
    return True


def _write_private(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    draft.replace(path)

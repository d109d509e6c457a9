"""Two stores with orders, stock and refunds, their read models built, and a folder for exports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.database import Database
from opscore.domain.command import Role
from opscore.domain.order_commands import (
    CompleteOrder,
    ConfirmOrder,
    DeliverOrder,
    PackParcel,
    PayOrder,
    ScannedLine,
    ShipOrder,
)
from opscore.domain.order_review_commands import PostReview
from opscore.embedded import EmbeddedServer
from opscore.exports.datasets import Dataset, Wanted
from opscore.exports.files import Manifest, write
from opscore.exports.formats import Format
from opscore.projector import Projector
from opscore.settings import Settings
from opscore.writer import Writer
from tests.conftest import MASTER_KEY, make_database
from tests.shop import Shop


@dataclass(frozen=True)
class Traded:
    """A database in which two stores have traded, that tests copy: what is in it, so that a copy is worked on."""

    name: str
    stores: tuple[tuple[UUID, UUID], tuple[UUID, UUID]]
    """The id and the location of each store."""
    orders: dict[UUID, list[UUID]]


@pytest.fixture(scope="session")
def traded(server: EmbeddedServer, deployed: str) -> Traded:
    """Trade once, and take it into what a deployed server has built: doing that takes ten times as long as copying."""
    name = "traded_once"
    settings = Settings(_env_file=None, database_url=make_database(server, name, deployed), master_key=MASTER_KEY)
    with Database.open(settings) as database:
        writer = Writer(database, settings)
        writer.start()
        shop, other = Shop.open(writer, name="Ours"), Shop.open(writer, name="Theirs")
        orders = {shop.store_id: buy(shop, 3), other.store_id: buy(other, 2)}
        for each in (shop, other):
            each.campaign()
        writer.stop()
        Projector(database).catch_up()
    stores = (shop.store_id, shop.location_id), (other.store_id, other.location_id)
    return Traded(name, stores, orders)


@pytest.fixture
def settings(
    traded: Traded, copied: Callable[[str], AbstractContextManager[str]], tmp_path: Path
) -> Iterator[Settings]:
    """Settings that name this test's own copy of it."""
    with copied(traded.name) as url:
        yield Settings(
            _env_file=None, database_url=url, master_key=MASTER_KEY, port=0, exports_dir=tmp_path / "exports"
        )


@pytest.fixture
def writer(database: Database, settings: Settings) -> Iterator[Writer]:
    writer = Writer(database, settings)
    writer.start()
    yield writer
    writer.stop()


@dataclass
class Trade:
    """What there is to export, and how a test exports it."""

    database: Database
    projector: Projector
    shop: Shop
    other: Shop
    orders: dict[UUID, list[UUID]]
    """The orders of each store."""
    folder: Path

    def write(
        self,
        dataset: Dataset,
        format_: Format = Format.JSONL,
        store_ids: list[UUID] | None = None,
        role: Role = Role.OWNER,
        **more: Any,
    ) -> tuple[Manifest, Path]:
        """Export; return the manifest and the file."""
        file = self.folder / f"{dataset}.{format_}"
        period = {name: more.pop(name) for name in ("since", "before", "compare_id") if name in more}
        wanted = Wanted(dataset, store_ids, **period)
        return write(self.database, self.projector, wanted, format_, role, file, **more), file

    def review(self) -> None:
        """Complete the paid order of each store and review its first line."""
        for shop in (self.shop, self.other):
            order_id, parcel_id = self.orders[shop.store_id][0], uuid4()
            parcel: dict[str, Any] = {"order_id": order_id, "parcel_id": parcel_id}
            lines = [line for line in self.rows(Dataset.ORDER_LINES) if line["order_id"] == str(order_id)]
            scanned = tuple(
                ScannedLine(line=line["line"], sku_id=UUID(line["sku_id"]), quantity=Decimal(line["quantity"]))
                for line in lines
            )
            for command in (
                ConfirmOrder(order_id=order_id),
                PackParcel(**parcel, location_id=shop.location_id, lines=scanned),
                ShipOrder(**parcel, courier="DPD", waybill=str(parcel_id)),
                DeliverOrder(**parcel),
                CompleteOrder(order_id=order_id),
                PostReview(order_id=order_id, line=1, score=4, text="Ann likes it", external_reference="tb-1"),
            ):
                shop.do(command)
        self.projector.catch_up()

    def table(self, projection: str, name: str) -> str:
        """Return the name of a table of the version that serves."""
        with self.database.connect() as connection:
            entry = self.projector.catalogue.serving(connection, projection)
            assert entry is not None
            return self.projector.loaded(connection, entry).table(name)

    def rows(self, dataset: Dataset, **more: Any) -> list[dict[str, Any]]:
        """Return the rows of a dataset, through JSON lines."""
        _, file = self.write(dataset, **more)
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def buy(shop: Shop, count: int) -> list[UUID]:
    """Place orders of two lines each for one customer and pay the first of them; another customer buys nothing."""
    one, two = shop.sku(stock=100), shop.sku(stock=100, price="5.00")
    buyer, _ = shop.customer(), shop.customer()
    orders = [shop.do(shop.order((one, 1), (two, 2), customer_id=buyer)) for _ in range(count)]
    shop.do(PayOrder(order_id=orders[0], amount_minor=2000, method="card", currency="GBP"))
    return orders


@pytest.fixture
def trade(traded: Traded, database: Database, writer: Writer, tmp_path: Path) -> Trade:
    shop, other = (Shop.opened(writer, *store) for store in traded.stores)
    return Trade(database, Projector(database), shop, other, traded.orders, tmp_path)

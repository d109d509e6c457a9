"""A person's data are ciphertext wherever they lie; once erased, nothing brings them back, and nothing else changes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

from opscore.api.ids import global_id, key_of
from opscore.database import Database
from opscore.domain.customer import Customer
from opscore.domain.order import Order
from opscore.domain.order_commands import (
    ConfirmOrder,
    LineQuantity,
    PackParcel,
    ReportShortage,
    ResolveShortage,
    ScannedLine,
    ShipOrder,
)
from opscore.domain.order_events import ShortageRemedy
from opscore.embedded import EmbeddedServer
from opscore.log.event_log import EventLog
from opscore.log.event_types import event_types
from opscore.log.personal import Keyring, SubjectErased
from opscore.settings import Settings
from tests.end_to_end.servers import (
    Client,
    ServerProcess,
    mutation,
    owner_token,
    pay_order,
    place_order,
    require_sound,
    serving,
)
from tests.shop import Shop

FIELDS = ("name", "phone", "email", "address", "remark", "recipient", "delivery", "wish", "note", "memo")


class Person:
    """A customer whose every personal field holds a marker of its own, and one order of theirs."""

    def __init__(self, client: Client, shop: Shop, sku: UUID) -> None:
        tag = uuid4().int
        self.marks = {field: f"{field}-mark-{tag}" for field in FIELDS}
        # Numbers are kept by their digits, addresses in small letters: so must their marks be.
        self.marks["phone"], self.marks["email"] = f"{tag % 10**14:014}", f"{tag}@mark.example"
        given = {field: self.marks[field] for field in ("name", "email", "address", "remark")}
        self.id = shop.customer()
        card = {"customerId": global_id("Customer", self.id), "consent": True, "phone": f"+{self.marks['phone']}"}
        assert client.once("setContactCard", card | given).codes == ()
        placed = client.once(
            *place_order(
                shop.store_id,
                [(sku, 2)],
                customerId=global_id("Customer", self.id),
                recipient=self.marks["recipient"],
                address=self.marks["delivery"],
                remark=self.marks["wish"],
            )
        )
        assert placed.id is not None, placed
        self.order = placed.id
        self.order_id = key_of(placed.id, "Order")
        assert client.once(*pay_order(placed.id, 2000, str(uuid4()))).codes == ()
        shop.do(ConfirmOrder(order_id=self.order_id))
        shop.do(ReportShortage(order_id=self.order_id, lines=(LineQuantity(line=1, quantity=Decimal(1)),)))
        told = client.once("contactCustomer", {"orderId": placed.id, "note": self.marks["note"]})
        assert told.codes == ()
        assert client.once("noteOrder", {"orderId": placed.id, "text": self.marks["memo"]}).codes == ()

    def is_sent(self, shop: Shop, sku: UUID) -> None:
        """Let the order leave: the shortage was none."""
        shop.do(ResolveShortage(order_id=self.order_id, kind=ShortageRemedy.WAIT))
        parcel_id, all_of_it = uuid4(), (ScannedLine(line=1, sku_id=sku, quantity=Decimal(2)),)
        shop.do(PackParcel(order_id=self.order_id, location_id=shop.location_id, lines=all_of_it, parcel_id=parcel_id))
        shop.do(ShipOrder(order_id=self.order_id, parcel_id=parcel_id, courier="DPD", waybill=str(parcel_id)))

    def needles(self) -> dict[str, list[bytes]]:
        """Return what to look for, by field: the mark as text, in hexadecimal, and in base64 at each of its offsets."""
        found = {}
        for field, mark in self.marks.items():
            raw = mark.encode()
            # Characters at either end of the base64 depend on what stands beside the mark.
            coded = [base64.b64encode(bytes(offset) + raw)[4 if offset else 0 : -4] for offset in range(3)]
            found[field] = [raw, raw.hex().encode(), *coded]
        return found


def places(database: Database) -> Iterator[tuple[str, bytes]]:
    """Yield every table of the database, read models and keys included, and all that is in it."""
    with database.connect("admin") as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for name in tables:
            with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(*name))) as copy:
                yield ".".join(name), b"".join(bytes(data) for data in copy)


def hits(person: Person, found: dict[str, bytes]) -> list[tuple[str, str]]:
    """Return (place, field) for every place that shows a mark."""
    lowered = {place: content.lower() for place, content in found.items()}
    return [
        (place, field)
        for field, needles in person.needles().items()
        for place in found
        if any(needle in found[place] or needle.lower() in lowered[place] for needle in needles)
    ]


def everything(database: Database, server: EmbeddedServer, logs: list[ServerProcess]) -> dict[str, bytes]:
    """Return all that is written anywhere: tables, PostgreSQL's own log, the logs of the servers."""
    found = dict(places(database))
    for table in ("events", "commands", "claims", "snapshots", "api_tokens"):
        assert f"opscore.{table}" in found
    assert any("kpi_daily" in name for name in found) and "opscore_keys.subject_keys" in found
    postgres = [path for path in server._cluster.rglob("*.log") if path.is_file()]
    assert postgres
    return (
        found | {str(path): path.read_bytes() for path in postgres} | {each.name: each.log().encode() for each in logs}
    )


def read(database: Database, settings: Settings, person: Person) -> str:
    """Decrypt every personal field of a person's events, as whoever holds the master key can; raises SubjectErased."""
    keyring = Keyring(settings.master_key_bytes(), database.schema)
    opened = []
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT type, data FROM events WHERE stream_id IN (%s, %s)", (person.id, person.order_id)
        ).fetchall()
        for name, data in rows:
            for field in event_types()[name].fields:
                if field.personal and data.get(field.name) is not None:
                    opened.append(keyring.open(connection, person.id, data[field.name]))
    return "\n".join(opened)


def figures(client: Client) -> dict[str, Any]:
    """Return what was sold in these years, through the API."""
    year = datetime.now(UTC).year
    return client.ask(
        "query ($from: Date!, $to: Date!) { kpiTotals(fromDay: $from, toDay: $to) {"
        " orders guestOrders units gmv { amount } netSales { amount } repeatCustomers } }",
        **{"from": f"{year - 1}-01-01", "to": f"{year + 1}-12-31"},
    )


def provoke(server: ServerProcess, token: str, shop: Shop, sku: UUID, person: Person) -> None:
    """Send what fails, with marks in it: refused, malformed, unreadable for the database, and in a query string."""
    headers = {"authorization": f"Bearer {token}"}
    marks = {
        "recipient": person.marks["recipient"],
        "address": person.marks["delivery"],
        "remark": person.marks["wish"],
    }
    too_many = place_order(shop.store_id, [(sku, 10**6)], **marks)
    no_text = place_order(shop.store_id, [(sku, 1)], channel="a\x00b", **marks)
    no_such_field = place_order(shop.store_id, [(sku, 1)], nickname=person.marks["name"])
    statuses = []
    query = f'{{ order(id: "{person.marks["name"]}") {{ id }} }}'
    with httpx.Client(headers=headers, timeout=60, verify=False) as client:
        for command, fields in (too_many, no_text, no_such_field):
            body = mutation(command, fields, str(uuid4()))
            statuses.append(client.post(f"{server.url}/graphql", json=body).status_code)
        client.get(f"{server.url}/graphql", params={"query": query})
        client.post(f"{server.url}/graphql", content=person.marks["name"].encode())
    assert statuses[0] == 200


@pytest.fixture
def postgres(server: EmbeddedServer) -> EmbeddedServer:
    """The PostgreSQL of the test session, under a name that is not a server's of ours."""
    return server


def test_an_erased_persons_data_are_nowhere_and_stay_so_while_figures_and_chain_are_as_before(
    database: Database, settings: Settings, postgres: EmbeddedServer, shop: Shop, tmp_path: Path
) -> None:
    keyring = Keyring(settings.master_key_bytes(), database.schema)
    log = EventLog(database.pool.connection)
    with serving(settings, tmp_path) as (server,):
        sku = shop.sku(stock=1000)
        token = owner_token(database)
        server.wait_ready()
        with Client(server.url, token) as client:
            person, other = Person(client, shop, sku), Person(client, shop, sku)
            provoke(server, token, shop, sku, person)
            for kind, stream_id in ((Customer, person.id), (Order, person.order_id)):
                kept = log.aggregate(kind, stream_id)
                assert kept is not None
                log.take_snapshot_of(kept)
            require_sound(database)

            # Given and kept, for whoever holds the key; and in the clear nowhere.
            readable = read(database, settings, person)
            assert [mark for mark in person.marks.values() if mark not in readable] == []
            assert hits(person, everything(database, postgres, [server])) == []
            with database.connect("admin") as connection:
                backup = keys(connection)
                assert contacts(connection, person.id) == 2
            before = figures(client)
            assert before["kpiTotals"][0]["orders"] == 2

            erase = {"customerId": global_id("Customer", person.id)}
            assert client.once("eraseCustomer", erase).codes == ("OPEN_ORDERS",)
            person.is_sent(shop, sku)
            assert client.once("eraseCustomer", erase).codes == ()

            with pytest.raises(SubjectErased):
                read(database, settings, person)
            assert [mark for mark in other.marks.values() if mark not in read(database, settings, other)] == []
            with database.connect("admin") as connection:
                assert contacts(connection, person.id) == 0
            require_sound(
                database
            )  # The chain holds, and every read model is that of a rebuild, which is beside it now.
            assert figures(client) == before
            assert hits(person, everything(database, postgres, [server])) == []
            # Nothing new can be stored under this name, and the order is there as it was.
            card = {"customerId": global_id("Customer", person.id), "consent": True, "name": person.marks["name"]}
            assert client.once("setContactCard", card).codes == ("CUSTOMER_NOT_ACTIVE",)
            assert client.ask("query ($id: ID!) { order(id: $id) { total { amount } } }", id=person.order) == {
                "order": {"total": {"amount": "20.00"}}
            }
        server.stop()

        # The keys come back from a backup that is older than the erasure: with them the ciphertext opens again ...
        with database.connect("admin") as connection:
            restore(connection, backup)
        assert person.marks["name"] in read(database, settings, person)
        # ... until a server starts.
        server.start().wait_ready()
        with pytest.raises(SubjectErased):
            read(database, settings, person)
        assert "erased_again" in server.log()
        with database.connect() as connection:
            assert keyring.erased_again(connection) == 0
        assert [mark for mark in other.marks.values() if mark not in read(database, settings, other)] == []
        require_sound(database)
        assert hits(person, everything(database, postgres, [server])) == []


def test_the_search_for_marks_finds_them_where_they_are(database: Database, shop: Shop) -> None:
    marked = Person.__new__(Person)
    marked.marks = {"name": f"name-mark-{uuid4().int}"}
    raw = marked.marks["name"].encode()
    with database.connect("admin") as connection:
        connection.execute("CREATE TABLE leak (said text, bytes bytea)")
        for said, data in (
            (raw.decode().upper(), b""),
            ("", b"x" + raw),
            (base64.b64encode(b"ab" + raw).decode(), b""),
        ):
            connection.execute("TRUNCATE leak")
            connection.execute("INSERT INTO leak VALUES (%s, %s)", (said, data))
            assert hits(marked, dict(places(database))) == [("opscore.leak", "name")]


def keys(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """Return the rows of the keys table."""
    return connection.execute("SELECT subject_id, wrapped_key, erased_at FROM opscore_keys.subject_keys").fetchall()


def restore(connection: psycopg.Connection[Any], backup: list[tuple[Any, ...]]) -> None:
    """Put the keys table back to what it was."""
    connection.execute("TRUNCATE opscore_keys.subject_keys")
    for row in backup:
        connection.execute(
            "INSERT INTO opscore_keys.subject_keys (subject_id, wrapped_key, erased_at) VALUES (%s, %s, %s)", row
        )


def contacts(connection: psycopg.Connection[Any], customer_id: UUID) -> int:
    """Return how many keyed hashes a customer can be found by."""
    row = connection.execute(
        "SELECT count(*) FROM claims WHERE kind = 'contact' AND stream_id = %s", (customer_id,)
    ).fetchone()
    assert row is not None
    return int(row[0])

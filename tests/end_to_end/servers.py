"""Real server processes on one test database, killed and started again at will, and a small client that speaks to them.

Every wait is bounded, every process started here is ended here, and each writes its log to a file of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from opscore.api.ids import global_id
from opscore.audit import verify
from opscore.database import Database
from opscore.domain.command import Role
from opscore.projector import Projector
from opscore.projector.folder import Loaded
from opscore.settings import Settings
from opscore.tokens import create_token
from tests import forks

READY_SECONDS_MAX = 60.0
"""A start takes two seconds on an idle machine; this one may be busy with other tests."""
STOP_SECONDS_MAX = 30.0
ANSWER_SECONDS_MAX = 60.0
RETRY_SECONDS = 0.05
READ_MODELS_SECONDS_MAX = 60.0


def wait_until(holds: Callable[[], bool], what: str, seconds_max: float = 30.0, pause: float = 0.02) -> None:
    """Wait for a condition, asking again and again; fails naming `what` when it does not come in time."""
    until = time.monotonic() + seconds_max
    while not holds():
        assert time.monotonic() < until, f"after {seconds_max} s still not: {what}"
        time.sleep(pause)


# Servers -------------------------------------------------------------------------------------------------------------


class ServerProcess:
    """One `opscore serve`, in a process of its own. Its database sessions carry its name."""

    def __init__(self, name: str, settings: Settings, folder: Path) -> None:
        self.name = name
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = folder / f"{name}.log"
        self._folder = folder
        self._settings = settings
        self._process: forks.Word | None = None

    def start(self) -> Self:
        """Start the process; it does not answer yet."""
        assert self._process is None or self._process.poll() is not None, "it runs already"
        given = self._settings
        assert given.database_url is not None and given.master_key is not None
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OPSCORE_")}
        environment |= {
            "OPSCORE_DATABASE_URL": make_conninfo(given.database_url.get_secret_value(), application_name=self.name),
            "OPSCORE_MASTER_KEY": given.master_key.get_secret_value(),
            "OPSCORE_SCHEMA_NAME": given.schema_name,
            "OPSCORE_WEBHOOK_LOOPBACK": str(given.webhook_loopback),
            "OPSCORE_EXPORTS_DIR": str(self._folder / "exports"),
        }
        with self.log_path.open("ab") as log:
            self._process = forks.begin(["serve", "--port", str(self.port)], environment, self._folder, log, log)
        return self

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def readiness(self) -> httpx.Response | None:
        """Return what /readyz says, None when nobody answers."""
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/readyz", timeout=10, verify=False)
        return None

    def wait_ready(self, seconds_max: float = READY_SECONDS_MAX) -> float:
        """Wait until /readyz says so; return how long that took."""
        began = time.monotonic()
        while True:
            found = self.readiness()
            if found is not None and found.status_code == 200:
                return time.monotonic() - began
            said = "nothing" if found is None else found.text
            assert self._process is not None and self._process.poll() is None, f"{self.name} ended:\n{self.log()}"
            assert time.monotonic() - began < seconds_max, f"{self.name} is not ready, it says {said}:\n{self.log()}"
            time.sleep(0.03)

    def wait_end(self, seconds_max: float = READY_SECONDS_MAX) -> int:
        """Wait until the process ends by itself; return its exit code."""
        assert self._process is not None
        return self._process.wait(seconds_max)

    def kill(self) -> None:
        """End it as a crash would: kill -9."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(STOP_SECONDS_MAX)

    def stop(self) -> None:
        """End it in order; a process that does not go is killed, and that is a failure."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop when told to:\n{self.log()}") from None

    def log(self) -> str:
        """Return what it has written."""
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(settings: Settings, folder: Path, count: int = 1) -> Iterator[list[ServerProcess]]:
    """Start `count` servers (not waited for) on the database of `settings`; end them all."""
    folder.mkdir(parents=True, exist_ok=True)
    servers = [ServerProcess(f"server-{number}", settings, folder) for number in range(1, count + 1)]
    try:
        for each in servers:
            each.start()
        yield servers
    except BaseException:
        for each in servers:
            if each._process is not None and each._process.poll() is None:
                each.kill()
        raise
    for each in servers:
        each.stop()


# Client --------------------------------------------------------------------------------------------------------------


class Unanswered(Exception):
    """Whether the command was carried out is not known: no answer came, or one that says so."""


@dataclass(frozen=True)
class Answer:
    """What a client was told: the aggregate, its place in the log, or why not."""

    id: str | None
    position: int | None
    replayed: bool
    codes: tuple[str, ...] = ()


def place_order(store_id: UUID, lines: Sequence[tuple[UUID, int]], **more: Any) -> tuple[str, dict[str, Any]]:
    """Return the name and input of the mutation that orders (sku, quantity) lines."""
    wanted = [{"skuId": global_id("Sku", sku), "quantity": str(quantity)} for sku, quantity in lines]
    return "placeOrder", {"storeId": global_id("Store", store_id), "lines": wanted, **more}


def pay_order(order_id: str, amount_minor: int, reference: str, currency: str = "GBP") -> tuple[str, dict[str, Any]]:
    """Return the name and input of the mutation that pays an order."""
    given = {"amountMinor": amount_minor, "currency": currency, "method": "card", "providerReference": reference}
    return "payOrder", {"orderId": order_id, **given}


AGGREGATES = {
    "contactCustomer": "order",
    "eraseCustomer": "customer",
    "noteOrder": "order",
    "payOrder": "order",
    "placeOrder": "order",
    "setContactCard": "customer",
}


def mutation(command: str, fields: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the body of a request that gives one command."""
    shown = AGGREGATES[command]
    document = (
        f"mutation ($input: {command[0].upper()}{command[1:]}Input!) {{ {command}(input: $input) {{"
        f" {shown} {{ id }} position replayed userErrors {{ code message path retryable }} }} }}"
    )
    return {"query": document, "variables": {"input": {**fields, "idempotencyKey": key}}}


def read_answer(command: str, response: httpx.Response) -> Answer:
    """Return what a response tells; raises Unanswered when it tells nothing about the command."""
    if response.status_code >= 500:
        raise Unanswered(f"status {response.status_code}: {response.text}")
    body = response.json()
    if body.get("errors"):
        raise Unanswered(str(body["errors"]))
    payload = body["data"][command]
    if any(error["retryable"] for error in payload["userErrors"]):
        raise Unanswered(payload["userErrors"][0]["code"])
    shown = payload[AGGREGATES[command]]
    return Answer(
        shown and shown["id"],
        payload["position"],
        payload["replayed"],
        tuple(error["code"] for error in payload["userErrors"]),
    )


class Client:
    """One connection to one server at a time, as an owner."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._headers = {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(timeout=ANSWER_SECONDS_MAX, verify=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def post(self, body: dict[str, Any]) -> httpx.Response:
        """Send a request; raises Unanswered when no answer came."""
        try:
            return self._http.post(f"{self.url}/graphql", json=body, headers=self._headers)
        except httpx.HTTPError as error:
            raise Unanswered(type(error).__name__) from error

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the data of a query that has to succeed."""
        body = self.post({"query": query, "variables": variables}).json()
        assert "errors" not in body, body["errors"]
        data: dict[str, Any] = body["data"]
        return data

    def once(self, command: str, fields: dict[str, Any], key: str | None = None) -> Answer:
        """Give a command once; raises Unanswered."""
        return read_answer(command, self.post(mutation(command, fields, key or str(uuid4()))))


def owner_token(database: Database) -> str:
    """Return a new token of an owner."""
    return create_token(database, "owner", Role.OWNER)[1]


# Load with a ledger --------------------------------------------------------------------------------------------------


@dataclass
class Ledger:
    """What the clients were told, kept outside of the server: the oracle of the tests that kill it."""

    acknowledged: dict[str, tuple[str, Answer]] = field(default_factory=dict)
    """(command, answer) by idempotency key."""
    unanswered: dict[str, int] = field(default_factory=dict)
    """How often no answer came, by idempotency key."""
    why: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, key: str, command: str, answer: Answer) -> None:
        """Note an answer; each key is answered once."""
        with self._lock:
            assert key not in self.acknowledged
            self.acknowledged[key] = (command, answer)

    def note_unanswered(self, key: str, error: Unanswered) -> None:
        """Note that no answer came this time."""
        with self._lock:
            self.unanswered[key] = self.unanswered.get(key, 0) + 1
            reason = str(error)[:160]
            self.why[reason] = self.why.get(reason, 0) + 1


class Load:
    """Clients that order and pay, each on a thread, repeating what was not answered under the same key."""

    def __init__(self, urls: Sequence[str], token: str, store_id: UUID, skus: Sequence[UUID], clients: int) -> None:
        self.ledger = Ledger()
        self.failures: list[BaseException] = []
        self._stopping = threading.Event()
        self._store_id, self._skus = store_id, skus
        self._threads = [
            threading.Thread(target=self._guarded, args=(urls[number % len(urls)], token, number), daemon=True)
            for number in range(clients)
        ]

    def start(self) -> None:
        """Let all of them begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> Ledger:
        """Let each finish what it has under way; return the ledger."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(2 * ANSWER_SECONDS_MAX)
            assert not thread.is_alive(), f"a client got no answer; {self.ledger.why}"
        if self.failures:
            raise self.failures[0]
        return self.ledger

    def _guarded(self, url: str, token: str, number: int) -> None:
        try:
            with Client(url, token) as client:
                self._buy(client, number)
        except BaseException as error:
            self.failures.append(error)

    def _buy(self, client: Client, number: int) -> None:
        count = 0
        while not self._stopping.is_set():
            sku = self._skus[(number + count) % len(self._skus)]
            placed = self._until_answered(client, f"order-{number}-{count}", *place_order(self._store_id, [(sku, 1)]))
            assert placed.id is not None, placed
            if count % 3 == 0:
                reference = f"payment-{number}-{count}"
                self._until_answered(client, reference, *pay_order(placed.id, 1000, reference))
            count += 1

    def _until_answered(self, client: Client, key: str, command: str, fields: dict[str, Any]) -> Answer:
        until = time.monotonic() + ANSWER_SECONDS_MAX
        while True:
            try:
                answer = client.once(command, fields, key)
            except Unanswered as error:
                self.ledger.note_unanswered(key, error)
                assert time.monotonic() < until, f"{command} {key}: {error}"
                time.sleep(RETRY_SECONDS)
            else:
                self.ledger.note(key, command, answer)
                return answer


# What must be true of the log afterwards -----------------------------------------------------------------------------

_RECORDED = (
    "SELECT idempotency_key AS key, array_agg(type ORDER BY position) AS types, max(position) AS position,"
    " array_agg(DISTINCT stream_id) FILTER (WHERE stream_type = 'Order') AS orders"
    " FROM events WHERE actor = 'owner' AND (idempotency_key LIKE 'order-%' OR idempotency_key LIKE 'payment-%')"
    " GROUP BY idempotency_key"
)
_ONCE = {"placeOrder": "OrderPlaced", "payOrder": "PaymentReceived"}


def require_each_once(database: Database, ledger: Ledger) -> None:
    """Require that each acknowledged command is in the log exactly once, where the client was told, and no other is."""
    with database.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        recorded = {row["key"]: row for row in cursor.execute(_RECORDED)}
    lost = ledger.acknowledged.keys() - recorded.keys()
    assert not lost, f"{len(lost)} acknowledged commands are not in the log, such as {sorted(lost)[:5]}"
    unasked = recorded.keys() - ledger.acknowledged.keys()
    assert not unasked, f"in the log and acknowledged to nobody: {sorted(unasked)[:5]}"
    for key, (command, answer) in ledger.acknowledged.items():
        row = recorded[key]
        assert row["types"].count(_ONCE[command]) == 1, f"{key} had more than one effect: {row['types']}"
        assert [global_id("Order", order) for order in row["orders"]] == [answer.id], key
        assert row["position"] == answer.position, key


def require_sound(database: Database) -> None:
    """Require dense positions, a chain that holds, and read models that are what the log makes of them."""
    with database.connect() as connection:
        row = connection.execute("SELECT count(*), min(position), max(position) FROM events").fetchone()
    assert row is not None and row[1] == 1 and row[0] == row[2], f"positions are not dense: {row}"
    report = verify(database, workers=1)
    assert report.holds, report.findings[:5]
    require_models_equal_a_rebuild(database)


def require_models_equal_a_rebuild(database: Database) -> None:
    """Wait for the read models that serve to reach the head of the log; require each row to be that of a rebuild."""
    projector = Projector(database)
    wait_until(
        lambda: all(each.lag == 0 for each in projector.status() if each.entry.status == "serving"),
        "the read models are at the head of the log",
        READ_MODELS_SECONDS_MAX,
    )
    with database.connect() as connection:
        row = connection.execute("SELECT max(position) FROM events").fetchone()
    assert row is not None
    copies = {entry.name.partition("/")[2]: entry for entry in projector.replay(row[0], "again", replace=True)}
    serving = [each for each in projector.status() if each.entry.status == "serving"]
    assert serving and {each.entry.name for each in serving} == copies.keys()
    with projector.connect() as connection:
        for each in serving:
            assert each.entry.failed_position is None, each.entry.error
            live = projector.loaded(connection, each.entry)
            rebuilt = projector.loaded(connection, copies[each.entry.name])
            for table in live.definition.tables:
                assert _rows(connection, live, table) == _rows(connection, rebuilt, table), (
                    f"{each.entry.name}.{table} differs from its rebuild"
                )
    assert projector.check() == []


def _rows(connection: psycopg.Connection[Any], loaded: Loaded, table: str) -> list[str]:
    found = connection.execute(f"SELECT t::text FROM {loaded.table(table)} AS t ORDER BY 1").fetchall()
    return [row[0] for row in found]


# Sessions ------------------------------------------------------------------------------------------------------------

_BUSY = (
    "SELECT application_name, pid, xact_start IS NOT NULL FROM pg_stat_activity"
    " WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()"
    " AND application_name LIKE 'server-%'"
)
_WAITING = (
    "SELECT waiting.application_name, holding.application_name FROM pg_stat_activity AS waiting"
    " CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocking(pid)"
    " JOIN pg_stat_activity AS holding ON holding.pid = blocking.pid"
    " WHERE waiting.datname = current_database() AND waiting.wait_event_type = 'Lock'"
)


class Sampler:
    """Looks again and again at which database sessions are busy at once: it shows that a test was a concurrent one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.samples = 0
        self.most_busy = 0
        """Most sessions of servers that were not idle in one sample."""
        self.both_in_transaction = 0
        """Samples in which at least two servers each had a transaction open."""
        self.waits: dict[tuple[str, str], int] = {}
        """How often a session of one server was seen waiting for a lock that one of another held."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(30)

    def _run(self) -> None:
        with self._database.connect("admin") as connection:
            while not self._stopping.is_set():
                busy = connection.execute(_BUSY).fetchall()
                self.samples += 1
                self.most_busy = max(self.most_busy, len({row[1] for row in busy}))
                self.both_in_transaction += len({row[0] for row in busy if row[2]}) >= 2
                for waiting, holding in connection.execute(_WAITING):
                    if waiting != holding:
                        self.waits[waiting, holding] = self.waits.get((waiting, holding), 0) + 1
                time.sleep(0.003)

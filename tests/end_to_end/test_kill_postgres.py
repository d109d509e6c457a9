"""kill -9 of every PostgreSQL process under load: nothing acknowledged is lost, and the server goes on by itself."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from opscore.database import Database
from opscore.embedded import EmbeddedServer
from opscore.migrations import migrate
from opscore.settings import Settings
from opscore.writer import Writer
from tests.conftest import MASTER_KEY
from tests.end_to_end.servers import (
    Client,
    Load,
    ServerProcess,
    owner_token,
    require_each_once,
    require_sound,
    serving,
    wait_until,
)
from tests.shop import Shop

ROUNDS = 3
CLIENTS = 6


@pytest.fixture
def folder() -> Iterator[Path]:
    """Data of a PostgreSQL of this test's own; whatever still runs on it at the end is stopped."""
    # A short path of our own: sockets allow 107 bytes, and pytest's folders are closed to the server's user.
    made = Path(tempfile.mkdtemp(prefix="opscore-kill-"))
    try:
        yield made
    finally:
        for process in postgres_of(made):
            with contextlib.suppress(psutil.Error):
                process.kill()
        shutil.rmtree(made)


def postgres_of(folder: Path) -> list[psutil.Process]:
    """Return every PostgreSQL process that works on the data in a folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() == "postgres" and Path(process.cwd()).is_relative_to(folder):
                found.append(process)
    return found


def kill_postgres(folder: Path) -> int:
    """Kill -9 all of them, the postmaster first, so that none can clean up after another; return how many."""
    killed = postgres_of(folder)
    for process in sorted(killed, key=lambda each: each.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(killed, timeout=30)
    return len(killed)


def is_red(server: ServerProcess) -> bool:
    """Say whether /readyz tells that the server cannot work."""
    found = server.readiness()
    return found is not None and found.status_code == 503


def questions_that_fail(url: str, token: str, load: Load) -> list[str]:
    """Ask for an order, often enough at once that every pooled session has its turn; return what went wrong."""
    order_id = next(answer.id for command, answer in list(load.ledger.acknowledged.values()) if command == "placeOrder")
    body = {"query": "query ($id: ID!) { order(id: $id) { status } }", "variables": {"id": order_id}}

    def ask(_: int) -> str | None:
        with Client(url, token) as client:
            answer = client.post(body).json()
        return str(answer["errors"]) if "errors" in answer else None

    with ThreadPoolExecutor(8) as pool:
        return [fault for fault in pool.map(ask, range(24)) if fault is not None]


def test_what_was_acknowledged_before_postgresql_was_killed_is_there_and_the_server_recovers_by_itself(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = [EmbeddedServer(folder / "data")]
    settings = Settings(_env_file=None, database_url=running[0].url, master_key=MASTER_KEY)
    try:
        with Database.open(settings) as database:
            migrate(database)
            with serving(settings, tmp_path) as (server,):
                writer = Writer(database, settings)
                writer.start()
                shop = Shop.open(writer)
                skus = [shop.sku(stock=100_000) for _ in range(5)]
                writer.stop()
                server.wait_ready()
                token = owner_token(database)
                load = Load([server.url], token, shop.store_id, skus, CLIENTS)
                load.start()
                wait_until(lambda: len(load.ledger.acknowledged) > 0, "commands are answered")
                assert questions_that_fail(server.url, token, load) == []
                pid, back, acknowledged, refused_reads = server.pid, [], [], []
                for number in range(ROUNDS):
                    time.sleep(0.5 + 0.3 * number)
                    assert kill_postgres(folder) >= 5
                    acknowledged.append(len(load.ledger.acknowledged))
                    wait_until(lambda: is_red(server), "/readyz is red")
                    running.append(EmbeddedServer(folder / "data"))
                    began = time.monotonic()
                    wait_until(lambda count=acknowledged[-1]: len(load.ledger.acknowledged) > count, "commands go on")
                    back.append(time.monotonic() - began)
                    server.wait_ready()
                    refused_reads += questions_that_fail(server.url, token, load)
                ledger = load.stop()

                # The same process all along, and each kill did take its writer's session away.
                lost = server.log().count("writer.connection_lost")
                assert server.pid == pid and lost >= ROUNDS
                assert refused_reads == []
                require_each_once(database, ledger)
                require_sound(database)
    finally:
        for each in running:
            each.close()
    with capsys.disabled():
        print(
            f"\n{ROUNDS} kills of PostgreSQL: {len(ledger.acknowledged)} commands acknowledged, 0 lost, 0 doubled;"
            f" the writer looked for it {lost} times, {len(ledger.unanswered)} commands had to be repeated;"
            f" next command {min(back):.1f} to {max(back):.1f} s after it was up again"
        )


def test_while_postgresql_is_away_every_question_is_told_so_and_answered_once_it_is_back(
    folder: Path, tmp_path: Path
) -> None:
    running = [EmbeddedServer(folder / "data")]
    settings = Settings(_env_file=None, database_url=running[0].url, master_key=MASTER_KEY)
    try:
        with Database.open(settings) as database:
            migrate(database)
            with serving(settings, tmp_path) as (server,):
                server.wait_ready()
                known, unknown = owner_token(database), owner_token(database)
                question = {"query": "{ orders(first: 1) { nodes { id } } }"}
                with Client(server.url, known) as client, Client(server.url, unknown) as stranger:
                    assert "errors" not in client.post(question).json()
                    kill_postgres(folder)
                    with ThreadPoolExecutor(2) as pool:
                        answers = list(pool.map(lambda each: each.post(question), (client, stranger)))
                    for answer in answers:
                        [error] = answer.json()["errors"]
                        assert error["extensions"] == {"code": "NOT_READY"}
                        assert "send the same request again" in error["message"]
                    # Who asks is not known, so nothing of the request was run.
                    assert answers[1].status_code == 503 and answers[1].headers["retry-after"]
                    running.append(EmbeddedServer(folder / "data"))
                    for each in (client, stranger):
                        wait_until(lambda each=each: "errors" not in each.post(question).json(), "questions go on")
    finally:
        for each in running:
            each.close()

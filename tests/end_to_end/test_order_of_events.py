"""Eight clients at two servers and a reader at the tail of the log: it passes over nothing, positions have no gap."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path
from uuid import UUID

import pytest

from opscore.database import Database
from opscore.log.event_log import EventLog
from opscore.settings import Settings
from tests.end_to_end.servers import Client, Sampler, owner_token, place_order, require_sound, serving, wait_until
from tests.shop import Shop

CLIENTS = 8
SECONDS = 3.0
LINES = 12


class Tail:
    """A reader that asks for what comes after the last position it has seen, again and again."""

    def __init__(self, database: Database) -> None:
        self._log = EventLog(database.pool.connection)
        self._after = self._log.head().position
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.first = self._after + 1
        self.positions: list[int] = []
        self.polls = 0
        self._thread.start()

    def stop(self) -> None:
        """Read to the end, once more after it is reached."""
        self._stopping.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        last_look = False
        while True:
            found = self._log.recorder.select_notifications(self._after, 500, inclusive_of_start=False)
            self.polls += 1
            self.positions += [each.id for each in found]
            if found:
                self._after = found[-1].id
            elif last_look:
                return
            else:
                last_look = self._stopping.is_set()
                time.sleep(0.001)


def test_a_reader_at_the_tail_passes_over_nothing_while_eight_clients_write_at_two_servers(
    database: Database, settings: Settings, shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(settings, tmp_path, 2) as servers:
        skus = [shop.sku(stock=1_000_000) for _ in range(LINES)]
        token = owner_token(database)
        for server in servers:
            server.wait_ready()
        stopping = threading.Event()
        positions: dict[int, list[int]] = {0: [], 1: []}
        failures: list[BaseException] = []

        def write(number: int, skus: list[UUID]) -> None:
            try:
                with Client(servers[number % 2].url, token) as client:
                    while not stopping.is_set():
                        answer = client.once(*place_order(shop.store_id, [(sku, 1) for sku in skus]))
                        assert answer.position is not None, answer
                        positions[number % 2].append(answer.position)
            except BaseException as error:
                failures.append(error)

        def turns() -> int:
            """Return how often the next command in the log was taken by the other server, as far as was answered."""
            owners = {position: server for server, found in positions.items() for position in tuple(found)}
            return sum(owners[one] != owners[other] for one, other in itertools.pairwise(sorted(owners)))

        tail = Tail(database)
        threads = [threading.Thread(target=write, args=(number, skus), daemon=True) for number in range(CLIENTS)]
        with Sampler(database) as sampler:
            for thread in threads:
                thread.start()
            time.sleep(SECONDS)
            # The writers are at it at the same time: their commands lie between each other in the log. It takes longer
            # until that is seen where others are busy as well.
            wait_until(
                lambda: failures or (turns() >= 20 and sampler.most_busy >= 3 and sampler.both_in_transaction >= 3),
                "both servers take turns",
                60,
            )
            stopping.set()
            for thread in threads:
                thread.join(60)
                assert not thread.is_alive()
        tail.stop()
        if failures:
            raise failures[0]
        with database.connect() as connection:
            row = connection.execute("SELECT max(position), count(*) FROM events").fetchone()
        assert row is not None
        head, count = row
        assert head == count
        assert tail.positions == list(range(tail.first, head + 1))
        require_sound(database)
    with capsys.disabled():
        print(
            f"\n{len(tail.positions)} events, 0 missed in {tail.polls} polls; servers took turns {turns()} times;"
            f" at most {sampler.most_busy} sessions busy at once, both servers in a transaction"
            f" in {sampler.both_in_transaction} of {sampler.samples} samples"
        )

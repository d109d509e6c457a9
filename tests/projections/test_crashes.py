"""kill -9 in the middle of everything: what serves never changes or vanishes, and the work goes on where it stood."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from opscore import resources
from opscore.database import Database
from opscore.projector import ProjectionRefused, Projector
from opscore.projector.folder import Loaded
from opscore.settings import Settings
from tests.projections.logs import Log, contents

WORKER = """
import sys, time
from pathlib import Path
from opscore.database import Database
from opscore.projector import Projector
from opscore.projector import compare, filling, projector, window
from opscore.projector.catalogue import Catalogue
from opscore.settings import Settings

def stand_still(owner, name, times):
    # Goes as far as the `times`-th call of a function, says so, and waits there to be killed.
    whole, left = getattr(owner, name), [times]
    def stopping(*given, **named):
        left[0] -= 1
        if not left[0]:
            print("here", flush=True)
            time.sleep(600)
        return whole(*given, **named)
    setattr(owner, name, stopping)

filling.REBUILD_WINDOW = projector.REBUILD_WINDOW = 200
with Database.open(Settings(_env_file=None)) as database:
    folder = Path(sys.argv[1])
    projections = Projector(database, folder)
    {work}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the projections in which kpi_daily can get a second version."""
    return Path(shutil.copytree(resources.path("projections"), tmp_path / "projections"))


def count_freight(folder: Path) -> None:
    path = folder / "kpi_daily" / "projection.toml"
    text = path.read_text("utf-8")
    text = text.replace("gmv_counts_freight = false", "gmv_counts_freight = true").replace("version = 3", "version = 4")
    path.write_text(text, "utf-8")


@contextmanager
def killed(settings: Settings, folder: Path, work: str) -> Iterator[None]:
    """Run work in a process of its own up to where it stands still; kill -9 it there, after the `with` block."""
    assert settings.database_url is not None
    environment = {
        **os.environ,
        "PYTHONPATH": "src",
        "OPSCORE_DATABASE_URL": settings.database_url.get_secret_value(),
        "OPSCORE_SCHEMA_NAME": settings.schema_name,
        **({"OPSCORE_MASTER_KEY": settings.master_key.get_secret_value()} if settings.master_key else {}),
    }
    script = WORKER.replace("{work}", work.strip().replace("\n", "\n    "))
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        # Whatever goes wrong in it, nobody waits for ever.
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            # A server writes its log there as well.
            assert "here\n" in process.stdout, "it never came as far as it was to be killed"
            yield
        finally:
            watchdog.cancel()
            process.send_signal(signal.SIGKILL)
            process.wait(10)


def settled(connection: psycopg.Connection[Any]) -> None:
    """Wait until PostgreSQL has noticed that the killed process is gone and taken back what it had begun."""
    until = time.monotonic() + 30
    while connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
    ).fetchone() != (0,):
        assert time.monotonic() < until
        time.sleep(0.02)


def totals(projector: Projector) -> list[dict[str, Any]]:
    return projector.run_query("kpi_daily", "totals", store_ids=None)


def served(connection: psycopg.Connection[Any], projector: Projector) -> list[tuple[str, int, str]]:
    """Return the versions of kpi_daily that there are, and what each of them does."""
    entries = projector.catalogue.entries(connection, "kpi_daily")
    return sorted((entry.name, entry.version, entry.status) for entry in entries)


@pytest.fixture
def two(log: Log, projector: Projector, database: Database, folder: Path) -> Projector:
    """Two versions of kpi_daily side by side, the first serving, not compared yet."""
    log.fill(900)
    projector.rebuild("kpi_daily")
    count_freight(folder)
    changed = Projector(database, folder)
    changed.rebuild("kpi_daily")
    return changed


REBUILDS = {
    "between two windows": 'stand_still(Catalogue, "move", 3)',
    "before the indexes": 'stand_still(Projector, "_finish", 1)',
    "before it is opened": 'stand_still(Catalogue, "set_status", 1)',
}


@pytest.mark.parametrize("where", REBUILDS)
def test_a_rebuild_killed_anywhere_leaves_what_serves_and_goes_on(
    log: Log, settings: Settings, projector: Projector, database: Database, folder: Path,
    connection: psycopg.Connection[Any], where: str,
) -> None:  # fmt: skip
    log.fill(900)
    projector.rebuild("kpi_daily")
    before = totals(projector)
    count_freight(folder)

    with killed(settings, folder, REBUILDS[where] + '\nprojections.rebuild("kpi_daily", window=200)'):
        assert totals(projector) == before
    settled(connection)

    assert totals(projector) == before
    assert served(connection, projector) == [("kpi_daily", 3, "serving"), ("kpi_daily", 4, "building")]
    stood = projector.catalogue.entry(connection, "kpi_daily", 4)
    assert stood is not None and stood.position > 0
    changed = Projector(database, folder)
    assert {line.name: line.action for line in changed.plan()}["kpi_daily"] == "resume"
    changed.deploy()
    assert served(connection, changed)[1] == ("kpi_daily", 4, "ready")
    assert_built_whole(connection, changed, "kpi_daily", 4)
    assert totals(projector) == before


@pytest.mark.parametrize("times", [1, 9, 30])
def test_several_rebuilds_side_by_side_that_are_killed_go_on_each_where_it_stood(
    log: Log, settings: Settings, projector: Projector, folder: Path, connection: psycopg.Connection[Any], times: int
) -> None:
    log.fill(900)
    work = f"""
Projector.rebuild.__kwdefaults__["window"] = 100
projections._parts = 3
stand_still(Catalogue, "move", {times})
projections.deploy()
"""
    with killed(settings, folder, work):
        pass
    settled(connection)
    stood = {entry.name: (entry.status, entry.position) for entry in projector.catalogue.entries(connection)}
    assert any(status == "building" for status, _ in stood.values())
    lines = {line.name: line.action for line in projector.plan()}
    assert {lines[name] for name, (status, _) in stood.items() if status == "building"} == {"resume"}
    seen: dict[str, int] = {}

    projector.deploy(progress=lambda done: seen.setdefault(done.name, done.position))

    for name, (status, position) in stood.items():
        assert (name in seen) == (status in ("building", "retired"))
        assert status != "building" or seen[name] >= position, f"{name} began afresh"
    for name, definition in projector.definitions().items():
        assert_built_whole(connection, projector, name, definition.version)
    assert projector.check() == []


SERVED = """
import httpx, threading
from opscore.projector import own as folders
from opscore.app import HttpServer, create_app, http_config
from opscore.domain.command import Role
from opscore.tokens import create_token

served = Settings(_env_file=None, port=0, projections=folder)
app = create_app(served)
running = HttpServer(http_config(app, "127.0.0.1", 0))
threading.Thread(target=running.run, daemon=True).start()
while not running.started:
    time.sleep(0.01)
port = running.servers[0].sockets[0].getsockname()[1]
client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
app.state.server._deploying.join()
folders.copy(Projector(database).definitions()["kpi_daily"], folder)
Projector.rebuild.__kwdefaults__["window"] = 200
stand_still(Catalogue, "move", 3)
token = create_token(database, "owner", Role.OWNER)[1]
given = 'mutation { rebuildProjection(input: {name: "kpi_daily", idempotencyKey: "r"}) { userErrors { message } } }'
headers = {"authorization": f"Bearer {token}"}
answer = client.post("/graphql", json={"query": given}, headers=headers).json()
assert answer == {"data": {"rebuildProjection": {"userErrors": []}}}, answer
time.sleep(600)
"""


def test_a_rebuild_begun_over_graphql_whose_server_is_killed_goes_on_where_it_stood(
    log: Log, settings: Settings, projector: Projector, database: Database, tmp_path: Path,
    connection: psycopg.Connection[Any],
) -> None:  # fmt: skip
    log.fill(900)
    projector.deploy()
    before = totals(projector)
    mine = tmp_path / "own"
    mine.mkdir()

    with killed(settings, mine, SERVED):
        assert totals(projector) == before
    settled(connection)

    assert served(connection, projector) == [("kpi_daily", 3, "serving"), ("kpi_daily", 4, "building")]
    stood = projector.catalogue.entry(connection, "kpi_daily", 4)
    assert stood is not None and stood.position == 400
    again = Projector(database)
    again._own = mine
    seen: list[int] = []
    # A server deploys what it finds as it starts: it goes on with it.
    again.deploy(progress=lambda done: seen.append(done.position))
    assert served(connection, again)[1] == ("kpi_daily", 4, "ready") and seen[0] > 400
    assert_built_whole(connection, again, "kpi_daily", 4)
    assert totals(projector) == before


REPLAYS = {
    "between two windows": 'stand_still(Catalogue, "move", 12)',
    "before it stands still": 'stand_still(Catalogue, "set_status", 4)',
}


@pytest.mark.parametrize("where", REPLAYS)
def test_a_replay_that_was_killed_is_not_asked_and_goes_on_where_it_stood(
    log: Log, settings: Settings, projector: Projector, folder: Path, connection: psycopg.Connection[Any], where: str
) -> None:
    then = log.fill(900)
    log.fill(200, seed=4)
    with killed(settings, folder, f'{REPLAYS[where]}\nprojections.replay({then}, "march")'):
        pass
    settled(connection)

    states = {entry.name: entry.status for entry in projector.catalogue.entries(connection)}
    assert set(states.values()) == {"frozen", "building"}
    with pytest.raises(ProjectionRefused, match="march is not whole"):
        projector.of_replay("march")
    seen: dict[str, int] = {}
    copies = projector.replay(then, "march", progress=lambda done: seen.setdefault(done.name, done.position))

    assert not {name for name, status in states.items() if status == "frozen"} & seen.keys()
    assert {copy.position for copy in copies} == {then}
    whole = {copy.name: contents(connection, projector.loaded(connection, copy)) for copy in copies}
    again = projector.replay(then, "april")
    assert [contents(connection, projector.loaded(connection, copy)) for copy in again] == list(whole.values())
    assert projector.of_replay("march")[1] == then


COMPARES = {
    "at its first row": 'stand_still(compare, "_jsonb", 1)',
    "before it is kept": 'stand_still(compare, "store", 1)',
}


@pytest.mark.parametrize("where", COMPARES)
def test_a_compare_killed_anywhere_keeps_no_half_of_it_and_holds_up_nobody(
    log: Log, settings: Settings, two: Projector, folder: Path, connection: psycopg.Connection[Any], where: str
) -> None:
    before = totals(two)
    with killed(settings, folder, COMPARES[where] + '\nprojections.compare("kpi_daily", 3, 4)'):
        assert totals(two) == before
        log.fill(50, seed=5)
        two.catch_up()
    settled(connection)

    assert two.compares() == []
    assert connection.execute("SELECT count(*) FROM projection_compare_rows").fetchone() == (0,)
    assert two.compare("kpi_daily", 3, 4).differing_rows > 0


@pytest.mark.parametrize("step", [1, 2])
def test_a_promote_killed_between_its_steps_has_not_happened(
    settings: Settings, two: Projector, folder: Path, connection: psycopg.Connection[Any], step: int
) -> None:
    two.compare("kpi_daily", 3, 4)
    before = totals(two)

    work = f'stand_still(Catalogue, "set_status", {step})\nprojections.promote("kpi_daily", 4, by="killed")'
    with killed(settings, folder, work):
        assert totals(two) == before, "readers are answered while somebody stands in the middle of it"
    settled(connection)

    assert served(connection, two) == [("kpi_daily", 3, "serving"), ("kpi_daily", 4, "ready")]
    assert totals(two) == before
    assert two.promote("kpi_daily", 4, by="again").promoted_by == "again"
    assert totals(two) != before


def test_a_follower_killed_again_and_again_takes_every_event_in_once(
    log: Log, settings: Settings, projector: Projector, folder: Path, connection: psycopg.Connection[Any]
) -> None:
    log.fill(300)
    projector.deploy()
    follow = """
stand_still(Catalogue, "move", {times})
with projections.connect() as connection:
    while True:
        projections.follow_once(connection, limit=20)
"""
    positions = [log.head()]
    for times in (1, 4, 9, 20):
        log.fill(120, seed=times)
        before = totals(projector)
        with killed(settings, folder, follow.replace("{times}", str(times))):
            assert {row["currency"] for row in totals(projector)} >= {row["currency"] for row in before}
        settled(connection)
        positions.append(min(entry.position for entry in projector.catalogue.entries(connection)))

    assert positions == sorted(positions)
    assert positions[-1] < log.head(), "it was killed in the middle"
    projector.catch_up()
    assert projector.check() == []
    for name, definition in projector.definitions().items():
        assert_built_whole(connection, projector, name, definition.version)


def test_a_what_if_that_was_killed_goes_on_and_leaves_nothing(
    log: Log, settings: Settings, projector: Projector, folder: Path, connection: psycopg.Connection[Any]
) -> None:
    log.fill(900)
    projector.rebuild("kpi_daily")
    before = totals(projector)
    work = 'projections.whatif("kpi_daily", {"gmv_counts_freight": "true"})'
    with killed(settings, folder, f'stand_still(Catalogue, "move", 3)\n{work}'):
        assert totals(projector) == before
    settled(connection)
    assert [status.entry.position for status in projector.status() if "/" in status.entry.name] == [400]
    seen: list[int] = []

    projector.whatif("kpi_daily", {"gmv_counts_freight": "true"}, progress=lambda step: seen.append(step.position))

    assert seen and seen[0] > 400
    assert [status.entry.name for status in projector.status()] == ["kpi_daily"]
    assert totals(projector) == before


def assert_built_whole(connection: psycopg.Connection[Any], projector: Projector, name: str, version: int) -> None:
    """Hold that a version has the very rows that its statements make of the log in one go."""
    entry = projector.catalogue.entry(connection, name, version)
    assert entry is not None
    found = projector.loaded(connection, entry)
    whole = Loaded(found.definition, projector.schema, f"whole/{name}")
    with connection.transaction():
        projector.catalogue.claim(connection, whole)
        projector.make_tables(connection, whole)
    projector._fill(connection, whole, None, None, 100_000)
    assert contents(connection, found) == contents(connection, whole)


# What cannot be taken in ---------------------------------------------------------------------------------------------


def test_a_poison_event_is_got_over_by_a_version_that_can_read_it_and_not_before(
    log: Log, projector: Projector, database: Database, folder: Path, connection: psycopg.Connection[Any]
) -> None:
    log.fill(300)
    projector.deploy()
    world = log.world()
    order = world.place(1, [(0, 1)])
    world.pay(order)
    poisoned = next(number for number, row in enumerate(world.rows) if row[4] == "OrderPaid")
    row = list(world.rows[poisoned])
    data = json.loads(row[15])
    row[15] = json.dumps({**data, "units": "one"}, separators=(",", ":"))
    world.rows[poisoned] = tuple(row)
    position = int(row[0])
    log.append(world)
    projector.catch_up()
    stopped = projector.catalogue.serving(connection, "kpi_daily")
    assert stopped is not None and (stopped.state, stopped.failed_position) == ("failed", position)
    projector.resume("kpi_daily", 3)
    projector.catch_up()
    assert "kpi_daily" in {entry.name for entry in projector.failures()}, "trying again mends nothing"

    edit(folder, "projection.toml", lambda text: text.replace("version = 3", "version = 4"))
    # A mend is a rule like any other: here an order whose units cannot be read counts as one unit.
    edit(folder, "apply.sql", lambda text: text.replace("sum(paid.units)", "count(*)"))
    mended = Projector(database, folder)
    mended.rebuild("kpi_daily")
    assert mended.promote("kpi_daily", 4, by="owner").position == log.head()

    assert totals(mended)
    log.fill(50, seed=8)
    mended.catch_up()
    entry = mended.catalogue.serving(connection, "kpi_daily")
    assert entry is not None and (entry.version, entry.state, entry.position) == (4, "serving", log.head())


def edit(folder: Path, file: str, change: Callable[[str], str]) -> None:
    path = folder / "kpi_daily" / file
    text = path.read_text("utf-8")
    assert change(text) != text
    path.write_text(change(text), "utf-8")

"""The demonstration: what it shows is what the file says, run again it adds nothing, stopped it goes on."""

from __future__ import annotations

import csv
import gzip
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from opscore import resources
from tests.demonstration import Demonstration, imported_once


@pytest.fixture(scope="module")
def demo(shared: Path) -> Iterator[Demonstration]:
    running = Demonstration()
    try:
        running.take(imported_once(shared))
        running.start()
        yield running
    finally:
        running.close()


def figure(output: str, name: str) -> str:
    (found,) = re.findall(rf"^{re.escape(name)}  +(.+)$", output, re.MULTILINE)
    return str(found)


def test_the_figures_are_those_of_the_file(demo: Demonstration) -> None:
    invoices, days, gross = set(), set(), Decimal(0)
    with gzip.open(resources.path("data") / "online_retail_slice.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            price, quantity = Decimal(row["Price"]), int(row["Quantity"])
            if row["Invoice"][0] not in "AC" and quantity > 0 and price > 0:
                invoices.add(row["Invoice"])
                days.add(row["InvoiceDate"][:10])
                gross += (price * quantity).quantize(Decimal("0.01"))
    for output in (demo.first_output, demo.output):
        assert figure(output, "orders") == f"{len(invoices):,}"
        assert figure(output, "gross sales") == f"{gross:,} GBP"
        assert int(figure(output, "days").split()[0]) >= len(days)


def test_a_first_start_says_what_takes_its_time(demo: Demonstration) -> None:
    assert "Making a PostgreSQL of opscore's own" in demo.first_output


def test_every_query_that_it_prints_is_answered(demo: Demonstration) -> None:
    queries = re.findall(r"^\{ .+ \}$", demo.output, re.MULTILINE)
    assert len(queries) == 3
    for query in queries:
        assert all(demo.ask("auditor", query).values())


def test_the_command_line_that_it_prints_can_be_pasted(demo: Demonstration) -> None:
    (line,) = re.findall(r"^curl .+$", demo.output, re.MULTILINE)
    answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert '"netSales"' in answer.stdout and '"errors"' not in answer.stdout


def test_every_role_has_a_token_that_is_good(demo: Demonstration) -> None:
    for role in ("owner", "manager", "warehouse", "finance", "storefront", "auditor"):
        assert demo.ask(role, "{ viewer { role } }")["viewer"]["role"].lower() == role


def test_the_explorer_page_needs_nothing_from_elsewhere(demo: Demonstration) -> None:
    address = f"http://127.0.0.1:{demo.port}"
    page = httpx.get(f"{address}/graphql", headers={"Accept": "text/html"})
    assert page.status_code == 200
    named = re.findall(r"(?:src|href)=\"(?!data:)([^\"#]+)\"", page.text)
    assert named, "the page names no file at all"
    for name in named:
        assert name.startswith("/"), f"{name} is not ours"
        assert httpx.get(address + name).status_code == 200


def test_its_data_cannot_be_removed_while_it_runs(demo: Demonstration) -> None:
    assert "stop it first" in demo.words("demo", "--remove", code=1)


def test_a_taken_port_is_said_before_anything_is_done(demo: Demonstration) -> None:
    assert "OPSCORE_PORT=" in demo.words("demo", code=1)


def test_run_again_it_adds_nothing_and_keeps_its_tokens(demo: Demonstration) -> None:
    again = demo.words("demo", "--once")
    assert "Everything was there already." in again
    assert figure(again, "events in the log") == figure(demo.first_output, "events in the log")
    assert demo.token("owner") in again


def test_its_log_and_read_models_hold_what_they_must(demo: Demonstration) -> None:
    demo.words("audit", "anchor")
    assert "Everything holds." in demo.words("audit", "verify")


def test_stopped_halfway_it_goes_on_to_the_same_figures(demo: Demonstration) -> None:
    stopped = Demonstration()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "opscore.cli", "demo", "--once"],
            env=stopped.environment,
            cwd=stopped.folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("booking: ") and "starting" not in line:
                process.send_signal(signal.SIGINT)
                break
        _, rest = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Run the same command again" in rest
        after = stopped.words("demo", "--once")
        for name in ("days", "orders", "customers", "gross sales", "refunds", "net sales", "events in the log"):
            assert figure(after, name) == figure(demo.output, name)
        assert "is gone" in stopped.words("demo", "--remove")
        assert not (stopped.folder / "data").exists()
    finally:
        stopped.close()


def test_data_that_are_no_demonstrations_are_left_alone() -> None:
    other = Demonstration()
    try:
        other.words("migrate")
        assert "nothing was removed" in other.words("demo", "--remove", code=1)
        assert (other.folder / "data").exists()
    finally:
        other.close()


def test_ctrl_c_ends_the_server_and_its_database(demo: Demonstration) -> None:
    assert demo.interrupt() == 0
    assert not (demo.folder / "data" / "postgresql-18" / "postmaster.pid").exists()

"""The words of the command line, run as a person runs them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from opscore.console import Bars, StopSwitch, counted, duration
from opscore.database import Database
from opscore.imports.pipeline import Meter
from opscore.settings import Settings
from tests import forks

ROOT = Path(__file__).parents[1]


@pytest.fixture
def environment(settings: Settings, tmp_path: Path) -> dict[str, str]:
    """An environment in which `opscore` meets this test's own database."""
    assert settings.database_url is not None and settings.master_key is not None
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "src"),
        "OPSCORE_DATABASE_URL": settings.database_url.get_secret_value(),
        "OPSCORE_MASTER_KEY": settings.master_key.get_secret_value(),
        "OPSCORE_DATA_DIR": str(tmp_path / "data"),
    }


def run(environment: dict[str, str], *words: str, code: int = 0) -> str:
    """Run one word; return what it wrote, both streams together."""
    done = forks.run(words, environment)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_help_names_every_word() -> None:
    text = subprocess.run(
        [sys.executable, "-m", "opscore.cli", "--help"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    words = "serve demo migrate token import projections replay audit schema webhook export"
    for word in words.split():
        assert re.search(rf"^\s+{word}\s+\S", text, re.MULTILINE), f"{word} is missing or does not say what it does"


def test_a_setting_that_there_is_not_is_told_by_every_word(environment: dict[str, str]) -> None:
    told = "OPSCORE_MASTERKEY is no setting of opscore and takes no effect (did you mean MASTER_KEY?)."
    assert told in run({**environment, "OPSCORE_MASTERKEY": "x"}, "token", "list")
    assert "no setting" not in run(environment, "token", "list")


def test_a_database_of_a_newer_opscore_is_named_by_every_word(environment: dict[str, str], database: Database) -> None:
    with database.connect("admin") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for words in (("migrate",), ("projections", "list"), ("audit", "verify"), ("serve", "--port", "0")):
        assert "a newer opscore brought it" in run(environment, *words, code=1), words


def test_a_word_that_only_looks_begins_nothing_and_migrates_no_database_of_others(
    environment: dict[str, str], tmp_path: Path
) -> None:
    fresh = {**environment, "OPSCORE_SCHEMA_NAME": "fresh"}
    text = run(fresh, "audit", "verify", code=1)
    assert "run: opscore migrate" in text and "Everything holds" not in text
    del environment["OPSCORE_DATABASE_URL"]
    text = run(environment, "audit", "verify", code=1)
    assert f"There are no data of opscore under {tmp_path / 'data'}" in text and "OPSCORE_DATA_DIR" in text
    assert not (tmp_path / "data").exists()


def test_migrating_a_second_time_has_nothing_to_do(environment: dict[str, str]) -> None:
    fresh = {**environment, "OPSCORE_SCHEMA_NAME": "fresh"}
    assert "newly" in run(fresh, "migrate")
    assert "nothing to do" in run(fresh, "migrate")


def test_a_token_is_shown_once_listed_without_itself_and_revoked(environment: dict[str, str]) -> None:
    made = run(environment, "token", "create", "till-1", "--role", "service")
    token_id, token = re.findall(r"^(?:id|token) +(\S+)$", made, re.MULTILINE)
    listed = run(environment, "token", "list")
    assert token_id in listed and token not in listed and "good" in listed
    assert "customer" in listed and "scopes" in listed
    run(environment, "token", "revoke", token_id)
    assert "revoked" in run(environment, "token", "list")
    assert "no good token" in run(environment, "token", "revoke", token_id, code=1)


def test_an_anchored_log_verifies(environment: dict[str, str]) -> None:
    assert "opscore audit anchor" in run(environment, "audit", "verify")
    run(environment, "audit", "anchor")
    text = run(environment, "audit", "verify")
    assert "1 anchor and" in text and "Everything holds." in text


def test_a_database_that_is_not_there_is_said_in_a_sentence(environment: dict[str, str]) -> None:
    text = run({**environment, "OPSCORE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "migrate", code=1)
    assert "PostgreSQL cannot be reached" in text
    assert "Traceback" not in text


def test_a_time_without_its_offset_is_refused(environment: dict[str, str]) -> None:
    assert "offset" in run(environment, "replay", "--until", "2026-03-31", "--into", "march", code=1)


def test_every_projection_can_be_built_listed_compared_and_is_locked(environment: dict[str, str]) -> None:
    run(environment, "projections", "rebuild")
    listed = run(environment, "projections", "list")
    assert "serving" in listed
    assert "building" not in listed
    assert "nothing" in run(environment, "projections", "plan")
    assert "locked" in run(environment, "projections", "lock", "--check")


def test_a_projection_that_is_not_there_is_said_with_those_that_are(environment: dict[str, str]) -> None:
    assert "kpi_daily" in run(environment, "projections", "rebuild", "kpi_dayly", code=1)


def test_without_a_terminal_progress_is_plain_lines_with_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        bars.at("rows", 0, 1000)
        bars.at("rows", 250, 1000, rate=50.0, eta_seconds=15.0)
        bars.at("rows", 1000, 1000)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("rows: 0 of 1,000")
    assert lines[-1].startswith("rows: 1,000 of 1,000") and lines[-1].endswith("done)")


def test_work_of_unknown_length_ends_when_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        bars.at("rows", 10, None)
        bars.at("rows", 1234, None)
    assert capsys.readouterr().err.splitlines()[-1].startswith("rows: 1,234 of 1,234")


def test_a_phase_of_unknown_length_is_over_when_the_next_one_begins(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        meter = Meter(bars.importing(StopSwitch()))
        for phase, done in (("looking up", 0), ("reading", 1234)):
            meter.begin(phase)
            meter.at(done)
        meter.begin("booking", 2)
        said = capsys.readouterr().err.splitlines()
    assert said[1] == "looking up: 0 of 0 (done)"
    assert [line for line in said if line.startswith("reading: 1,234 of 1,234 (") and line.endswith("done)")]


def test_numbers_and_their_words_agree() -> None:
    assert [counted(1, "anchor"), counted(0, "anchor"), counted(1000, "entry", "entries")] == [
        "1 anchor", "0 anchors", "1,000 entries",
    ]  # fmt: skip


def test_progress_in_between_is_told_only_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        for done in range(500):
            bars.at("rows", done, 1000, rate=100.0, eta_seconds=5.0)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[-1] == "rows: 499 of 1,000 (100/s, 5.0 s left)"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.44, "0.4 s"), (12.4, "12 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")]
)
def test_a_length_of_time_is_said_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


STOPPABLE = """
import sys, time
from opscore.console import Stopped, stoppable
try:
    with stoppable() as stop:
        print("ready", flush=True)
        while not stop():
            time.sleep(0.01)
        raise ValueError("the work says that it was stopped")
except Stopped:
    sys.exit(42)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_work_that_is_told_to_stop_ends_after_its_step(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPABLE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, told = process.communicate(timeout=10)
    assert process.returncode == 42
    assert "what is done stays done" in told


def test_a_webhook_is_added_listed_and_ended(environment: dict[str, str]) -> None:
    local = {**environment, "OPSCORE_WEBHOOK_LOOPBACK": "true"}
    assert "this machine itself" in run(environment, "webhook", "add", "https://127.0.0.1/hook", code=1)
    made = run(local, "webhook", "add", "http://127.0.0.1:9/hook", "--type", "OrderPlaced")
    webhook_id, secret = re.findall(r"^(?:id|secret) +(\S+)$", made, re.MULTILINE)
    listed = run(local, "webhook", "list")
    assert webhook_id in listed and "active" in listed and secret not in listed
    assert "ConnectError" in run(local, "webhook", "ping", webhook_id, code=1)
    assert re.search(r"^secret +whsec_", run(local, "webhook", "rotate", webhook_id), re.MULTILINE)
    run(local, "webhook", "remove", webhook_id)
    assert "no webhook" in run(local, "webhook", "pause", webhook_id, code=1)


def test_rows_are_exported_to_a_file_and_what_is_no_export_is_refused(
    environment: dict[str, str], tmp_path: Path
) -> None:
    run(environment, "projections", "rebuild")
    file = tmp_path / "orders.csv"
    said = run(environment, "export", "orders", "--out", str(file))
    assert "0 rows as of position 0" in said and "sha256" in said
    assert file.read_text(encoding="utf-8").startswith("order_id,store_id,")
    parquet = tmp_path / "events.parquet"
    run(environment, "export", "events", "--format", "parquet", "--out", str(parquet))
    assert parquet.read_bytes()[:4] == b"PAR1"
    assert "no dataset letters" in run(environment, "export", "letters", code=1)
    assert "period" in run(environment, "export", "kpi_daily", "--since", "2030-01-01T00:00:00Z", code=1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("token", "create", "till", "--role", "service"), "data: File exists"),
        (("audit", "anchor", "/"), "/: Is a directory"),
        (("audit", "verify", "--anchors", "/"), "/: Is a directory"),
        (("projections", "init", "/dev/null/mine"), "Not a directory"),
        (("export", "events", "--out", "/proc/rows.csv"), "No such file or directory"),
    ],
)
def test_a_place_that_cannot_be_used_is_named_in_a_sentence(
    environment: dict[str, str], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    if words[0] == "token":
        (tmp_path / "data").touch()  # The data directory's name is taken by a file.
        del environment["OPSCORE_DATABASE_URL"]
    text = run(environment, *words, code=1)
    assert said in text and "Choose another place" in text
    assert "Traceback" not in text


def test_a_device_is_not_replaced_by_an_export(environment: dict[str, str], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    run(environment, "projections", "rebuild")
    assert "no plain file" in run(environment, "export", "orders", "--out", str(pipe), code=1)
    assert "no plain file" in run(environment, "audit", "export", str(pipe), code=1)
    assert pipe.is_fifo()


def test_a_full_disk_behind_the_output_is_said_in_a_sentence(environment: dict[str, str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "opscore.cli", "token", "list"],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode != 0
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [("replay", "--stream"), ("projections", "show"), ("webhook", "add"), ("import", "online-retail")]
)
def test_an_argument_that_is_no_utf_8_is_refused_as_that(environment: dict[str, str], words: tuple[str, ...]) -> None:
    text = run(environment, *words, os.fsdecode(b"a\xff"), code=1)
    assert "is no text in UTF-8" in text and "Traceback" not in text


def test_numbers_beyond_all_bounds_are_refused_with_the_bounds(environment: dict[str, str]) -> None:
    huge = str(10**30)
    for words in (
        ("projections", "drop", "--superseded-days", huge),
        ("webhook", "add", "https://example.com", "--after", huge),
        ("webhook", "redeliver", str(UUID(int=1)), "--position", huge),
    ):
        text = run(environment, *words, code=2)
        assert "Invalid value" in text and words[-2] in text


def test_a_file_that_holds_no_anchors_is_named_with_its_line(environment: dict[str, str], tmp_path: Path) -> None:
    for content in (b"# notes\n", b"\xff\xfe\x00", b'{"position": 1, "hash": "\xff", "anchored_at": ""}'):
        file = tmp_path / "notes"
        file.write_bytes(content)
        for words in (("audit", "verify"), ("audit", "export", str(tmp_path / "log.zip"))):
            assert f"{file}, line 1: not an anchor" in run(environment, *words, "--anchors", str(file), code=1)
        assert "not an anchor" in run(environment, "audit", "anchor", str(file), code=1)
        assert file.read_bytes() == content


def test_a_copy_that_no_replay_made_is_said_with_how_to_make_it(environment: dict[str, str]) -> None:
    text = run(environment, "projections", "show", "kpi_daily", "--as", "march", code=1)
    assert "opscore replay --into march" in text


INTERRUPTED = """
import signal, sys
from opscore import cli

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "opscore.tokens":
            signal.raise_signal(signal.SIGINT)

# Whoever started the tests in the background may have had the signal ignored for all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupts())
cli.main()
"""


def test_a_word_that_is_interrupted_while_it_loads_says_so(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, "token", "list"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 130
    assert done.stderr == "Stopped at once.\n"


def test_a_webhook_of_a_store_that_is_not_there_is_refused(environment: dict[str, str]) -> None:
    local = {**environment, "OPSCORE_WEBHOOK_LOOPBACK": "true"}
    text = run(local, "webhook", "add", "http://127.0.0.1:9/hook", "--store", str(UUID(int=1)), code=1)
    assert "There is no store" in text


def test_a_name_that_is_not_there_is_said_with_the_nearest_one(environment: dict[str, str], tmp_path: Path) -> None:
    local = {**environment, "OPSCORE_WEBHOOK_LOOPBACK": "true"}
    nowhere, file = str(UUID(int=1)), str(tmp_path / "rows.csv")
    for words, said in (
        (("projections", "show", "kpi_dayly"), "(did you mean kpi_daily?)"),
        (("projections", "history", "kpi_dayly"), "(did you mean kpi_daily?)"),
        (("export", "order"), "no dataset order (did you mean orders?); there are orders, order_lines,"),
        (("export", "events", "--format", "cvs"), "no format cvs (did you mean csv?); there are csv, jsonl, parquet"),
        (("export", "events", "--store", nowhere, "--out", file), "There is no store"),
        (("export", "compares", "--compare", nowhere, "--out", file), "There is no comparison"),
        (("token", "create", "till", "--role", "manager", "--scope", "ordrs"), "(did you mean orders?)"),
        (("webhook", "add", "http://127.0.0.1:9/", "--type", "OrderPlacd"), "(did you mean OrderPlaced?)"),
        (("webhook", "dead", nowhere), "There is no webhook with this id; see: opscore webhook list"),
        (("audit", "export", str(tmp_path / "log.zip"), "--until", "9"), "The log is empty"),
    ):
        assert said in run(local, *words, code=1)
    assert not Path(file).exists()
    assert "No version has been let serve yet" in run(local, "projections", "history", "kpi_daily")

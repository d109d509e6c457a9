"""What an auditor takes home says what the log says, and no forgery of it passes the program that travels with it."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from opscore import kpi_versions, kpis, resources
from opscore.audit import anchor
from opscore.bundle import BundleRefused, BundleStopped, export
from opscore.database import Database
from opscore.domain.order_commands import PayOrder
from opscore.projector import Projector
from opscore.settings import Settings
from opscore.writer import Writer
from tests import forks
from tests.conftest import MASTER_KEY
from tests.log.forgeries import Forger, canonical, chained, events_of, forgeries, members_of, small, zipped
from tests.shop import Shop

VERIFIER = resources.path("data") / "verify_bundle.py"
SECRET = "Wilhelmina Featherstonehaugh"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOLDS, FOUND, NOTHING_TO_CHECK = 0, 1, 2

# A log, and the bundle of the whole of it ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def verifier() -> Any:
    """The verifier as a module, loaded from its file: two hundred processes would take minutes."""
    spec = importlib.util.spec_from_file_location("verify_bundle", VERIFIER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def database(template: str, copied: Callable[[str], AbstractContextManager[str]]) -> Iterator[Database]:
    """A log with orders, personal data, a read model in two compared versions and a replayed copy."""
    with copied(template) as url:
        settings = Settings(_env_file=None, database_url=url, master_key=MASTER_KEY)
        with Database.open(settings) as opened:
            yield opened


@pytest.fixture(scope="module")
def anchors(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Anchors that were kept outside: one within the log, one at its head."""
    file = tmp_path_factory.mktemp("anchors") / "anchors.jsonl"
    writer = Writer(database, database.settings)
    writer.start()
    try:
        shop = Shop.open(writer, name='Gift "shop" \u00fc\u2028\U0001f381')
        sku = shop.sku(stock=100)
        for _ in range(6):
            shop.do(shop.order((sku, 1), recipient=SECRET, address=f"{SECRET}'s house", remark="\x07 ring twice"))
        anchor(database, file)
        for _ in range(4):
            order = shop.do(shop.order((sku, 2)))
            shop.do(PayOrder(order_id=order, amount_minor=2000, method="card", currency="GBP"))
    finally:
        writer.stop()
    kpi_versions.take_into_service(database)
    folder = Path(shutil.copytree(resources.path("projections"), file.parent / "projections"))
    Projector(database, folder).rebuild("kpi_daily")
    text = (folder / "kpi_daily" / "projection.toml").read_text("utf-8")
    changed = text.replace("version = 3", "version = 4").replace("buyer = true", "buyer = false")
    assert changed.count("buyer = false") == 1
    (folder / "kpi_daily" / "projection.toml").write_text(changed, "utf-8")
    (folder / "versions.lock").unlink()
    Projector(database, folder).rebuild("kpi_daily")
    projector = Projector(database, folder)
    projector.compare("kpi_daily", 3, 4, by="tester")
    projector.promote("kpi_daily", 4, by="ann")
    projector.promote("kpi_daily", 3, by="ben")
    anchor(database, file)
    return file


@dataclass(frozen=True)
class Exported:
    """The bundle of the whole log."""

    file: Path
    digest: str
    until: int


@pytest.fixture(scope="module")
def exported(database: Database, anchors: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The bundle of the whole log, with its anchors."""
    written = export(database, tmp_path_factory.mktemp("bundle") / "bundle.zip", anchors=anchors)
    return Exported(written.file, written.digest, written.until)


# What holds ----------------------------------------------------------------------------------------------------------


def run(*words: str | Path, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run the verifier as an auditor does: nothing of opscore in sight."""
    return subprocess.run(
        [python, "-I", str(VERIFIER), *map(str, words)],
        cwd="/",
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_good_bundle_holds_under_a_bare_python(exported: Exported, anchors: Path, tmp_path: Path) -> None:
    done = run(exported.file, "--anchors", anchors, "--digest", exported.digest)
    assert done.returncode == HOLDS, done.stdout + done.stderr
    assert "Everything holds." in done.stdout and exported.digest in done.stdout and done.stderr == ""
    assert "Without an anchor" in run(exported.file).stdout
    # The copy inside is the same program, and needs nothing beside it.
    inside = tmp_path / "verify_bundle.py"
    inside.write_bytes(members_of(exported.file)["verify_bundle.py"])
    assert inside.read_bytes() == VERIFIER.read_bytes()


def test_the_verifier_knows_only_the_standard_library_and_reads_as_old_python() -> None:
    tree = ast.parse(VERIFIER.read_text("utf-8"), feature_version=(3, 9))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }
    assert imported <= sys.stdlib_module_names


def test_the_exported_events_are_the_log(database: Database, exported: Exported) -> None:
    with database.connect() as connection:
        logged = connection.execute("SELECT * FROM events ORDER BY position", binary=True).fetchall()
        names = [column.name for column in connection.execute("SELECT * FROM events LIMIT 0").description or ()]
    events = events_of(members_of(exported.file))
    assert len(events) == len(logged) == exported.until
    for event, row in zip(events, logged, strict=True):
        expected = dict(zip(names, row, strict=True))
        for name in ("occurred_at", "recorded_at"):
            expected[name] = (expected[name] - EPOCH) // timedelta(microseconds=1)
        expected |= {name: str(expected[name]) for name in ("stream_id", "store_id")} | {"hash": expected["hash"].hex()}
        assert event == expected


def test_the_bundle_has_rules_comparisons_anchors_and_states(database: Database, exported: Exported) -> None:
    members = members_of(exported.file)
    manifest = json.loads(members["manifest.json"])
    for name, said in manifest["members"].items():
        assert said == {"bytes": len(members[name]), "sha256": hashlib.sha256(members[name]).hexdigest()}
    assert manifest["counts"]["rules"] == 2 and manifest["counts"]["compares"] == 1
    projector = Projector(database)
    with database.connect() as connection:
        for entry in projector.catalogue.entries(connection):
            for file, text in projector.catalogue.texts(connection, entry.name, entry.version).items():
                assert members[f"rules/{entry.name}/v{entry.version}/{file}"].decode() == text
    states = {(row["name"], row["version"]): row["status"] for row in json.loads(members["catalogue.json"])}
    assert states == {("kpi_daily", 3): "serving", ("kpi_daily", 4): "ready"}
    (compared,) = json.loads(members["compares.json"])
    assert (compared["old_version"], compared["new_version"], compared["compared_by"]) == (3, 4, "tester")
    in_force = {row["code"]: row for row in json.loads(members["kpis.json"])}
    assert {code: kpis.from_json(row["definition"]) for code, row in in_force.items()} == kpis.load()
    assert {code: row["digest"] for code, row in in_force.items()} == {
        code: each.digest for code, each in kpis.released(kpis.load()).items()
    }
    assert manifest["counts"]["kpis"] == len(in_force)
    rows = [json.loads(line) for line in members["compare_rows.jsonl"].splitlines()]
    assert len(rows) == compared["rows_kept"] == compared["differing_rows"] == manifest["counts"]["compare_rows"] == 3
    kept = projector.compare_rows(UUID(compared["id"]))
    assert [(row["number"], row["table_name"], row["key"], row["old"], row["new"]) for row in rows] == [
        (row.number, row.table, row.key, row.old, row.new) for row in kept
    ]
    behind = projector.events_behind(projector.compares()[0], kept)
    assert [[event[0] for event in row["events"]] for row in rows] == [
        [event.position for event in behind[row.number]] for row in kept
    ]
    assert [len(row["events"]) for row in rows] == [4, 4, 4]
    promotions = json.loads(members["promotions.json"])
    assert [(each["number"], each["version"], each["promoted_by"], each["compare_id"]) for each in promotions] == [
        (1, 3, "rebuild", None), (2, 4, "ann", compared["id"]), (3, 3, "ben", compared["id"]),
    ]  # fmt: skip
    assert len(members["anchors.jsonl"].splitlines()) == 2
    assert members["HASH.md"] == (resources.path("schema") / "events" / "HASH.md").read_bytes()


def test_personal_data_stays_ciphertext(database: Database, exported: Exported) -> None:
    for name, content in members_of(exported.file).items():
        for part in SECRET.split():
            assert part.encode() not in content, name


def test_the_same_period_gives_the_same_bytes(
    database: Database, exported: Exported, anchors: Path, tmp_path: Path
) -> None:
    again = export(database, tmp_path / "deep" / "again.zip", anchors=anchors)
    assert again.file.read_bytes() == exported.file.read_bytes()
    assert again.digest == exported.digest


def test_bundles_of_neighbouring_periods_hold_and_leave_nothing_out(
    database: Database, exported: Exported, anchors: Path, tmp_path: Path
) -> None:
    whole = events_of(members_of(exported.file))
    middle = EPOCH + timedelta(microseconds=whole[29]["recorded_at"])
    parts = [
        export(database, tmp_path / "1.zip", until=10),
        export(database, tmp_path / "2.zip", after=10, until=middle),
        export(database, tmp_path / "3.zip", after=middle),
        export(database, tmp_path / "4.zip", after=exported.until),
    ]
    for part in parts:
        done = run(part.file, "--anchors", anchors, "--digest", part.digest)
        assert done.returncode == HOLDS, done.stdout
    assert [event for part in parts for event in events_of(members_of(part.file))] == whole
    assert [(part.after, part.until) for part in parts] == [(0, 10), (10, 30), (30, len(whole)), (len(whole),) * 2]
    manifests = [json.loads(members_of(part.file)["manifest.json"]) for part in parts]
    assert [each["previous_hash"] for each in manifests[1:]] == [each["last_hash"] for each in manifests[:-1]]


def test_progress_is_told_and_ends_with_all(database: Database, tmp_path: Path, exported: Exported) -> None:
    told: list[tuple[int, int]] = []
    export(database, tmp_path / "told.zip", after=5, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (exported.until - 5, exported.until - 5)


# What is refused -----------------------------------------------------------------------------------------------------


def test_every_forgery_is_refused(
    verifier: Any, exported: Exported, anchors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, file = tmp_path / "good.zip", tmp_path / "forged.zip"
    good.write_bytes(small(exported.file))
    digest = hashlib.sha256(members_of(good)["manifest.json"]).hexdigest()
    assert verifier.main([str(good), "--anchors", str(anchors), "--digest", digest]) == HOLDS
    capsys.readouterr()
    passed, kinds, count = [], set(), 0
    for forgery in forgeries(good):
        file.write_bytes(forgery.content)
        words = [str(file), *(["--anchors", str(anchors)] if forgery.anchors else [])]
        words += ["--digest", digest] if forgery.digest else []
        code = verifier.main(words)
        said = capsys.readouterr()
        count += 1
        kinds.add(re.split(r"[ :]", said.out)[0] if code == FOUND else "nothing to check")
        if code not in (FOUND, NOTHING_TO_CHECK):
            passed.append(forgery.name)
    assert passed == []
    assert count >= 400
    # Each check has found something, so that none of them stands there for show.
    assert kinds >= {
        "chain",
        "events",
        "schemas",
        "streams",
        "anchors",
        "members",
        "digest",
        "rules",
        "compares",
        "promotions",
        "manifest",
        "bundle",
    }


def test_the_untouched_bundle_rebuilt_by_the_forger_holds(verifier: Any, exported: Exported, tmp_path: Path) -> None:
    """The forgeries are refused for what was forged, not for how they were packed."""
    bundle = members_of(exported.file)
    (tmp_path / "same.zip").write_bytes(Forger(bundle).events(chained(events_of(bundle))).sealed())
    assert verifier.main([str(tmp_path / "same.zip"), "--digest", exported.digest]) == HOLDS
    (tmp_path / "plain.zip").write_bytes(zipped(bundle.items()))
    assert (tmp_path / "plain.zip").read_bytes() == exported.file.read_bytes()


def test_the_form_of_bundles_beyond_two_gigabytes_holds_as_well(
    verifier: Any, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 2_000)
    file = export(database, tmp_path / "large.zip").file
    monkeypatch.undo()
    content = file.read_bytes()
    assert b"PK\x06\x06" in content
    assert verifier.main([str(file)]) == HOLDS
    for place in range(1, 99):
        file.write_bytes(content[:-place] + bytes([content[-place] ^ 0xFF]) + content[len(content) - place + 1 :])
        assert verifier.main([str(file)]) in (FOUND, NOTHING_TO_CHECK), place


@pytest.mark.parametrize("anchored_late", [True, False])
def test_a_bundle_that_ends_early_is_found_by_the_time_that_was_asked_for(
    verifier: Any, database: Database, exported: Exported, anchors: Path, tmp_path: Path, anchored_late: bool
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    written = export(database, tmp_path / "day.zip", until=tomorrow)
    events = events_of(members_of(written.file))
    (tmp_path / "cut.zip").write_bytes(Forger(members_of(written.file)).events(events[:-1]).sealed())
    kept = json.loads(anchors.read_text("utf-8").splitlines()[-1])
    if anchored_late:
        kept["anchored_at"] = (tomorrow + timedelta(days=1)).isoformat()
    (tmp_path / "kept.jsonl").write_bytes(canonical(kept) + b"\n")
    code = verifier.main([str(tmp_path / "cut.zip"), "--anchors", str(tmp_path / "kept.jsonl")])
    # An anchor made after the time asked for may be of an event that is not in the bundle by right.
    assert code == (HOLDS if anchored_late else FOUND)


def test_what_cannot_be_read_ends_with_two(exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "wrong.jsonl").write_text("{}\n")
    (tmp_path / "other.zip").write_bytes(zipped([("note.txt", b"hello")]))
    for words in (
        (tmp_path / "missing.zip",),
        (tmp_path,),
        (VERIFIER,),
        (tmp_path / "other.zip",),
        (exported.file, "--anchors", tmp_path / "missing.jsonl"),
        (exported.file, "--anchors", tmp_path / "empty.jsonl"),
        (exported.file, "--anchors", tmp_path / "wrong.jsonl"),
        (exported.file, "--digest", "abc"),
        (exported.file, "--unknown"),
        (),
    ):
        done = run(*words)
        assert done.returncode == NOTHING_TO_CHECK, words
        assert "Traceback" not in done.stderr and done.stderr


def test_a_forger_does_not_speak_to_the_terminal(verifier: Any, exported: Exported, tmp_path: Path) -> None:
    bundle = members_of(exported.file)
    events = events_of(bundle)
    events[3]["type"] = "\x1b[2J\x1b[32mEverything holds.\u202e"
    (tmp_path / "loud.zip").write_bytes(Forger(bundle).events(events).sealed())
    done = run(tmp_path / "loud.zip")
    assert done.returncode == FOUND and "\\x1b[2J" in done.stdout and "\\u202e" in done.stdout
    assert done.stdout.isascii() and "\x1b" not in done.stdout


def test_a_huge_member_behind_few_bytes_is_refused_without_being_held(exported: Exported, tmp_path: Path) -> None:
    """64 MiB of nothing pack into 64 KiB; a line may not be longer."""
    forger = Forger(members_of(exported.file))
    forger.members["events.jsonl"] = b" " * (65 << 20) + b"\n"
    (tmp_path / "bomb.zip").write_bytes(forger.sealed())
    done = run(tmp_path / "bomb.zip")
    assert done.returncode == FOUND and "too long" in done.stdout


# Writing it ----------------------------------------------------------------------------------------------------------


def test_a_stopped_or_failed_export_leaves_nothing_and_the_file_of_before(
    database: Database, exported: Exported, tmp_path: Path
) -> None:
    file = tmp_path / "out" / "bundle.zip"
    with pytest.raises(BundleStopped):
        export(database, file, stop=lambda: True)
    assert list(file.parent.iterdir()) == []
    shutil.copy(exported.file, file)

    def fail(done: int, total: int) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        export(database, file, progress=fail)
    asked = iter([False, True])
    with pytest.raises(BundleStopped):
        export(database, file, stop=lambda: next(asked))
    assert list(file.parent.iterdir()) == [file]
    assert file.read_bytes() == exported.file.read_bytes()


@pytest.mark.parametrize(("after", "until"), [(-1, None), (None, 10**6), (10**6, None), (7, 6)])
def test_a_period_that_is_none_is_refused(
    database: Database, exported: Exported, tmp_path: Path, after: int | None, until: int | None
) -> None:
    with pytest.raises(BundleRefused):
        export(database, tmp_path / "none.zip", after=after, until=until)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_log_is_exported_as_it_stands_and_refused(settings: Settings, tmp_path: Path) -> None:
    with Database.open(settings) as damaged:
        writer = Writer(damaged, settings)
        writer.start()
        Shop.open(writer)
        writer.stop()
        Projector(damaged).rebuild("kpi_daily")
        empty = export(damaged, tmp_path / "good.zip")
        assert run(empty.file).returncode == HOLDS
        with damaged.connect("admin") as connection:
            connection.execute("ALTER TABLE events DISABLE TRIGGER USER")
            connection.execute("UPDATE events SET actor = 'somebody else' WHERE position = 5")
            connection.execute("DELETE FROM events WHERE position IN (7, 9)")
            connection.execute(
                "UPDATE projection_catalogue SET sql = jsonb_set(sql, '{apply.sql}', to_jsonb(replace("
                "sql ->> 'apply.sql', 'count(*)', '0')))"
            )
        done = run(export(damaged, tmp_path / "bad.zip").file)
        behind = run(export(damaged, tmp_path / "behind.zip", after=7).file)
    assert done.returncode == FOUND
    for finding in (
        "chain at position 5:",
        "chain at position 8:",
        "chain at position 10:",
        "rules: the texts of kpi_daily 3",
    ):
        assert finding in done.stdout
    assert behind.returncode == FOUND and "chain at position 8:" in behind.stdout


def test_an_empty_log_gives_a_bundle_that_holds(settings: Settings, tmp_path: Path) -> None:
    with Database.open(settings) as empty:
        anchor(empty, tmp_path / "anchors.jsonl")
        written = export(empty, tmp_path / "empty.zip", anchors=tmp_path / "anchors.jsonl")
    done = run(written.file, "--anchors", tmp_path / "anchors.jsonl")
    assert (done.returncode, written.events) == (HOLDS, 0), done.stdout


def test_the_word_writes_a_bundle_and_says_its_digest(
    database: Database, exported: Exported, anchors: Path, tmp_path: Path
) -> None:
    key, url = database.settings.master_key, database.settings.database_url
    assert key is not None and url is not None
    environment = {
        "PATH": os.environ["PATH"],
        "OPSCORE_DATABASE_URL": url.get_secret_value(),
        "OPSCORE_MASTER_KEY": key.get_secret_value(),
        "OPSCORE_DATA_DIR": str(tmp_path / "data"),
    }

    def opscore(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return forks.run(["audit", "export", *map(str, words)], environment)

    done = opscore(tmp_path / "word.zip", "--anchors", anchors)
    assert done.returncode == 0, done.stderr
    assert exported.digest in done.stdout and "events exported" in done.stderr
    assert (tmp_path / "word.zip").read_bytes() == exported.file.read_bytes()
    late = opscore(tmp_path / "late.zip", "--until", "1000000")
    assert late.returncode == 1 and "ask for events among them" in late.stderr
    vague = opscore(tmp_path / "vague.zip", "--until", "2026-03-31")
    assert vague.returncode == 1 and "offset" in vague.stderr
    assert not (tmp_path / "late.zip").exists() and not (tmp_path / "vague.zip").exists()

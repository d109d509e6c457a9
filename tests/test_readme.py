"""The README as a newcomer follows it: every block of it is run, in order, against one demonstration."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opscore.settings import Settings
from tests.conftest import new_folder
from tests.demonstration import Demonstration, imported_once

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [(kind, text) for kind, text in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)]


@pytest.fixture(scope="module")
def newcomer(shared: Path) -> Iterator[Demonstration]:
    """A demonstration in a copy of the repository, where rules can be edited, and begun before, like `make demo` again.

    What its first start imports is the same there; that it does is tested with the demonstration.
    """
    folder = new_folder("opscore-readme-")
    for name in ("src", "projections", "schema", "alembic"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    running = Demonstration(folder=folder, root=folder)
    try:
        running.take(imported_once(shared))
        running.start()
        yield running
    finally:
        running.close()


def test_every_block_does_what_the_text_says(newcomer: Demonstration) -> None:
    answer: dict[str, object] = {}
    asked = ("", "")
    output = ""
    for kind, text in BLOCKS:
        if kind == "sh" and not text.startswith("make "):
            output = shell(newcomer, text)
        elif kind == "graphql":
            role = re.match(r"# as (\w+)\n", text)
            assert role, f"say who sends it, in its first line: {text}"
            asked = (role[1], text)
            answer = newcomer.ask(*asked)
        elif kind == "json":
            # A list shows an order a moment after it was answered; a command is given once.
            until = time.monotonic() + 30
            while answer != json.loads(text) and "mutation" not in asked[1] and time.monotonic() < until:
                time.sleep(0.1)
                answer = newcomer.ask(*asked)
            assert answer == json.loads(text)
        elif kind == "text" and output:
            assert matches(text, output), f"{output}\nis not what the README says:\n{text}"
        elif kind == "diff":
            edit(newcomer.folder / "my-projections" / "kpi_daily" / "projection.toml", text)


def test_every_kind_of_block_is_known_to_this_test() -> None:
    assert {kind for kind, _ in BLOCKS} <= {"sh", "graphql", "json", "text", "diff", "ini"}


def test_every_word_of_make_exists_and_demo_is_what_this_test_runs() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE):
        assert re.search(rf"^{word}:", makefile, re.MULTILINE), f"there is no `make {word}`"
    assert re.search(r"^demo:.*\n\t\$\(BIN\)/opscore demo$", makefile, re.MULTILINE)


def test_every_setting_that_is_named_exists() -> None:
    known = {f"OPSCORE_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bOPSCORE_[A-Z_]+[A-Z]\b", README)) <= known


def test_every_link_inside_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-")
        for line in re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    }
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
        assert target[1:] in headings if target.startswith("#") else (ROOT / target).exists(), target


def test_the_example_settings_can_be_used(tmp_path: Path) -> None:
    # Together they are one file, as somebody who wants all of it would write it.
    (tmp_path / ".env").write_text("\n".join(text for kind, text in BLOCKS if kind == "ini"), encoding="utf-8")
    settings = Settings(_env_file=tmp_path / ".env")
    assert settings.schema_name == "shop"
    assert len(settings.master_key_bytes()) == 32
    assert settings.oidc_roles["shop-desk"] == "service"


def shell(newcomer: Demonstration, script: str) -> str:
    """Run a block as a person types it."""
    word = f'opscore() {{ "{sys.executable}" -m opscore.cli "$@"; }}'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{word}\n{script}"],
        env=newcomer.environment,
        cwd=newcomer.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def matches(expected: str, output: str) -> bool:
    """Say whether the output holds the expected text; `...` stands for anything."""
    pattern = r"[\s\S]*?".join(re.escape(part) for part in expected.strip("\n").split("..."))
    return re.search(pattern, output) is not None


def edit(path: Path, diff: str) -> None:
    """Replace the lines that a diff takes out by the lines that it puts in."""
    text = path.read_text(encoding="utf-8")
    lines = diff.splitlines()
    for old, new in zip(lines[::2], lines[1::2], strict=True):
        assert old[0] == "-" and new[0] == "+"
        assert f"\n{old[1:]}\n" in text, f"{path.name} has no line {old[1:]}"
        text = text.replace(f"\n{old[1:]}\n", f"\n{new[1:]}\n", 1)
    path.write_text(text, encoding="utf-8")

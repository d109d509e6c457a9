"""What an installation must carry with it: wheel, editable install and bare source all find their folders."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FOLDERS = ("schema", "projections", "alembic")
FIND = """
import opscore.resources
for name in ("schema", "projections", "alembic", "data"):
    print(opscore.resources.path(name))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel and an editable wheel of this source, built without a network."""
    out = tmp_path_factory.mktemp("wheels")
    built = {}
    for kind in ("wheel", "editable"):
        call = f"import hatchling.build as b, sys; print(b.build_{kind}(sys.argv[1]))"
        (out / kind).mkdir()
        done = subprocess.run(
            [sys.executable, "-c", call, str(out / kind)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        built[kind] = out / kind / done.stdout.split()[-1]
    return built


def test_the_wheel_carries_every_file_that_the_source_has(built: dict[str, Path]) -> None:
    carried = set(zipfile.ZipFile(built["wheel"]).namelist())
    expected = {
        f"opscore/{path.relative_to(base)}"
        for base, folder in [(ROOT, ROOT / name) for name in FOLDERS] + [(ROOT / "src/opscore", ROOT / "src/opscore")]
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected - carried == set()
    assert {name for name in carried if ".dist-info/" not in name} - expected == set()


def test_an_installed_wheel_finds_its_folders_inside_itself(built: dict[str, Path], tmp_path: Path) -> None:
    zipfile.ZipFile(built["wheel"]).extractall(tmp_path)
    assert find(tmp_path) == [tmp_path / "opscore" / name for name in (*FOLDERS, "data")]


def test_an_editable_install_finds_the_folders_of_the_repository(built: dict[str, Path], tmp_path: Path) -> None:
    zipfile.ZipFile(built["editable"]).extractall(tmp_path)
    (link,) = tmp_path.glob("*.pth")
    # What site.py does with the folder of an editable install: its .pth names come after it on the path.
    assert find(tmp_path, *link.read_text(encoding="utf-8").split()) == [
        *(ROOT / name for name in FOLDERS),
        ROOT / "src/opscore/data",
    ]


def test_bare_source_finds_the_folders_of_the_repository() -> None:
    assert find(ROOT / "src") == [*(ROOT / name for name in FOLDERS), ROOT / "src/opscore/data"]


def test_alembic_from_the_root_is_the_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import alembic; print(alembic.__version__)"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"remove any __init__.py from alembic/: {done.stderr}"


def test_every_requirement_is_pinned_in_the_constraints() -> None:
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.]*)", line)
        assert match, f"constraints.txt holds plain 'name==version' lines; this is none: {line}"
        pins[canonicalize_name(match[1])] = match[2]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    for line in itertools.chain(project["dependencies"], *extras):
        requirement = Requirement(line)
        pinned = pins.get(canonicalize_name(requirement.name))
        assert pinned, f"add {requirement.name} to constraints.txt"
        assert requirement.specifier.contains(pinned), (
            f"constraints.txt pins {pinned}, pyproject.toml needs {requirement}"
        )


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", "Makefile", ".ci/run"])
def test_no_file_names_a_package_registry_or_a_place_on_somebodys_machine(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    found = re.search(
        r"index-url|find-links|pypi|https?://(?!127\.0\.0\.1)|(?<![\w$}])/(?:home|opt|root|work|Users)/", text
    )
    assert found is None, f"{name} names {found and found[0]}; leave it to the machine that installs"


def find(*path: Path | str) -> list[Path]:
    """Ask a new process, away from the repository, where it finds the folders."""
    done = subprocess.run(
        [sys.executable, "-c", FIND],
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return [Path(line) for line in done.stdout.splitlines()]

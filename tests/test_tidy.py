"""House style, as far as a machine can see it. Each failure says how to mend it."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import GraphQLObjectType, build_schema, is_introspection_type
from graphql.type import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType

import opscore
from opscore import resources
from opscore.domain import catalogue  # noqa: F401  (afterwards every event, command and refusal is registered)
from opscore.domain.command import COMMANDS
from opscore.domain.refusals import REFUSALS
from opscore.log import schemas
from opscore.projector import lock, read_all

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "opscore"
MODULES = sorted(SOURCE.rglob("*.py"))
LINES_MAX = 900

MAY_IMPORT = {
    "domain": {"domain"},
    "log": {"log", "domain", "database", "migrations", "sqlfiles"},
    "projector": {"projector", "log", "domain", "background", "database", "migrations", "resources", "spelling"},
    "writer": {"writer", "log", "domain", "database", "migrations", "settings"},
    "imports": {"imports", "domain", "log", "database", "migrations", "writer", "sqlfiles", "resources"},
    "database": {"resources", "settings", "embedded", "deadlines"},
    "background": set(),
    "deadlines": set(),
    "embedded": {"settings"},
    "settings": {"spelling"},
    "resources": set(),
    "spelling": set(),
}
"""Room -> the rooms whose doors it may open. Rooms that are not named stand above all of these."""

SQL_IN_PYTHON = {"log", "projector", "writer", "database", "migrations", "audit"}
"""Rooms that speak SQL in strings: they put statements together, or read rows exactly as they are stored."""

SQL = re.compile(
    r"\s*(SELECT\s.+\bFROM\b|INSERT\s+INTO\b|UPDATE\s+\S+\s+SET\b|DELETE\s+FROM\b|TRUNCATE\b"
    r"|(CREATE|ALTER|DROP)\s+(TABLE|SCHEMA|ROLE|INDEX|VIEW|FUNCTION)\b|WITH\s+\w+\s+AS\s*\()",
    re.DOTALL,
)


def room(path: Path) -> str:
    """Return the module or package directly under opscore that a file is of."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in MODULES:
        yield path, ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted module) of everything that a module imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
            if node.module == "opscore":
                yield from ((node.lineno, f"opscore.{alias.name}") for alias in node.names)


def report(faults: list[str], remedy: str) -> None:
    assert not faults, f"{remedy}\n" + "\n".join(faults)


def test_only_the_log_and_the_base_classes_know_the_library() -> None:
    report(
        [
            f"{path.relative_to(ROOT)}:{line} imports {name}"
            for path, tree in trees()
            for line, name in imports(tree)
            if name.split(".")[0] == "eventsourcing"
            and room(path) != "log"
            and path != SOURCE / "domain" / "aggregate.py"
        ],
        "Go through opscore.domain.aggregate or opscore.log instead:",
    )


def test_every_room_opens_only_the_doors_it_may() -> None:
    faults = []
    for path, tree in trees():
        allowed = MAY_IMPORT.get(room(path))
        if allowed is None:
            continue
        for line, name in imports(tree):
            parts = name.split(".")
            if parts[0] == "opscore" and len(parts) > 1 and parts[1] not in allowed | {"__version__"}:
                faults.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    report(faults, "Hand in what is needed from above, or move it down (see MAY_IMPORT):")


def test_the_domain_has_no_clock_no_database_and_no_chance() -> None:
    forbidden = {"psycopg", "random", "secrets", "time", "os", "socket", "logging", "starlette", "strawberry"}
    faults = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path, tree in trees()
        for line, name in imports(tree)
        if room(path) == "domain" and name.split(".")[0] in forbidden
    ]
    faults += [
        f"{path.relative_to(ROOT)}:{node.lineno} asks a clock: .{node.attr}"
        for path, tree in trees()
        if room(path) == "domain" and path.name != "aggregate.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}
        and isinstance(node.value, ast.Name) and node.value.id in {"datetime", "date"}
    ]  # fmt: skip
    report(faults, "A decision takes time, actor and ids from its unit of work:")


def test_the_domain_knows_no_float() -> None:
    faults = []
    for path, tree in trees():
        if room(path) != "domain":
            continue
        # What finds floats in order to refuse them has to name them.
        refusing = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "_floats"]
        excused = {id(node) for function in refusing for node in ast.walk(function)}
        for node in ast.walk(tree):
            is_literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
            is_name = isinstance(node, ast.Name) and node.id == "float"
            if (is_literal or is_name) and id(node) not in excused:
                faults.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    report(faults, "Use Decimal, or int in minor units:")


def test_sql_stands_in_sql_files() -> None:
    faults = []
    for path, tree in trees():
        if room(path) in SQL_IN_PYTHON:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value):
                faults.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.value.strip()[:60]!r}")
    report(faults, "Make it a named statement in a .sql file beside the module and load it with opscore.sqlfiles:")


def test_no_file_is_longer_than_a_room() -> None:
    paths = [
        path
        for folder in ("src", "tests", "projections", "alembic")
        for kind in ("*.py", "*.sql")
        for path in (ROOT / folder).rglob(kind)
    ]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    report(
        [f"{path.relative_to(ROOT)}: {length} lines" for path, length in lengths.items() if length >= LINES_MAX],
        f"Split what is {LINES_MAX} lines or longer by purpose:",
    )


def test_every_module_says_in_one_sentence_what_it_is() -> None:
    faults = []
    for path, tree in trees():
        text = ast.get_docstring(tree)
        if not text or not re.match(r"[^\n]*[.:]\s*(\n|$)", text):
            faults.append(str(path.relative_to(ROOT)))
    report(faults, "Begin with a docstring whose first line is one whole sentence:")


def test_every_public_class_and_function_says_what_it_is_for() -> None:
    faults = []
    for path, tree in trees():
        module = importlib.import_module(".".join(path.relative_to(SOURCE.parent).with_suffix("").parts))
        for owner in [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_")]:
            holder = module if isinstance(owner, ast.Module) else getattr(module, owner.name, None)
            for node in owner.body:
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    continue
                calls = [each for each in node.decorator_list if isinstance(each, ast.Call)]
                described = any(keyword.arg == "description" for call in calls for keyword in call.keywords)
                folded = any(getattr(call.func, "id", "") == "folds" for call in calls)
                # What a base class has said need not be said again, nor what a decorator carries to the API.
                said = ast.get_docstring(node) or inspect.getdoc(getattr(holder, node.name, None))
                if not (node.name.startswith("_") or described or folded or said):
                    faults.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    report(faults, "Add a docstring: purpose, parameters with units, what it returns, raises or refuses:")


def test_nothing_is_put_off() -> None:
    words = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplemented\b(?!Error)|placeholder|coming soon)\b")
    faults = []
    for folder in ("src", "projections", "alembic", "schema"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".sql", ".toml", ".md", ".graphql"} and path.is_file():
                for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                    if words.search(line):
                        faults.append(f"{path.relative_to(ROOT)}:{number} {line.strip()}")
    report(faults, "Build it now, or leave it out altogether:")


# Promises to the outside ---------------------------------------------------------------------------------------------


def test_every_event_has_a_schema_and_a_sample() -> None:
    report([fault.message for fault in schemas.faults(ROOT / "schema" / "events")], "What is stored stays readable:")


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_every_refusal_says_what_to_do(code: str) -> None:
    text = inspect.cleandoc(REFUSALS[code].__doc__ or "")
    assert len(text.split()) >= 4, f"the docstring of {REFUSALS[code].__name__} is its message: say what to do"
    assert text.endswith("."), f"end the message of {REFUSALS[code].__name__} with a full stop"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_says_what_it_does(name: str) -> None:
    command = COMMANDS[name]
    assert command.__doc__, f"give {command.__name__} a docstring; the API shows it"
    assert command.ROLES, f"say in {command.__name__}.ROLES who may give it"
    assert "decide" in vars(command), f"{command.__name__} needs a decision"


def test_every_version_of_a_projection_is_locked() -> None:
    folder = resources.path("projections")
    definitions = read_all(folder)
    assert lock.unlocked(folder, definitions) == [], "run: opscore projections lock"
    lock.refuse_edited(folder, definitions)


def test_every_part_of_the_api_describes_itself() -> None:
    schema = build_schema((ROOT / "schema" / "opscore.graphql").read_text(encoding="utf-8"))
    faults = []
    for kind in schema.type_map.values():
        if is_introspection_type(kind) or kind.name in {"String", "Int", "Float", "Boolean", "ID"}:
            continue
        if not kind.description:
            faults.append(kind.name)
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            faults += [f"{kind.name}.{name}" for name, field in kind.fields.items() if not field.description]
        if isinstance(kind, GraphQLEnumType):
            faults += [f"{kind.name}.{name}" for name, value in kind.values.items() if not value.description]
    report(faults, "Describe it where it is declared:")


def test_every_module_can_be_imported_by_itself() -> None:
    for module in pkgutil.walk_packages(opscore.__path__, "opscore."):
        importlib.import_module(module.name)

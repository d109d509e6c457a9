"""What clients were promised: the SDL of the last release, and what of a later one breaks them.

Kept as `schema/released/opscore.graphql` and renewed at a release alone, by `opscore schema release`. What breaks a
client is what graphql-js counts as breaking (a field, argument, value or type that is gone or changed, something new
that is required), and two things more that our SDL says by directives: a role that may no longer ask a field, and an
input that became or ceased to be one of its members.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from graphql import (
    DocumentNode,
    EnumValueNode,
    FieldDefinitionNode,
    GraphQLSchema,
    InputObjectTypeDefinitionNode,
    InterfaceTypeDefinitionNode,
    ListValueNode,
    ObjectTypeDefinitionNode,
    build_ast_schema,
    find_breaking_changes,
    find_dangerous_changes,
    parse,
)

from opscore import resources
from opscore.settings import SetupError

ACCESS = "access"
ONE_OF = "oneOf"
REMEDY = "Deprecate it and keep it, or say that it is to break: opscore schema release --breaking"


class PromiseBroken(SetupError):
    """A release would break clients of the one before, and nobody has said that it is to."""


def promised_path() -> Path:
    """Return the file that holds the SDL of the last release."""
    return resources.path("schema") / "released" / "opscore.graphql"


def broken(promised: str, now: str) -> list[str]:
    """Return a sentence for each difference of two SDLs by which a client of the first one may fail."""
    if promised == now:
        return []
    before, after = parse(promised), parse(now)
    found = [change.description for change in find_breaking_changes(_schema(before), _schema(after))]
    return [*found, *_roles_gone(before, after), *_one_of_changed(before, after)]


def surprising(promised: str, now: str) -> list[str]:
    """Return a sentence for each difference of two SDLs that a client of the first one may not be prepared for."""
    if promised == now:
        return []
    return [change.description for change in find_dangerous_changes(_schema(parse(promised)), _schema(parse(now)))]


def release(path: Path, now: str, *, breaking: bool = False) -> list[str]:
    """Write an SDL down as promised and return what of the promise before it breaks.

    breaking: whether it may break any. Raises PromiseBroken.
    """
    found = broken(path.read_text(encoding="utf-8"), now) if path.exists() else []
    if found and not breaking:
        raise PromiseBroken("\n".join([*(f"breaks clients of the last release: {line}" for line in found), REMEDY]))
    path.parent.mkdir(exist_ok=True)
    path.write_text(now, encoding="utf-8")
    return found


def _schema(document: DocumentNode) -> GraphQLSchema:
    return build_ast_schema(document, assume_valid=True)


def _roles_gone(before: DocumentNode, after: DocumentNode) -> Iterator[str]:
    now = _roles(after)
    for place, roles in _roles(before).items():
        later = now.get(place, roles)  # Of a field that is gone, that it is gone is enough.
        if roles is None and later is not None:
            yield f"{place} may no longer be asked by all roles."
        elif roles is not None and later is not None:
            yield from (f"{place} may no longer be asked as {role}." for role in sorted(roles - later))


def _roles(document: DocumentNode) -> dict[str, set[str] | None]:
    """Return who may ask each field, by `Type.field`; None for everybody."""
    return {
        f"{each.name.value}.{field.name.value}": _listed(field)
        for each in document.definitions
        if isinstance(each, ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode)
        for field in each.fields or ()
    }


def _listed(field: FieldDefinitionNode) -> set[str] | None:
    for directive in field.directives or ():
        if directive.name.value == ACCESS:
            [argument] = directive.arguments or ()
            assert isinstance(argument.value, ListValueNode)
            return {each.value for each in argument.value.values if isinstance(each, EnumValueNode)}
    return None


def _one_of_changed(before: DocumentNode, after: DocumentNode) -> Iterator[str]:
    now = _one_of(after)
    for name, was in _one_of(before).items():
        if now.get(name, was) != was:
            yield f"{name} {'is no longer' if was else 'became'} an input of exactly one member."


def _one_of(document: DocumentNode) -> dict[str, bool]:
    return {
        each.name.value: any(directive.name.value == ONE_OF for directive in each.directives or ())
        for each in document.definitions
        if isinstance(each, InputObjectTypeDefinitionNode)
    }

"""Names and descriptions of the schema, taken from where the domain says what its words mean."""

from __future__ import annotations

import ast
import enum
import functools
import inspect
import itertools
import re
import sys

GLOSSARY = {
    "amount_minor": "Amount in minor units of the currency.",
    "batch": "Batch of the goods.",
    "campaign_id": "The campaign.",
    "campaign_ids": "The campaigns.",
    "category": "Category.",
    "channel": "Sales channel.",
    "code": "Code, unique in its store.",
    "courier": "The courier.",
    "currency": "ISO 4217 code of the currency.",
    "customer_id": "The customer.",
    "external_reference": "The reference that another system knows it by, unique in its store.",
    "kind": "Which kind it is.",
    "line": "Number of the order line, from 1.",
    "lines": "The lines.",
    "location_id": "The location.",
    "name": "Name for people.",
    "order_id": "The order.",
    "parcel_id": "The parcel.",
    "price": "Price per unit.",
    "quantity": "How many units.",
    "reason": "Why.",
    "return_id": "The return.",
    "sku_id": "The SKU.",
    "sku_ids": "The SKUs.",
    "store_id": "The store.",
    "store_ids": "The stores.",
    "unit_price": "Price per unit.",
}
"""What a field is when neither its declaration nor its class says so."""


def camel(name: str) -> str:
    """Return the wire's spelling of a Python name: `store_id` is `storeId`."""
    first, *rest = name.strip("_").split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def wire_words(text: str) -> str:
    """Return a description with the names in back-quotes as the wire spells them."""
    return re.sub(r"`([a-z]+(?:_[a-z]+)+)`", lambda found: f"`{camel(found.group(1))}`", text)


def sentence(text: str | None) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join(inspect.cleandoc(text or "").split("\n\n")[0].split())


def words(name: str) -> str:
    """Return a name as a short phrase: `order_first` is "Order first."."""
    phrase = name.strip("_").replace("_", " ").lower()
    return phrase[:1].upper() + phrase[1:] + "."


@functools.cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    """Return the classes of a module as they are written, by name; none where there is no source."""
    try:
        source = inspect.getsource(sys.modules[module])
    except (OSError, TypeError, KeyError):
        return {}
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}


@functools.cache
def notes(cls: type) -> dict[str, str]:
    """Return what a class says of its members: the string after each assignment, as documentation tools read it."""
    written = _classes(cls.__module__).get(cls.__qualname__)
    found = {}
    for statement, following in itertools.pairwise(written.body if written is not None else ()):
        if (
            isinstance(statement, ast.Assign | ast.AnnAssign)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        ):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    found[target.id] = " ".join(following.value.value.split())
    return found


@functools.cache
def paragraph_notes(cls: type) -> dict[str, str]:
    """Return what a docstring says in its own lines of single fields: "unit_price: list or tier price."."""
    found = {}
    for name, text in re.findall(
        r"^(\w+): (.+?)(?=^\w+: |\Z)", inspect.cleandoc(cls.__doc__ or ""), re.MULTILINE | re.DOTALL
    ):
        found[name] = " ".join(text.split("\n\n")[0].split())
    return found


def describe_field(cls: type, name: str) -> str:
    """Return the description of a field: from the class, the glossary, or the name itself."""
    for owner in cls.__mro__:
        said = notes(owner).get(name) or paragraph_notes(owner).get(name)
        if said:
            return said
    if name in GLOSSARY:
        return GLOSSARY[name]
    if name.endswith("_minor"):
        return f"{words(name.removesuffix('_minor'))[:-1]}, in minor units of the currency."
    return words(name.removesuffix("_id"))


def describe_member(cls: type[enum.Enum], member: enum.Enum) -> str:
    """Return the description of an enum's member."""
    return notes(cls).get(member.name) or words(member.name)

"""What is stored of each event type: its fields, their types, which are personal, and how old shapes are read."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from opscore.domain import catalogue as _every_event  # noqa: F401  (defines every event class)
from opscore.domain.aggregate import EVENT_CLASSES, Aggregate, Event, FirstEvent
from opscore.domain.values import PERSONAL
from opscore.log.upcasts import Step

_ENVELOPE = frozenset(field.name for field in dataclasses.fields(FirstEvent))


@dataclass(frozen=True)
class FieldType:
    """One stored field: name, declared type (Annotated kept), whether it may be absent, whether it is personal."""

    name: str
    type: Any
    required: bool
    default: Any
    personal: bool


class UnknownEventType(Exception):
    """The log holds an event type or version that this program does not know; upgrade opscore before it may decide."""


@dataclass(frozen=True)
class EventType:
    """A stored event type at its newest version."""

    name: str
    cls: type[Event]
    aggregate: type[Aggregate]
    version: int
    fields: tuple[FieldType, ...]
    upcasts: tuple[tuple[Step, ...], ...]
    """Steps from version 1 to 2, from 2 to 3, ..."""
    shape: type[msgspec.Struct]
    """A struct with just the stored fields: decodes, validates and describes `data`."""
    decoder: msgspec.json.Decoder[Any]
    names_store: bool
    """The data has its own `store_id`, which is then the log's."""

    def data_of(self, event: Event) -> dict[str, Any]:
        """Return the stored fields of an event."""
        state = vars(event)
        return {field.name: state[field.name] for field in self.fields}


def _is_personal(annotation: Any) -> bool:
    if any(mark is PERSONAL for mark in getattr(annotation, "__metadata__", ())):
        return True
    return any(_is_personal(argument) for argument in typing.get_args(annotation))


def describe(cls: type[Event]) -> EventType:
    """Return the stored type of an event class, read off its annotations."""
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = []
    for declared in dataclasses.fields(cls):
        if declared.name in _ENVELOPE:
            continue
        has_default = declared.default is not dataclasses.MISSING
        fields.append(
            FieldType(
                name=declared.name,
                type=hints[declared.name],
                required=not has_default,
                default=declared.default if has_default else msgspec.NODEFAULT,
                personal=_is_personal(hints[declared.name]),
            )
        )
    shape = msgspec.defstruct(
        cls.__name__,
        [(f.name, f.type) if f.required else (f.name, f.type, f.default) for f in fields],
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        module=cls.__module__,
    )
    upcasts: tuple[tuple[Step, ...], ...] = getattr(cls, "UPCASTS", ())
    if len(upcasts) != cls.VERSION - 1:
        raise TypeError(f"{cls.__name__} is at version {cls.VERSION} and needs {cls.VERSION - 1} upcasts in UPCASTS")
    return EventType(
        name=cls.__name__,
        cls=cls,
        aggregate=cls.AGGREGATE,
        version=cls.VERSION,
        fields=tuple(fields),
        upcasts=upcasts,
        shape=shape,
        decoder=msgspec.json.Decoder(shape),
        names_store=any(f.name == "store_id" for f in fields),
    )


@functools.cache
def event_types() -> Mapping[str, EventType]:
    """Return every stored event type by name."""
    return {name: describe(cls) for name, cls in sorted(EVENT_CLASSES.items())}


def event_type(name: str, version: int) -> EventType:
    """Return the type of a stored event; raises UnknownEventType for what a newer program wrote."""
    known = event_types().get(name)
    if known is None or version > known.version:
        raise UnknownEventType(f"{name} version {version} is not known to this program; upgrade it before it decides")
    return known


def __getattr__(name: str) -> Any:
    if name == "EVENT_TYPES":
        return event_types()
    raise AttributeError(name)

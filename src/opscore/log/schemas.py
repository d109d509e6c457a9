"""JSON Schema and one sample of every stored event version: what others may rely on when they read the log.

A file is written once and stays: the sample of an old version is decoded for ever. When an event's shape changes, its
version is raised and a new file appears beside the old one.
"""

from __future__ import annotations

import enum
import json
import types
import typing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from opscore.domain.values import derived_id
from opscore.log.event_types import EventType, event_types

_WORDS = {"currency": "GBP", "time_zone": "Europe/London", "unit": "piece", "actor": "staff-1", "region": "GB"}


@dataclass(frozen=True)
class SchemaFault:
    """A stored event version whose published file is missing or differs, and how to mend it."""

    event: str
    message: str


def file_name(name: str, version: int) -> str:
    """Return the name of the file that publishes an event version."""
    return f"{name}.v{version}.json"


def published(stored: EventType) -> dict[str, Any]:
    """Return the content of the file for the newest version of an event type."""
    content = {
        "event": stored.name,
        "version": stored.version,
        "stream": stored.aggregate.STREAM_TYPE,
        "description": " ".join((stored.cls.__doc__ or "").split()),
        "personal": [field.name for field in stored.fields if field.personal],
        "schema": msgspec.json.schema(stored.shape),
        "sample": {field.name: _sample(field.name, field.type) for field in stored.fields},
    }
    described: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(content))
    return described


def export(folder: Path) -> list[Path]:
    """Write the files that are missing in `folder`; return them. Existing files are never touched."""
    written = []
    for stored in event_types().values():
        path = folder / file_name(stored.name, stored.version)
        if not path.exists():
            path.write_text(json.dumps(published(stored), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            written.append(path)
    return written


def faults(folder: Path) -> list[SchemaFault]:
    """Return every difference between the published files and the program, each with its remedy."""
    found = []
    for stored in event_types().values():
        for version in range(1, stored.version + 1):
            path = folder / file_name(stored.name, version)
            if not path.exists():
                remedy = "run `opscore schema export`" if version == stored.version else "restore it from history"
                found.append(SchemaFault(stored.name, f"{path.name} is missing; {remedy}"))
        path = folder / file_name(stored.name, stored.version)
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["schema"] != published(stored)["schema"] or kept["personal"] != published(stored)["personal"]:
                remedy = "raise VERSION of the event, add its UPCASTS, and run `opscore schema export`"
                found.append(SchemaFault(stored.name, f"{path.name} says another shape; {remedy}"))
    known = {file_name(name, v) for name, stored in event_types().items() for v in range(1, stored.version + 1)}
    return found + [
        SchemaFault(path.stem, f"{path.name} is of an event that no aggregate folds any more")
        for path in folder.glob("*.v*.json")
        if path.name not in known
    ]


def _sample(name: str, annotation: Any) -> Any:
    """Return a value of the annotated type, the same one each time."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _sample(name, arguments[0])
    if origin in (types.UnionType, typing.Union):
        return _sample(name, next(each for each in arguments if each is not type(None)))
    if origin in (tuple, list):
        return [_sample(name, arguments[0])]
    if origin is dict:
        return {_sample("key", arguments[0]): _sample(name, arguments[1])}
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        hints = typing.get_type_hints(annotation, include_extras=True)
        tag = {annotation.__struct_config__.tag_field: annotation.__struct_config__.tag}
        fields = {each: _sample(each, hints[each]) for each in annotation.__struct_fields__}
        return {**tag, **fields} if annotation.__struct_config__.tag_field else fields
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return next(iter(annotation))
    return _SAMPLES[annotation](name)


_SAMPLES: dict[Any, Any] = {
    bool: lambda name: True,
    int: lambda name: 7,
    str: lambda name: _WORDS.get(name, f"sample {name.replace('_', ' ')}"),
    Decimal: lambda name: Decimal("12.5"),
    UUID: lambda name: derived_id("sample", name),
    datetime: lambda name: datetime(2010, 6, 1, 9, 30, tzinfo=UTC),
    date: lambda name: date(2010, 6, 1),
    time: lambda name: time(9, 30),
    Any: lambda name: "anything",
}

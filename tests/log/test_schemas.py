"""What is published about stored events is what the program writes, and old samples still read."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import msgspec
import pytest

from opscore import resources
from opscore.domain.values import derived_id
from opscore.log import schemas
from opscore.log.event_types import EventType, event_type, event_types
from opscore.log.mapper import EventMapper, RecordedEvent

FOLDER = resources.path("schema") / "events"
FILES = sorted(FOLDER.glob("*.v*.json"))
AT = datetime(2010, 6, 1, 9, 30, tzinfo=UTC)


def test_every_stored_event_version_is_published_as_it_is() -> None:
    assert schemas.faults(FOLDER) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_published_sample_fits_its_schema_decodes_and_encodes_to_itself(path: Path) -> None:
    kept = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(kept["sample"], kept["schema"])
    stored = event_type(kept["event"], kept["version"])
    mapper = EventMapper()
    row = RecordedEvent(
        derived_id("sample", "stream"), 1, kept["event"], json.dumps(kept["sample"]).encode(), kept["version"], AT, AT
    )
    again = mapper.to_stored_event(mapper.to_domain_event(row))
    assert again.schema_version == stored.version
    if kept["version"] == stored.version:
        assert json.loads(again.state) == kept["sample"]


@pytest.mark.parametrize(
    ("name", "fields"), [("OrderPlaced", ("traffic_source", "device")), ("TrafficReported", ("traffic_source",))]
)
def test_what_was_recorded_before_sources_were_says_that_none_is_known(name: str, fields: tuple[str, ...]) -> None:
    kept = json.loads((FOLDER / schemas.file_name(name, 1)).read_text(encoding="utf-8"))
    row = RecordedEvent(derived_id("sample", "stream"), 1, name, json.dumps(kept["sample"]).encode(), 1, AT, AT)
    event = EventMapper().to_domain_event(row)
    assert [getattr(event, field) for field in fields] == [None] * len(fields)


def test_an_event_that_says_an_amount_of_money_says_its_currency() -> None:
    silent = {
        name
        for name, stored in event_types().items()
        if "currency" not in {field.name for field in stored.fields} and '_minor"' in json.dumps(_properties(stored))
    }
    # Totals by currency that a merger hands over: each says its own.
    assert silent == {"CustomersMerged"}


def _properties(stored: EventType) -> dict[str, list[str]]:
    """Return the fields of an event and of every value in it, by the name of the shape."""
    shapes = msgspec.json.schema(stored.shape)["$defs"]
    return {name: list(shape.get("properties", {})) for name, shape in shapes.items()}


def test_a_missing_file_and_a_changed_shape_are_found_with_their_remedy(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    names = sorted(event_types())
    (tmp_path / schemas.file_name(names[0], 1)).unlink()
    changed = tmp_path / schemas.file_name(names[1], 1)
    content = json.loads(changed.read_text(encoding="utf-8"))
    content["schema"]["title"] = "another"
    changed.write_text(json.dumps(content), encoding="utf-8")
    found = {fault.event: fault.message for fault in schemas.faults(tmp_path)}
    assert set(found) == set(names[:2])
    assert "opscore schema export" in found[names[0]]
    assert "raise VERSION" in found[names[1]]


def test_export_never_touches_a_published_file(tmp_path: Path) -> None:
    schemas.export(tmp_path)
    kept = next(tmp_path.glob("*.v1.json"))
    kept.write_text("{}", encoding="utf-8")
    assert schemas.export(tmp_path) == []
    assert kept.read_text(encoding="utf-8") == "{}"

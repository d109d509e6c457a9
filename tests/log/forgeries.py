"""Forged audit bundles, each with what an auditor holds against it: material for tests of the verifier."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import random
import struct
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

Event = dict[str, Any]
Events = list[Event]

COLUMNS = (
    "position", "stream_id", "version", "stream_type", "type", "schema_version", "store_id", "occurred_at",
    "recorded_at", "time_zone", "actor", "origin", "idempotency_key", "correlation_id", "causation_position",
)  # fmt: skip


def members_of(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def document(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2).encode() + b"\n"


def events_of(members: dict[str, bytes]) -> Events:
    return [json.loads(line) for line in members["events.jsonl"].splitlines()]


def chained(events: Events, previous: str = "0" * 64) -> Events:
    """Return the events with the hashes that a forger would make anew."""
    made = []
    for event in events:
        columns = [event[name] for name in (*COLUMNS, *(["role"] if "role" in event else []))]
        content = bytes.fromhex(previous) + canonical(columns) + canonical(event["data"])
        previous = hashlib.sha256(content).hexdigest()
        made.append({**event, "hash": previous})
    return made


def zipped(members: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a .zip laid out as bundles are."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")  # A name that is there twice is what some forgeries are about.
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o100644 << 16
            with archive.open(info, "w", force_zip64=True) as member:
                member.write(content)
    return out.getvalue()


@dataclass
class Forger:
    """Changes a copy of a bundle and makes the manifest anew, as whoever has opscore's source can."""

    members: dict[str, bytes]
    manifest: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.members = dict(self.members)
        self.manifest = json.loads(self.members.pop("manifest.json"))

    def events(self, events: Events) -> Forger:
        """Write other events; counts, times and the last hash follow them."""
        self.members["events.jsonl"] = b"".join(canonical(event) + b"\n" for event in events)
        self.manifest["counts"]["events"] = len(events)
        if events:
            self.manifest["last_hash"] = events[-1]["hash"]
            self.manifest["period"]["until"] = events[-1]["position"]
            self.manifest["period"]["first_recorded_at"] = events[0]["recorded_at"]
            self.manifest["period"]["last_recorded_at"] = events[-1]["recorded_at"]
        return self

    def sealed(self) -> bytes:
        """Return the forged bundle, every digest in the manifest made to fit."""
        self.manifest["members"] = {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in self.members.items()
        }
        return self.unsealed()

    def unsealed(self) -> bytes:
        """Return the forged bundle with the manifest as it stands."""
        return zipped([*self.members.items(), ("manifest.json", document(self.manifest))])


def schema_of(event: dict[str, Any]) -> str:
    """Return the name of the member that holds the schema of an event's version."""
    return f"schemas/{event['type']}.v{event['schema_version']}.json"


def small(file: Path) -> bytes:
    """Return a bundle of the same events with the schemas of their types only, which is checked faster."""
    forger = Forger(members_of(file))
    used = {f"schemas/{event['type']}.v{event['schema_version']}.json" for event in events_of(forger.members)} | {
        "schemas/OrderPaid.v1.json"
    }
    forger.members = {name: text for name, text in forger.members.items() if name[:8] != "schemas/" or name in used}
    forger.manifest["counts"]["schemas"] = len(used)
    return forger.sealed()


@dataclass(frozen=True)
class Forgery:
    """A bundle that must be refused, and what the auditor holds against it."""

    name: str
    content: bytes
    anchors: bool = False
    digest: bool = False


def flipped_bytes(file: Path) -> Iterator[Forgery]:
    """Turn over single bytes: of headers, of the directory, of its end, and of every member's content."""
    content = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        infos, directory = archive.infolist(), archive.start_dir
    chosen = [info for info in infos if not info.filename.startswith(("schemas/", "rules/"))]
    places: list[tuple[str, int]] = []
    for info in chosen:
        name_length, extra_length = struct.unpack("<2H", content[info.header_offset + 26 : info.header_offset + 30])
        begin = info.header_offset + 30 + name_length + extra_length
        last = begin + info.compress_size - 1
        places += [(f"data of {info.filename}", place) for place in {begin, (begin + last) // 2, last}]
    header, first_entry = chosen[0].header_offset, content.index(b"PK\x01\x02", directory)
    places += [("header", header + place) for place in range(30 + len(chosen[0].filename) + 20)]
    places += [("directory", first_entry + place) for place in range(46 + len(chosen[0].filename))]
    places += [("end of directory", len(content) - 1 - place) for place in range(22)]
    for what, place in places:
        # The last byte of compressed data has bits that mean nothing; turning over the whole byte meets the others.
        forged = bytearray(content)
        forged[place] ^= 0xFF
        yield Forgery(f"byte {place} turned over: {what}", bytes(forged))


def damaged_files(file: Path) -> Iterator[Forgery]:
    """Cut the file, put something before or behind it, or between."""
    content = file.read_bytes()
    for length in (0, 1, 21, 22, 1000, len(content) // 2, len(content) - 22, len(content) - 1):
        yield Forgery(f"cut to {length} bytes", content[:length])
    yield Forgery("bytes before", b"#!/bin/sh\n" + content)
    yield Forgery("bytes behind", content + b"\0")
    comment = bytearray(content)
    comment[-2:] = struct.pack("<H", 4)
    yield Forgery("a comment on the whole", bytes(comment) + b"note")


def changed_events(bundle: dict[str, bytes], chance: random.Random) -> Iterator[Forgery]:
    """Change what an event says, where it stands, or its hash; the manifest is made to fit."""
    events = events_of(bundle)

    def forged(name: str, changed: Events) -> Forgery:
        return Forgery(name, Forger(bundle).events(changed).sealed())

    for column in (*COLUMNS, "role"):
        place = chance.randrange(len(events))
        value = events[place][column]
        other = value + 1 if isinstance(value, int) else f"{value or ''}x"
        if column in {"stream_id", "store_id"}:
            other = value[:-1] + ("0" if value[-1] != "0" else "1")
        if column == "causation_position" and value is None:
            other = 1
        yield forged(
            f"another {column} in {place}", [*events[:place], {**events[place], column: other}, *events[place + 1 :]]
        )
    for place, event in enumerate(events):
        changed = copy.deepcopy(event)
        leaf = change_something(changed["data"], chance)
        yield forged(f"another {leaf} in {place}", [*events[:place], changed, *events[place + 1 :]])
    for place in (0, 1, len(events) // 2, len(events) - 2):
        yield forged(f"{place} taken out", events[:place] + events[place + 1 :])
        closed = [{**event, "position": number} for number, event in enumerate(events[:place] + events[place + 1 :], 1)]
        yield forged(f"{place} taken out and the gap closed", closed)
        yield forged(f"{place} twice", events[: place + 1] + events[place:])
        yield forged(f"{place} swapped", [*events[:place], events[place + 1], events[place], *events[place + 2 :]])
        swapped = [
            {**events[place + 1], "position": place + 1},
            {**events[place], "position": place + 2},
        ]
        yield forged(f"{place} swapped with its position", [*events[:place], *swapped, *events[place + 2 :]])
        put_in = {**events[place], "position": place + 2, "idempotency_key": "forged"}
        moved = [{**event, "position": event["position"] + 1} for event in events[place + 1 :]]
        yield forged(f"one put in behind {place}", [*events[: place + 1], put_in, *moved])
        digits = list(events[place]["hash"])
        digits[chance.randrange(64)] = "g" if place else "F"
        yield forged(f"no hash in {place}", [*events[:place], {**event, "hash": "".join(digits)}, *events[place + 1 :]])
        yield forged(
            f"the hash before in {place}", [*events[:place], {**events[place], "hash": "0" * 64}, *events[place + 1 :]]
        )


def change_something(data: Any, chance: random.Random) -> str:
    """Change one value somewhere inside an event's data; return its name."""
    if not data:
        data["forged"] = True
        return "unknown field"
    name = chance.choice(sorted(data))
    value = data[name]
    if isinstance(value, dict):
        return f"{name}.{change_something(value, chance)}"
    if isinstance(value, bool) or value is None:
        data[name] = not value
    elif isinstance(value, int):
        data[name] = value + chance.choice((-1, 1, 100))
    elif isinstance(value, str):
        data[name] = value + chance.choice(("0", " ", "\u0301"))
    else:
        data[name] = [*value, *value] or ["forged"]
    return name


def other_writings(bundle: dict[str, bytes]) -> Iterator[Forgery]:
    """Write a line in a way that one program may read differently from another; counts and digests fit."""
    lines = bundle["events.jsonl"].splitlines()
    place = next(number for number, line in enumerate(lines) if b'"quantity":"' in line)
    line = lines[place]
    version = b'"version":' + str(json.loads(line)["version"]).encode()
    assert line.count(version) >= 1
    writings = {
        "a float": line.replace(version, version + b".0"),
        "an exponent": line.replace(version, version + b"e0"),
        "NaN": line.replace(version, b'"version":NaN'),
        "Infinity": line.replace(version, b'"version":-Infinity'),
        "a leading zero": line.replace(version, version.replace(b":", b":0")),
        "a sign": line.replace(version, version.replace(b":", b":+")),
        "a number without end": line.replace(version, version + b"0" * 5000),
        "true for a number": line.replace(version, b'"version":true'),
        "text for a number": line.replace(version, b'"version":"1"'),
        "a float in data": line.replace(b'"data":{', b'"data":{"a":0.1,', 1),
        "NaN in data": line.replace(b'"data":{', b'"data":{"a":NaN,', 1),
        "a key twice": line[:-1] + b',"version":' + version.partition(b":")[2] + b"}",
        "a key twice in data": line.replace(b'"data":{', b'"data":{"quantity":"1",', 1),
        "a blank": line.replace(b",", b", ", 1),
        "a needless escape": line.replace(b'"origin":"l', b'"origin":"\\u006c'),
        "half a character": line.replace(b'"origin":"live"', b'"origin":"live\\ud800"'),
        "no UTF-8": line.replace(b'"origin":"live"', b'"origin":"live\xff"'),
        "a mark at the front": b"\xef\xbb\xbf" + line,
        "a carriage return": line + b"\r",
        "an empty line": b"",
        "an array": b"[" + line + b"]",
        "a number for an event": b"7",
        "nested without end": b"[" * 100_000,
        "nested without end in data": line.replace(b'"data":{', b'"data":{"a":' + b"[" * 500 + b"]" * 500 + b",", 1),
        "a column more": line[:-1] + b',"x":1}',
        "a column less": line.replace(b'"origin":"live",', b""),
        "keys in another order": json.dumps(
            dict(reversed(json.loads(line).items())), ensure_ascii=False, separators=(",", ":")
        ).encode(),
        "a large UUID": line.replace(b'"store_id":"', b'"store_id":"{'),
    }
    for name, written in writings.items():
        assert written != line, name
        forger = Forger(bundle)
        forger.members["events.jsonl"] = b"\n".join([*lines[:place], written, *lines[place + 1 :]]) + b"\n"
        yield Forgery(f"a line with {name}", forger.sealed())
    forger = Forger(bundle)
    forger.members["events.jsonl"] = bundle["events.jsonl"][:-1]
    yield Forgery("no end of the last line", forger.sealed())


def rewritten_chains(bundle: dict[str, bytes]) -> Iterator[Forgery]:
    """Make every hash anew behind a change: only an anchor kept outside, or an event's schema, can tell."""
    events = events_of(bundle)

    def forged(name: str, changed: Events, *, anchors: bool = True, previous: str = "0" * 64) -> Forgery:
        forger = Forger(bundle).events(chained(changed, previous))
        # The anchors inside are the forger's as well.
        forger.members["anchors.jsonl"] = b""
        forger.manifest["counts"]["anchors"] = 0
        return Forgery(name, forger.sealed(), anchors=anchors)

    for place in range(0, len(events), 4):
        changed = {**events[place], "actor": "somebody else"}
        yield forged(f"rewritten from {place}", [*events[:place], changed, *events[place + 1 :]])
    for length in (1, len(events) // 2, len(events) - 1):
        yield forged(f"cut to {length} events", events[:length])
    for place in (3, len(events) // 2):
        rest = [{**event, "position": event["position"] - 1} for event in events[place + 1 :]]
        yield forged(f"{place} taken out and all made anew", events[:place] + rest)
    later = [{**event, "recorded_at": event["recorded_at"] - 10} for event in events]
    yield forged("all of it earlier", later)

    paid = next(number for number, event in enumerate(events) if event["type"] == "OrderPlaced")
    data = events[paid]["data"]
    misfits: dict[str, Any] = {
        "an unknown field": {**data, "forged": 1},
        "a missing field": {name: value for name, value in data.items() if name != "lines"},
        "text for a number": {**data, "total_minor": str(data["total_minor"])},
        "true for a number": {**data, "total_minor": True},
        "a number for text": {**data, "channel": 1},
        "null for text": {**data, "channel": None},
        "an object for a list": {**data, "lines": {}},
        "no known kind": {**data, "kind": "gift"},
        "no UUID": {**data, "store_id": "7"},
        "no decimal": {**data, "lines": [{**data["lines"][0], "quantity": "1,5"}]},
        "an unknown field in a line": {**data, "lines": [{**data["lines"][0], "forged": None}]},
        "a missing field in a line": {**data, "lines": [{"line": 1}]},
        "a list for an object": [],
        "nothing": None,
    }
    for name, misfit in misfits.items():
        changed = {**events[paid], "data": misfit}
        yield forged(f"rewritten with {name}", [*events[:paid], changed, *events[paid + 1 :]], anchors=False)
    inner: dict[str, Event] = {
        "an unknown type": {**events[paid], "type": "OrderForged"},
        "an unknown version": {**events[paid], "schema_version": 99},
        "a version out of order": {**events[paid], "version": 2},
        "a time that does not rise": {**events[paid], "recorded_at": events[paid - 1]["recorded_at"]},
        "a large UUID": {**events[paid], "stream_id": events[paid]["stream_id"].upper()},
        "a position twice": {**events[paid], "position": events[paid]["position"] - 1},
    }
    for name, changed in inner.items():
        yield forged(f"rewritten with {name}", [*events[:paid], changed, *events[paid + 1 :]], anchors=False)
    forger = Forger(bundle).events(chained(events, "1" * 64))
    forger.manifest["previous_hash"] = "1" * 64
    yield Forgery("another beginning", forger.sealed())
    forger = Forger(bundle).events(events[1:])
    forger.manifest["previous_hash"] = "0" * 64
    forger.manifest["period"]["after"] = 1
    yield Forgery("the first event gone and a wrong hash before it", forger.sealed())
    forger = Forger(bundle).events(events[1:])
    forger.manifest["previous_hash"] = "2" * 64
    forger.manifest["period"]["after"] = 1
    yield Forgery("another hash before the second", forger.sealed())
    forger = Forger(bundle).events([])
    forger.manifest["period"].update(until=0, first_recorded_at=None, last_recorded_at=None)
    forger.manifest["last_hash"] = "0" * 64
    yield Forgery("an empty log", forger.sealed(), anchors=True)


def changed_anchors(bundle: dict[str, bytes], chance: random.Random) -> Iterator[Forgery]:
    """Change the anchors inside; counts and digests fit."""
    (first, *rest) = [json.loads(line) for line in bundle["anchors.jsonl"].splitlines()]

    def forged(name: str, *lines: bytes) -> Forgery:
        forger = Forger(bundle)
        forger.members["anchors.jsonl"] = b"".join(line + b"\n" for line in lines)
        forger.manifest["counts"]["anchors"] = len(lines)
        return Forgery(f"anchors inside: {name}", forger.sealed())

    for _ in range(10):
        place = chance.randrange(64)
        digit = chance.choice([each for each in "0123456789abcdef" if each != first["hash"][place]])
        changed = {**first, "hash": first["hash"][:place] + digit + first["hash"][place + 1 :]}
        yield forged("another hash", canonical(changed), *map(canonical, rest))
    yield forged("another position", canonical({**first, "position": first["position"] - 1}))
    yield forged("a position beyond", canonical({**first, "position": 1_000_000}))
    yield forged("a position below", canonical({**first, "position": -1}))
    yield forged("a float", canonical({**first, "position": 1.0}))
    yield forged("no hash", canonical({**first, "hash": first["hash"][:-1]}))
    yield forged("no time", canonical({**first, "anchored_at": "yesterday"}))
    yield forged("no offset", canonical({**first, "anchored_at": "2026-03-31T00:00:00"}))
    yield forged("no JSON", b"{")
    yield forged("nothing", b"{}")
    yield forged("a field more", canonical({**first, "note": ""}))
    yield forged("a field twice", canonical(first)[:-1] + b',"position":1}')


def changed_manifests(bundle: dict[str, bytes]) -> Iterator[Forgery]:
    """Change what the manifest says."""

    def forged(name: str, *path: str, value: Any, digest: bool = False) -> Forgery:
        forger = Forger(bundle)
        holder = forger.manifest
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = value
        return Forgery(f"manifest: {name}", forger.unsealed(), digest=digest)

    manifest = json.loads(bundle["manifest.json"])
    for name, count in manifest["counts"].items():
        yield forged(f"another number of {name}", "counts", name, value=count + 1)
    for name, value in manifest["members"].items():
        if not name.startswith("schemas/"):
            yield forged(f"another size of {name}", "members", name, value={**value, "bytes": value["bytes"] + 1})
            yield forged(f"another digest of {name}", "members", name, value={**value, "sha256": "0" * 64})
    period = manifest["period"]
    for name in ("after", "until", "first_recorded_at", "last_recorded_at"):
        yield forged(f"another {name}", "period", name, value=period[name] + 1)
        yield forged(f"no {name}", "period", name, value=None)
        yield forged(f"{name} true", "period", name, value=True)
    yield forged("another position asked for", "period", "asked_until", value=period["until"] + 5)
    yield forged("no time asked for", "period", "asked_until", value="yesterday")
    yield forged("turned round", "period", "after", value=period["until"] + 1)
    for name in ("previous_hash", "last_hash"):
        yield forged(f"another {name}", name, value="3" * 64)
        yield forged(f"no {name}", name, value=None)
    for name, value in (("format", "zip"), ("format_version", 1), ("format_version", "2"), ("hash_format_version", 0)):
        yield forged(f"{name} {value}", name, value=value)
    for name in ("opscore", "schema"):
        yield forged(f"another {name}", name, value="forged", digest=True)
    yield forged("an unknown word", "note", value="")
    yield forged("a member more", "members", "note.txt", value={"bytes": 0, "sha256": "0" * 64})
    yield forged("no members", "members", value={})
    yield forged("members of no kind", "members", value=[])
    yield forged("counts of no kind", "counts", value=None)
    for name in manifest:
        forger = Forger(bundle)
        del forger.manifest[name]
        yield Forgery(f"manifest without {name}", forger.unsealed())
    for name, content in {
        "no JSON": b"{",
        "nothing": b"",
        "an array": b"[]\n",
        "a float": document({**manifest, "format_version": 2.0}),
        "a word twice": bundle["manifest.json"].replace(b'  "format":', b'  "format": "zip",\n  "format":', 1),
    }.items():
        members = {**bundle, "manifest.json": content}
        yield Forgery(f"manifest: {name}", zipped(members.items()))
    members = {**bundle, "manifest.json": canonical(manifest)}
    yield Forgery("manifest: in one line", zipped(members.items()), digest=True)


def changed_members(bundle: dict[str, bytes]) -> Iterator[Forgery]:
    """Take members away, put others in, exchange their content."""
    fixed = [name for name in bundle if "/" not in name]
    some = [*fixed, *[name for name in bundle if name.startswith("rules/")][:3]]
    for name in some:
        yield Forgery(f"without {name}", zipped((each, text) for each, text in bundle.items() if each != name))
        yield Forgery(f"{name} twice", zipped([*bundle.items(), (name, bundle[name])]))
        yield Forgery(f"{name} twice, another first", zipped([(name, b"{}\n"), *bundle.items()]))
        other = {**bundle, name: bundle[name] + b"\n"}
        yield Forgery(f"another {name}", zipped(other.items()), digest=name == "manifest.json")
        if name != "manifest.json":
            forger = Forger(bundle)
            del forger.members[name]
            yield Forgery(f"without {name}, manifest made to fit", forger.sealed())
    used = schema_of(events_of(bundle)[0])
    forger = Forger(bundle)
    del forger.members[used]
    forger.manifest["counts"]["schemas"] -= 1
    yield Forgery(f"without {used}, manifest and counts made to fit", forger.sealed())
    forger = Forger(bundle)
    forger.members[used] = forger.members["schemas/OrderPaid.v1.json"]
    yield Forgery("the schema of another event", forger.sealed())
    for content in (b"", b"[]\n", b"{}\n", b"\xff", b"1\n"):
        for name in (used, "catalogue.json", "compares.json", "promotions.json", "kpis.json"):
            if content != b"[]\n" or name == used:
                forger = Forger(bundle)
                forger.members[name] = content
                yield Forgery(f"{name} is {content!r}", forger.sealed())
    for broken in ({}, {"$ref": "#/$defs/X", "$defs": {"X": {"$ref": "#/$defs/X"}}}, {"$ref": "x"}, {"type": "x"}):
        forger = Forger(bundle)
        schema = json.loads(forger.members[used])
        schema["schema"] = broken or None
        forger.members[used] = document(schema)
        yield Forgery(f"the schema {broken}", forger.sealed())
    for name in (
        "../evil.py", "/etc/passwd", "rules/../../evil.sql", "..\\evil.py", "C:evil", "rules//x", "note.txt", ".hidden",
        "schemas/", "EVENTS.JSONL", "rules/x/v1/y.sql", "schemas/Forged.v1.json", "events.jsonl ",
        "\u00e9v\u00e9nements",
    ):  # fmt: skip
        forger = Forger(bundle)
        forger.members[name] = b"-- forged\n"
        yield Forgery(f"with {name!r}, in the manifest", forger.sealed())
        yield Forgery(f"with {name!r}", zipped([*bundle.items(), (name, b"-- forged\n")]))


def changed_rules(bundle: dict[str, bytes]) -> Iterator[Forgery]:
    """Change the text of a rule, or what the catalogue says of it."""
    for name in [name for name in bundle if name.startswith("rules/")]:
        forger = Forger(bundle)
        forger.members[name] += b"-- forged\n"
        yield Forgery(f"another {name}", forger.unsealed())
        yield Forgery(f"another {name}, manifest made to fit", forger.sealed(), digest=True)
    catalogue = json.loads(bundle["catalogue.json"])
    entries: dict[str, Any] = {
        "another digest": {**catalogue[0], "digest": "0" * 64},
        "no digest": {name: value for name, value in catalogue[0].items() if name != "digest"},
        "another version": {**catalogue[0], "version": 9},
        "another name": {**catalogue[0], "name": "forged"},
        "a file less": {**catalogue[0], "files": catalogue[0]["files"][1:]},
        "a file more": {**catalogue[0], "files": [*catalogue[0]["files"], "forged.sql"]},
        "files of no kind": {**catalogue[0], "files": None},
        "no entry": 7,
    }
    for name, entry in entries.items():
        forger = Forger(bundle)
        forger.members["catalogue.json"] = document([entry, *catalogue[1:]])
        yield Forgery(f"catalogue with {name}", forger.sealed())


def changed_comparisons(bundle: dict[str, bytes]) -> Iterator[Forgery]:
    """Change what a comparison has kept, and whatever the manifest says of it."""
    rows = [json.loads(line) for line in bundle["compare_rows.jsonl"].splitlines()]
    first, second, *others = rows
    position = json.loads(bundle["compares.json"])[0]["position"]

    def made(name: str, forged: list[Any], **more: Any) -> Forgery:
        forger = Forger(bundle)
        forger.members["compare_rows.jsonl"] = b"".join(canonical(row) + b"\n" for row in forged)
        forger.manifest["counts"]["compare_rows"] = len(forged)
        return Forgery(f"compare rows: {name}", forger.sealed(), **more)

    yield made("one less", rows[:-1])
    yield made("none", [])
    yield made("one twice", [first, *rows])
    yield made("turned round", [second, first, *others])
    yield made("another number", [{**first, "number": 7}, second, *others])
    yield made("of another comparison", [{**first, "compare_id": str(UUID(int=5))}, second, *others])
    yield made("both sides alike", [{**first, "new": first["old"]}, second, *others])
    yield made("no sides", [{**first, "old": 1, "new": 2}, second, *others])
    yield made("without its events", [{**first, "events": None}, second, *others])
    yield made("a field more", [{**first, "note": 1}, second, *others])
    yield made("no key", [{**first, "key": None}, second, *others])
    yield made("no row", [7, second, *others])
    for name, events in {
        "an event behind the position": [[position + 1, None, {}]],
        "an event before the first": [[0, None, {}]],
        "events out of order": first["events"][::-1],
        "an event of no kind": [7],
        "a position of no kind": [["1", None, {}]],
    }.items():
        yield made(name, [{**first, "events": events}, second, *others])
    yield made("another value", [{**first, "new": {"buyers": 0}}, second, *others], digest=True)
    (compared,) = json.loads(bundle["compares.json"])
    for name, forged in {
        "fewer rows kept": {**compared, "rows_kept": 1},
        "more rows kept": {**compared, "rows_kept": compared["differing_rows"] + 1},
        "fewer rows with events": {**compared, "rows_with_events": 0},
        "another position": {**compared, "position": 1},
        "another id": {**compared, "id": str(UUID(int=5))},
        "no id": {**compared, "id": None},
        "no entry": 7,
    }.items():
        forger = Forger(bundle)
        forger.members["compares.json"] = document([forged])
        yield Forgery(f"compares: {name}", forger.sealed())
    forger = Forger(bundle)
    forger.members["compares.json"] = document([{**compared, "compared_by": "forged"}])
    yield Forgery("compares: by somebody else", forger.sealed(), digest=True)


def changed_promotions(bundle: dict[str, bytes]) -> Iterator[Forgery]:
    """Change what is on record of who let which version serve."""
    one, two, three = json.loads(bundle["promotions.json"])

    def made(name: str, forged: list[Any], **more: Any) -> Forgery:
        forger = Forger(bundle)
        forger.members["promotions.json"] = document(forged)
        forger.manifest["counts"]["promotions"] = len(forged)
        return Forgery(f"promotions: {name}", forger.sealed(), **more)

    yield made("the middle one gone", [one, three])
    yield made("turned round", [one, three, two])
    yield made("one twice", [one, two, two, three])
    yield made("of a version that never was", [one, {**two, "version": 9}, three])
    yield made("from another version", [one, two, {**three, "from_version": 3}])
    yield made("on a comparison of others", [one, {**two, "from_version": None}, three])
    yield made("before the one before", [one, two, {**three, "position": 0}])
    yield made("no time", [one, two, {**three, "promoted_at": None}])
    yield made("no number", [one, two, {name: value for name, value in three.items() if name != "number"}])
    yield made("no entry", [one, two, 7])
    yield made("by somebody else", [one, two, {**three, "promoted_by": "forged"}], digest=True)
    yield made("the last one gone", [one, two], digest=True)


def forgeries(file: Path) -> Iterator[Forgery]:
    """Yield every forgery of a bundle, the same ones each time."""
    bundle, chance = members_of(file), random.Random(7)
    yield from flipped_bytes(file)
    yield from damaged_files(file)
    yield from changed_events(bundle, chance)
    yield from other_writings(bundle)
    yield from rewritten_chains(bundle)
    yield from changed_anchors(bundle, chance)
    yield from changed_manifests(bundle)
    yield from changed_members(bundle)
    yield from changed_rules(bundle)
    yield from changed_comparisons(bundle)
    yield from changed_promotions(bundle)

"""Checks an audit bundle of opscore with nothing but Python (3.9 or later) and this one file; opscore is not needed.

    python verify_bundle.py BUNDLE.zip [--anchors FILE] [--digest HEX]

Prints every finding and ends with 0 when everything holds, 1 when something was found, 2 when there was nothing to
check: no such file, not a bundle, an option that cannot be read. Nothing is unpacked to disk.

A bundle holds, each exactly once and nothing besides:

    manifest.json        what the bundle is about, how much of it there is, and the SHA-256 of every other member
    events.jsonl         one event a line, in canonical JSON: the fifteen hashed columns as in HASH.md, data, hash
    anchors.jsonl        heads of the chain (position, hash, anchored_at) as the exporting side kept them
    schemas/*.json       the JSON Schema of each stored event version
    catalogue.json       each version of each projection: state, position, rules, digests, names of its texts
    rules/NAME/vN/*      those texts
    compares.json        the comparisons of versions that were made in the period
    kpis.json            each definition of a key figure, its digest, and from when until when it was in force
    compare_rows.jsonl   one differing row of them a line, as kept, with the events behind it: [position, old, new]
    promotions.json      which version was let serve in the period, by whom, on which comparison
    HASH.md              how the hashes are made: what this file was written from
    verify_bundle.py     this file

What the bundle brings along cannot vouch for the bundle. Take this program from a source you trust, not from a bundle
that you doubt. Give anchors that you kept yourself (`--anchors`), since a chain that was rewritten as a whole agrees
with itself; and the manifest's SHA-256 that `opscore audit export` printed (`--digest`), since rules, schemas,
comparisons, promotions and definitions are in no chain.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any, BinaryIO

FORMAT = "opscore audit bundle"
FORMAT_VERSION = 2
HASH_FORMAT_VERSION = 1
FINDINGS_MAX = 1000
CHUNK_BYTES = 1 << 18
LINE_BYTES_MAX = 1 << 26
DOCUMENT_BYTES_MAX = 1 << 28
DIGITS_MAX = 40

COLUMNS = (
    "position", "stream_id", "version", "stream_type", "type", "schema_version", "store_id", "occurred_at",
    "recorded_at", "time_zone", "actor", "origin", "idempotency_key", "correlation_id", "causation_position",
)  # fmt: skip
ROLE = "role"
"""A column that only newer events have, and then a hash that covers it behind the others."""
NUMBERS = frozenset({"position", "version", "schema_version", "occurred_at", "recorded_at", "causation_position"})
IDS = frozenset({"stream_id", "store_id"})
OPTIONAL = frozenset({"correlation_id", "causation_position"})
FIXED = ("manifest.json", "events.jsonl", "anchors.jsonl", "catalogue.json", "compares.json", "compare_rows.jsonl",
         "promotions.json", "kpis.json", "HASH.md", "verify_bundle.py")  # fmt: skip

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_SCHEMA = re.compile(r"schemas/(\w+)\.v([1-9][0-9]*)\.json\Z", re.ASCII)
_RULES = re.compile(r"rules/(.+)/v([1-9][0-9]*)/([^/]+)\Z")


class Unreadable(Exception):
    """There is nothing here that could be checked; the message says why."""


class Fault(Exception):
    """One thing does not hold, and what follows from it cannot be looked at."""


class Report:
    """What was found, in order, and what was counted."""

    def __init__(self) -> None:
        """Begin with nothing found."""
        self.findings: list[str] = []
        self.more = 0
        self.notes: list[str] = []

    def add(self, check: str, message: str, position: int | None = None) -> None:
        """Keep a finding; beyond the first thousand they are only counted."""
        if len(self.findings) >= FINDINGS_MAX:
            self.more += 1
            return
        where = "" if position is None else f" at position {position}"
        self.findings.append(f"{check}{where}: {message}")


# JSON ----------------------------------------------------------------------------------------------------------------


def _refuse_number(text: str) -> Any:
    raise Fault(f"{text[:40]} is no whole number")


def _whole_number(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise Fault(f"a number of {len(text)} digits")
    return int(text)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Fault("a key that is there twice")
    return found


_exact = json.JSONDecoder(parse_float=_refuse_number, parse_constant=_refuse_number, parse_int=_whole_number)
_exact_once = json.JSONDecoder(
    parse_float=_refuse_number, parse_constant=_refuse_number, parse_int=_whole_number, object_pairs_hook=_each_once
)
_plain_once = json.JSONDecoder(parse_constant=_refuse_number, object_pairs_hook=_each_once)


_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False)


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of HASH.md."""
    return _canonical.encode(value).encode("utf-8")


def _decode(data: bytes, decoder: json.JSONDecoder = _exact) -> Any:
    """Return the value of JSON text; raises Fault."""
    try:
        return decoder.decode(data.decode("utf-8"))
    except RecursionError:
        raise Fault("nested too deeply") from None
    except ValueError as error:
        raise Fault(f"no JSON in UTF-8 ({error})") from None


def _is_number(value: Any) -> bool:
    return type(value) is int  # True is an int to Python, but not to JSON.


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and _SHA256.match(value) is not None


# The container -------------------------------------------------------------------------------------------------------


class Container:
    """A .zip read strictly: every byte of it is accounted for, so that every program sees the same members.

    Raises Unreadable for what is no .zip at all, and Fault for one that another program might read differently.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read and check the directory."""
        self._file = file
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError, EOFError, struct.error) as error:
            raise Unreadable(f"not a .zip ({error})") from None
        self._begins: dict[str, int] = {}
        self._infos: dict[str, zipfile.ZipInfo] = {}
        expected = 0
        for info in archive.infolist():
            name = info.orig_filename
            if not all(_PART.match(part) for part in name.split("/")):
                raise Fault(f"{name!r} is no name of a member")
            if name in self._infos:
                raise Fault(f"{name} is there twice")
            if info.header_offset != expected:
                raise Fault(f"there is something between the members, before {name}")
            self._check_directory_entry(info)
            self._begins[name] = self._after_header(info)
            self._infos[name] = info
            expected = self._begins[name] + info.compress_size
        self._check_end(archive, expected)

    @property
    def names(self) -> list[str]:
        """Return the names of the members."""
        return list(self._infos)

    @staticmethod
    def _check_directory_entry(info: zipfile.ZipInfo) -> None:
        plain = (
            info.flag_bits == 0
            and info.compress_type == zipfile.ZIP_DEFLATED
            and info.date_time == (1980, 1, 1, 0, 0, 0)
            and not info.comment
            and info.create_system == 3
            and info.create_version == 45
            and info.extract_version == 45
            and info.reserved == 0
            and info.volume == 0
            and info.internal_attr == 0
            and info.external_attr == 0o100644 << 16
            and set(_extra_sizes(info.extra)) <= {1}
        )
        if not plain:
            raise Fault(f"the directory's entry of {info.orig_filename} is not as bundles are written")

    def _after_header(self, info: zipfile.ZipInfo) -> int:
        """Return where the data of a member begins; its own header has to agree with the directory."""
        self._file.seek(info.header_offset)
        fixed = self._file.read(30)
        if len(fixed) < 30:
            raise Fault(f"{info.orig_filename} is cut off")
        sign, needs, flags, method, time, day, crc, packed, size, name_length, extra_length = struct.unpack(
            "<4s5H3L2H", fixed
        )
        name, extra = self._file.read(name_length), self._file.read(extra_length)
        # Sizes stand in a field of 16 bytes behind the name, since it was written before they were known.
        if len(extra) == 20 and extra[:4] == b"\x01\x00\x10\x00":
            sizes = (packed, size, *struct.unpack("<2Q", extra[4:]))
        else:
            sizes = (packed, size)
        says = (sign, needs, flags, method, time, day, crc, sizes, name)
        agrees = (
            b"PK\x03\x04", 45, 0, zipfile.ZIP_DEFLATED, 0, 0x21, info.CRC,
            (0xFFFFFFFF, 0xFFFFFFFF, info.file_size, info.compress_size), info.orig_filename.encode("utf-8"),
        )  # fmt: skip
        if says != agrees:
            raise Fault(f"the header of {info.orig_filename} is not what the directory says")
        return self._file.tell()

    def _check_end(self, archive: zipfile.ZipFile, expected: int) -> None:
        """Refuse bytes before, between or behind what the directory names."""
        entries = sum(46 + len(each.orig_filename) + len(each.extra) for each in self._infos.values())
        count = len(self._infos)
        self._file.seek(expected + entries)
        end = self._file.read(99)
        ends = struct.pack(
            "<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, min(entries, 0xFFFFFFFF), min(expected, 0xFFFFFFFF), 0
        )
        if len(end) > len(ends):
            # Beyond 2 GiB another record and its locator stand before the end.
            ends = (
                struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, entries, expected)
                + struct.pack("<4sLQL", b"PK\x06\x07", 0, expected + entries, 1)
                + ends
            )
        if archive.start_dir != expected or end != ends:
            raise Fault("there is something around the members, or the directory's end is not as bundles are written")

    def size(self, name: str) -> int:
        """Return the number of bytes of a member, as its header says."""
        return self._infos[name].file_size

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of a member; raises Fault where they end early, go on too long or do not fit the checksum."""
        info = self._infos[name]
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        place, left, size, crc = self._begins[name], info.compress_size, 0, 0
        packed = b""
        while not inflate.eof:
            if not packed:
                self._file.seek(place)
                packed = self._file.read(min(left, CHUNK_BYTES))
                place, left = place + len(packed), left - len(packed)
                if not packed:
                    raise Fault(f"{name} is cut off")
            try:
                data = inflate.decompress(packed, CHUNK_BYTES)
            except zlib.error:
                raise Fault(f"{name} is damaged") from None
            packed = inflate.unconsumed_tail
            size += len(data)
            if size > info.file_size:
                raise Fault(f"{name} is longer than its header says")
            crc = zlib.crc32(data, crc)
            yield data
        if left or inflate.unused_data or size != info.file_size or crc != info.CRC:
            raise Fault(f"{name} is damaged")


def _extra_sizes(extra: bytes) -> dict[int, int]:
    """Return {kind: length} of the extra fields of a directory entry; kind 1 holds sizes beyond 4 GiB."""
    found: dict[int, int] = {}
    while extra:
        if len(extra) < 4:
            return {-1: len(extra)}
        kind, length = struct.unpack("<2H", extra[:4])
        if len(extra) < 4 + length or kind in found:
            return {-1: len(extra)}
        found[kind] = length
        extra = extra[4 + length :]
    return found


class Members:
    """The members of a container, each held against the manifest's digest as it is read."""

    def __init__(self, container: Container, report: Report) -> None:
        """Take the container whose members are to be read; the manifest is set once it has been read."""
        self.container = container
        self.report = report
        self.listed: dict[str, Any] = {}

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of a member; afterwards adds a finding when they are not those of the manifest."""
        digest, size = hashlib.sha256(), 0
        for chunk in self.container.chunks(name):
            digest.update(chunk)
            size += len(chunk)
            yield chunk
        if name in self.listed and self.listed[name] != {"bytes": size, "sha256": digest.hexdigest()}:
            self.report.add("digest", f"{name} is not what the manifest says")

    def content(self, name: str) -> bytes:
        """Return a member as a whole."""
        if self.container.size(name) > DOCUMENT_BYTES_MAX:
            raise Fault(f"{name} is too large")
        return b"".join(self.chunks(name))

    def document(self, name: str, kind: type, decoder: json.JSONDecoder = _exact_once) -> Any:
        """Return the value of a JSON member of the given kind (dict or list); raises Fault."""
        try:
            value = _decode(self.content(name), decoder)
        except Fault as error:
            raise Fault(f"{name}: {error}") from None
        if type(value) is not kind:
            raise Fault(f"{name} is no {'object' if kind is dict else 'array'}")
        return value

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield the lines of a member without their ends; raises Fault for one without end or beyond 64 MiB."""
        held: list[bytes] = []
        size = 0
        for chunk in self.chunks(name):
            *lines, rest = chunk.split(b"\n")
            if lines:
                lines[0] = b"".join([*held, lines[0]])
                yield from lines
                held, size = [], 0
            held.append(rest)
            size += len(rest)
            if size > LINE_BYTES_MAX:
                raise Fault(f"{name} has a line that is too long")
        if size:
            raise Fault(f"{name} ends within a line")


# Schemas -------------------------------------------------------------------------------------------------------------


def _is_date(value: str) -> bool:
    try:
        return len(value) == 10 and bool(date.fromisoformat(value))
    except ValueError:
        return False


_FORMATS: dict[str, Callable[[str], Any]] = {"uuid": _UUID.match, "decimal": _DECIMAL.match, "date": _is_date}
_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_number,
    "number": _is_number,
    "null": lambda value: value is None,
}


def misfit(value: Any, schema: Any, definitions: dict[str, Any], path: str = "data") -> str | None:
    """Return the first thing in which a value does not fit a JSON Schema, None when it fits.

    Looks at types, required and unknown fields, enumerations and the formats uuid, decimal and date.
    """
    while isinstance(schema, dict) and "$ref" in schema:
        schema = definitions.get(str(schema["$ref"]).rpartition("/")[2])
        if schema is not None and "$ref" in schema:
            return f"{path}: its schema goes in circles"
    if not isinstance(schema, dict):
        return f"{path}: its schema is missing"
    if "anyOf" in schema:
        problems = []
        for each in schema["anyOf"]:
            problem = misfit(value, each, definitions, path)
            if problem is None:
                return None
            problems.append(problem)
        return f"{path} fits none of its kinds: {'; '.join(problems)[:200]}"
    if "enum" in schema and not any(type(value) is type(each) and value == each for each in schema["enum"]):
        return f"{path} is none of {', '.join(map(str, schema['enum']))[:200]}"
    kind = schema.get("type")
    if kind is not None:
        if kind not in _TYPES:
            return f"{path}: its schema has the unknown type {kind}"
        if not _TYPES[kind](value):
            return f"{path} is no {kind}"
    form = _FORMATS.get(schema.get("format", ""))
    if form is not None and isinstance(value, str) and not form(value):
        return f"{path} is no {schema['format']}"
    if isinstance(value, dict):
        return _misfit_object(value, schema, definitions, path)
    if isinstance(value, list) and "items" in schema:
        for number, each in enumerate(value):
            problem = misfit(each, schema["items"], definitions, f"{path}[{number}]")
            if problem:
                return problem
    return None


def _misfit_object(value: dict[str, Any], schema: Any, definitions: dict[str, Any], path: str) -> str | None:
    fields, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            return f"{path}.{name} is missing"
    for name, each in value.items():
        if name in fields:
            problem = misfit(each, fields[name], definitions, f"{path}.{name}")
        elif others is False:
            return f"{path}.{name} is unknown"
        else:
            problem = misfit(each, others, definitions, f"{path}.{name}") if isinstance(others, dict) else None
        if problem:
            return problem
    return None


# Events --------------------------------------------------------------------------------------------------------------


class Chain:
    """Walks the events of a bundle once, in order."""

    def __init__(self, after: int, previous: str, anchors: list[dict[str, Any]], schemas: dict[Any, Any]) -> None:
        """Begin behind position `after`, whose hash is `previous` (hexadecimal)."""
        self.expected = after
        self.previous: bytes | None = bytes.fromhex(previous)
        self.last_hash = previous
        self.first_recorded_at: int | None = None
        self.recorded_at: int | None = None
        self.events = 0
        self._whole = after == 0
        self._schemas = schemas
        self._versions: dict[str, int] = {}
        self._anchors: dict[int, list[dict[str, Any]]] = {}
        for anchor in anchors:
            self._anchors.setdefault(anchor["position"], []).append(anchor)

    def take(self, line: bytes, report: Report) -> None:
        """Check the next event."""
        self.events += 1
        self.expected += 1
        try:
            event = self._event(line)
        except (Fault, ValueError, RecursionError) as error:
            report.add("events", f"{error}", self.expected)
            self.previous = None  # What stands behind it cannot be held against it.
            return
        position = event["position"]
        if position != self.expected:
            report.add("chain", f"this position stands where {self.expected} was due", position)
            self.expected = position
        columns = canonical([event[name] for name in (*COLUMNS, *([ROLE] if ROLE in event else []))])
        if self.previous is not None:
            made = hashlib.sha256(self.previous + columns + canonical(event["data"])).hexdigest()
            if made != event["hash"]:
                report.add("chain", "the hash is not that of this event behind the one before it", position)
        if self.recorded_at is not None and event["recorded_at"] <= self.recorded_at:
            report.add("chain", "recorded_at does not rise", position)
        self._check_version(event, report)
        self._check_data(event, report)
        for anchor in self._anchors.get(position, ()):
            if anchor["hash"] != event["hash"]:
                report.add("anchors", f"not the hash anchored on {anchor['anchored_at']}", position)
        if self.events == 1:
            self.first_recorded_at = event["recorded_at"]
        self.recorded_at = event["recorded_at"]
        self.last_hash = event["hash"]
        self.previous = bytes.fromhex(event["hash"])

    def _event(self, line: bytes) -> dict[str, Any]:
        event = _decode(line)
        if type(event) is not dict or set(event) - {ROLE} != {*COLUMNS, "data", "hash"}:
            raise Fault("not an event: other columns than those of HASH.md, data and hash")
        for name in COLUMNS:
            value = event[name]
            if value is None and name in OPTIONAL:
                continue
            if not (_is_number(value) if name in NUMBERS else isinstance(value, str)):
                raise Fault(f"{name} is no {'number' if name in NUMBERS else 'string'}")
            if name in IDS and not _UUID.match(value):
                raise Fault(f"{name} is no lower-case UUID with hyphens")
        if not isinstance(event.get(ROLE, ""), str):
            raise Fault(f"{ROLE} is no string")
        if not _is_hash(event["hash"]):
            raise Fault("hash is not 64 lower-case hexadecimal digits")
        if canonical(event) != line:
            raise Fault("not in canonical JSON: sorted keys, each once, no white space, no needless escapes")
        return event

    def _check_version(self, event: dict[str, Any], report: Report) -> None:
        before = self._versions.get(event["stream_id"], 0 if self._whole else None)
        if event["version"] < 1 or (before is not None and event["version"] != before + 1):
            report.add("streams", f"the versions of {event['stream_id']} are not in order", event["position"])
        self._versions[event["stream_id"]] = event["version"]

    def _check_data(self, event: dict[str, Any], report: Report) -> None:
        schema = self._schemas.get((event["type"], event["schema_version"]))
        if schema is None:
            report.add("schemas", f"none of {event['type']} version {event['schema_version']}", event["position"])
            return
        try:
            problem = misfit(event["data"], schema, schema.get("$defs", {}))
        except (RecursionError, AttributeError, TypeError):
            problem = "its schema cannot be read"
        if problem:
            report.add("schemas", f"{event['type']}: {problem}", event["position"])


# Anchors -------------------------------------------------------------------------------------------------------------


def _anchors(lines: Iterator[bytes], name: str) -> list[dict[str, Any]]:
    """Return the anchors of a file; raises Fault naming the line that is none."""
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            anchor = _decode(line, _exact_once)
        except Fault as error:
            raise Fault(f"{name}, line {number}: {error}") from None
        if not (
            type(anchor) is dict
            and set(anchor) == {"position", "hash", "anchored_at"}
            and _is_number(anchor["position"])
            and anchor["position"] >= 0
            and _is_hash(anchor["hash"])
            and isinstance(anchor["anchored_at"], str)
            and _moment(anchor["anchored_at"]) is not None
        ):
            raise Fault(f"{name}, line {number}: not an anchor (position, hash, anchored_at)")
        found.append(anchor)
    return found


def _moment(text: Any) -> datetime | None:
    """Return the time of ISO 8601 text with its offset, None when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return None if moment.tzinfo is None else moment


def _check_around(anchors: list[dict[str, Any]], manifest: dict[str, Any], report: Report, whose: str) -> None:
    """Hold anchors at and beyond the edges of the period against it; those within it meet their events."""
    period = manifest["period"]
    asked = period["asked_until"]
    beyond = before = 0
    for anchor in anchors:
        position, on = anchor["position"], anchor["anchored_at"]
        if position == period["after"]:
            if anchor["hash"] != manifest["previous_hash"]:
                report.add("anchors", f"the hash before the first event is not the one anchored on {on}", position)
        elif position < period["after"]:
            before += 1
        elif position > period["until"]:
            beyond += 1
            moment = _moment(asked)
            # An anchor may be a second older than its event, since it is kept in whole seconds.
            if asked is None or (_is_number(asked) and position <= asked):
                report.add("anchors", f"anchored on {on}, but the bundle claims that the log ends before", position)
            elif moment is not None and (_moment(on) or moment) + timedelta(seconds=1) <= moment:
                report.add("anchors", f"anchored on {on}, within the time asked for, but not in the bundle", position)
    if before or beyond:
        report.notes.append(f"{before + beyond} {whose} anchors are of positions outside this bundle.")


# The bundle ----------------------------------------------------------------------------------------------------------


def _check_manifest(manifest: dict[str, Any]) -> None:
    """Refuse a manifest that is not laid out as this program knows it."""
    wanted = {
        "format", "format_version", "hash_format_version", "opscore", "schema", "period", "previous_hash", "last_hash",
        "counts", "members",
    }  # fmt: skip
    if manifest.get("format") != FORMAT:
        raise Unreadable(f"not an {FORMAT}")
    versions = (manifest.get("format_version"), manifest.get("hash_format_version"))
    if versions != (FORMAT_VERSION, HASH_FORMAT_VERSION):
        raise Unreadable(f"a bundle of version {versions[0]} with hashes of version {versions[1]}: take its verifier")
    period: Any = manifest.get("period")
    members: Any = manifest.get("members")
    good = (
        set(manifest) == wanted
        and type(period) is dict
        and set(period) == {"after", "until", "asked_after", "asked_until", "first_recorded_at", "last_recorded_at"}
        and all(_is_number(period[name]) for name in ("after", "until"))
        and 0 <= period["after"] <= period["until"]
        and all(
            asked is None or _is_number(asked) or _moment(asked) is not None
            for asked in (period["asked_after"], period["asked_until"])
        )
        and type(members) is dict
        and all(type(each) is dict and set(each) == {"bytes", "sha256"} for each in members.values())
        and all(isinstance(manifest[name], str) for name in ("opscore", "schema"))
        and _is_hash(manifest["previous_hash"])
        and _is_hash(manifest["last_hash"])
    )
    if not good:
        raise Fault("manifest.json is not laid out as bundles are")
    if period["after"] == 0 and manifest["previous_hash"] != "0" * 64:
        raise Fault("manifest.json: the hash before position 1 is 32 zero bytes")
    for name in ("after", "until"):
        asked = period[f"asked_{name}"]
        if _is_number(asked) and asked != period[name]:
            raise Fault(f"manifest.json: position {asked} was asked for, not {period[name]}")


def _check_members(names: list[str], listed: dict[str, Any], report: Report) -> None:
    for name in sorted({*FIXED, *listed} - set(names)):
        report.add("members", f"{name} is missing")
    for name in sorted(set(names) - {*listed, "manifest.json"}):
        report.add("members", f"{name} is not in the manifest")
    for name in sorted(set(names) - set(FIXED)):
        if not (_SCHEMA.match(name) or _RULES.match(name)):
            report.add("members", f"{name} has no place in a bundle")


def _read_schemas(members: Members, report: Report) -> dict[Any, Any]:
    schemas = {}
    for name in members.container.names:
        match = _SCHEMA.match(name)
        if match is None:
            continue
        try:
            document = members.document(name, dict)
        except Fault as error:
            report.add("schemas", f"{error}")
            continue
        event, version = match[1], int(match[2])
        if (document.get("event"), document.get("version")) != (event, version) or type(
            document.get("schema")
        ) is not dict:
            report.add("schemas", f"{name} is of another event")
        schemas[event, version] = document.get("schema")
    return schemas


def _check_catalogue(members: Members, report: Report) -> dict[str, int]:
    """Hold the texts of the rules against the catalogue; return how many there are."""
    texts = {name for name in members.container.names if name.startswith("rules/")}
    for name in sorted(texts):
        for _ in members.chunks(name):
            pass
    entries = members.document("catalogue.json", list)
    named: set[str] = set()
    for entry in entries:
        try:
            of = f"{entry['name']} {entry['version']}"
            named |= {f"rules/{entry['name']}/v{entry['version']}/{file}" for file in entry["files"]}
            if entry["files"] and entry["digest"] != entry["digest_of_texts"]:
                report.add("rules", f"the texts of {of} are not those of its digest")
        except (KeyError, TypeError):
            report.add("rules", "catalogue.json has an entry without name, version, files or digests")
    for name in sorted(named ^ texts):
        report.add("rules", f"{name} is " + ("missing" if name in named else "of no version in the catalogue"))
    return {"rules": len(entries), "rule_texts": len(texts)}


def _check_compares(members: Members, report: Report) -> dict[str, int]:
    """Hold the kept rows against the comparisons they are of: all there, in order, with events up to its position."""
    compares = members.document("compares.json", list, _plain_once)
    left: list[dict[str, Any]] = []
    for entry in compares:
        numbers = ("position", "differing_rows", "rows_kept", "rows_with_events")
        if type(entry) is dict and isinstance(entry.get("id"), str) and all(_is_number(entry.get(n)) for n in numbers):
            left.append(entry)
            if not 0 <= entry["rows_kept"] <= entry["differing_rows"]:
                report.add("compares", f"of {entry['id']} more rows are kept than differ")
        else:
            report.add("compares", "compares.json has an entry without id, position or numbers of rows")
    known = {entry["id"]: entry for entry in left}
    found = dict.fromkeys(known, 0)
    order = {compare_id: place for place, compare_id in enumerate(known)}
    place = count = 0
    for line in members.lines("compare_rows.jsonl"):
        count += 1
        try:
            row = _decode(line, _plain_once)
            entry = known[row["compare_id"]]
            found[entry["id"]] += 1
            problem = _misfit_row(row, entry, found[entry["id"]])
            if order[entry["id"]] < place:
                problem = "stands behind those of another comparison"
            place = order[entry["id"]]
        except (Fault, KeyError, TypeError) as error:
            report.add("compares", f"compare_rows.jsonl, line {count}: no row of a comparison here ({error})")
            continue
        if problem:
            report.add("compares", f"row {row['number']} of {entry['id']} {problem}")
    for compare_id, entry in known.items():
        if found[compare_id] != entry["rows_kept"]:
            report.add("compares", f"of {compare_id} {found[compare_id]} rows are here, not {entry['rows_kept']}")
    return {"compares": len(compares), "compare_rows": count}


def _misfit_row(row: dict[str, Any], entry: dict[str, Any], due: int) -> str | None:
    if set(row) != {"compare_id", "number", "table_name", "key", "old", "new", "events"}:
        return "has other fields"
    if not _is_number(row["number"]) or row["number"] != due:
        return f"stands where {due} was due"
    if not (isinstance(row["table_name"], str) and type(row["key"]) is dict):
        return "is of no table or has no key"
    if row["old"] == row["new"] or not all(type(row[side]) in (dict, type(None)) for side in ("old", "new")):
        return "does not differ"
    events = row["events"]
    if (events is not None) != (due <= entry["rows_with_events"]):
        return "has events where none were kept, or none where they were"
    before = 0
    for event in events or ():
        if not (type(event) is list and len(event) == 3 and _is_number(event[0])):
            return "has an event that is not [position, old, new]"
        if not max(before, 1) <= event[0] <= entry["position"]:
            return "has an event out of order, or behind the position of the comparison"
        before = event[0]
    return None


def _check_promotions(members: Members, report: Report) -> int:
    """Hold the promotions against each other, the catalogue and the comparisons; return how many there are."""
    promotions = members.document("promotions.json", list)
    versions = {
        (entry.get("name"), entry.get("version"))
        for entry in members.document("catalogue.json", list)
        if type(entry) is dict and isinstance(entry.get("name"), str) and _is_number(entry.get("version"))
    }
    compares = {
        entry["id"]: entry
        for entry in members.document("compares.json", list, _plain_once)
        if type(entry) is dict and isinstance(entry.get("id"), str)
    }
    last: dict[str, Any] = {}
    elsewhere = 0
    for entry in promotions:
        try:
            name, number, version = entry["name"], entry["number"], entry["version"]
            of = f"promotion {number} of {name}"
            if _moment(entry["promoted_at"]) is None or not (_is_number(number) and _is_number(entry["position"])):
                raise TypeError
            if (name, version) not in versions:
                report.add("promotions", f"{of}: version {version} is not in the catalogue")
            before = last.get(name)
            if before is not None:
                if number != before["number"] + 1:
                    report.add("promotions", f"{of} stands where {before['number'] + 1} was due")
                if entry["from_version"] not in (None, before["version"]):
                    report.add("promotions", f"{of}: version {before['version']} served before it")
                if entry["position"] < before["position"]:
                    report.add("promotions", f"{of} is of an earlier position than the one before it")
            compare_id = entry["compare_id"]
            compared = compares.get(compare_id)
            elsewhere += compare_id is not None and compared is None
            if compared is not None and {compared["old_version"], compared["new_version"]} != {
                version,
                entry["from_version"],
            }:
                report.add("promotions", f"{of} relies on a comparison of other versions")
            last[name] = entry
        except (KeyError, TypeError):
            report.add("promotions", "promotions.json has an entry without name, number, version, time or position")
    if elsewhere:
        report.notes.append(f"{elsewhere} promotions rely on comparisons that are not of this period.")
    return len(promotions)


def check(container: Container, outside: list[dict[str, Any]], digest: str | None, report: Report) -> None:
    """Check a bundle against itself, anchors from outside and the manifest's SHA-256; findings go to the report."""
    members = Members(container, report)
    if "manifest.json" not in container.names:
        raise Unreadable("there is no manifest.json in it")
    manifest_digest = hashlib.sha256(members.content("manifest.json")).hexdigest()
    if digest is not None and digest != manifest_digest:
        report.add("digest", f"the manifest's SHA-256 is {manifest_digest}, not the one given")
    manifest = members.document("manifest.json", dict)
    _check_manifest(manifest)
    members.listed = manifest["members"]
    _check_members(container.names, members.listed, report)
    missing = [name for name in FIXED if name not in container.names]
    if missing:
        return
    period = manifest["period"]

    schemas = _read_schemas(members, report)
    inside = _anchors(members.lines("anchors.jsonl"), "anchors.jsonl")
    chain = Chain(period["after"], manifest["previous_hash"], inside + outside, schemas)
    for line in members.lines("events.jsonl"):
        chain.take(line, report)
    if chain.expected != period["until"]:
        report.add("chain", f"the events end here, not at {period['until']}", chain.expected)
    if chain.last_hash != manifest["last_hash"]:
        report.add("chain", "the last hash is not the manifest's", chain.expected)
    if (chain.first_recorded_at, chain.recorded_at) != (period["first_recorded_at"], period["last_recorded_at"]):
        report.add("manifest", "the times of the first and last event are others")
    _check_around(inside, manifest, report, "of the bundle's own")
    _check_around(outside, manifest, report, "of the outside")

    counts = {"anchors": len(inside), "events": chain.events, "schemas": len(schemas)}
    counts.update(_check_catalogue(members, report))
    counts.update(_check_compares(members, report))
    counts["promotions"] = _check_promotions(members, report)
    counts["kpis"] = len(members.document("kpis.json", list, _plain_once))
    if counts != manifest["counts"]:
        report.add("manifest", f"the counts are {counts}, not {manifest['counts']}")
    members.content("HASH.md")
    with open(__file__, "rb") as own:
        if members.content("verify_bundle.py") != own.read():
            report.notes.append("The verifier in the bundle is another one than this.")
    report.notes += [
        f"Schema {manifest['schema']} of opscore {manifest['opscore']}: {chain.events} events, positions"
        f" {period['after'] + 1} to {period['until']}; {len(inside)} anchors inside, {len(outside)} from outside.",
        f"Asked for: after {period['asked_after'] or 'nothing'}, until {period['asked_until'] or 'the head'}.",
        f"The last hash is {chain.last_hash}, the manifest's SHA-256 {manifest_digest}.",
    ]
    if period["after"]:
        report.notes.append(
            f"The hash at position {period['after']} is taken as given; the bundle before vouches for it."
        )
    if not outside:
        report.notes.append("Without an anchor kept elsewhere this shows only that the events agree with themselves.")
    if digest is None:
        report.notes.append(
            "Without --digest, rules, schemas, comparisons, promotions and definitions are only those that the manifest"
            " names."
        )


def main(words: list[str] | None = None) -> int:
    """Check the bundle that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description="Check an audit bundle of opscore.")
    parser.add_argument("bundle", help="the .zip")
    parser.add_argument("--anchors", help="file of anchors that was kept outside the database (JSON lines)")
    parser.add_argument("--digest", help="SHA-256 of the manifest, as the export printed it", type=str.lower)
    given = parser.parse_args(words)
    report = Report()
    try:
        outside: list[dict[str, Any]] = []
        if given.digest is not None and not _is_hash(given.digest):
            raise Unreadable("--digest is not 64 hexadecimal digits")
        if given.anchors is not None:
            with open(given.anchors, "rb") as file:
                try:
                    outside = _anchors(iter(file.read().splitlines()), given.anchors)
                except Fault as error:
                    raise Unreadable(str(error)) from None
            if not outside:
                raise Unreadable(f"{given.anchors} holds no anchor")
        with open(given.bundle, "rb") as file:
            try:
                check(Container(file), outside, given.digest, report)
            except Fault as error:
                report.add("bundle", f"{error}")
    except (OSError, Unreadable) as error:
        sys.stderr.write(_printable(f"{given.bundle} cannot be checked: {error}") + "\n")
        return 2
    lines = list(report.findings)
    if report.more:
        lines.append(f"... and {report.more} more")
    lines += report.notes
    count = len(report.findings) + report.more
    lines.append(f"{count} findings: this bundle does NOT hold." if count else "Everything holds.")
    for line in lines:
        sys.stdout.write(_printable(line) + "\n")
    return 1 if count else 0


def _printable(text: str) -> str:
    """Return text that a terminal shows and does not obey, whatever a forger wrote into it."""
    return "".join(each if " " <= each <= "~" else each.encode("unicode_escape").decode("ascii") for each in text)


if __name__ == "__main__":
    sys.exit(main())

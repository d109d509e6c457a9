"""Reads SQL files of named statements and rewrites the names in them; a tokenizer, not a parser.

A file holds statements, each ended by a semicolon and preceded by `-- name: what it does in one line`. Parameters are
written `:name`. A table, index, type or function that the folder creates is rewritten to a name of its own schema and
version when it is loaded, wherever the bare word stands; so such a name may be used for nothing else in the folder.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
      (?P<word>[A-Za-z_]\w*)
    | (?P<space>\s+)
    | (?P<comment>--[^\n]*|/\*.*?\*/)
    | (?P<dollar>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<cast>::)
    | (?P<parameter>:[A-Za-z_]\w*)
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_IN_PART = re.compile(r"\bin_part\(([\w.]+)\)")
_HEADER = re.compile(r"--\s*([a-z][a-z0-9_]*):\s+(\S.*)")
_CREATES = re.compile(
    r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:UNLOGGED\s+)?(TABLE|VIEW|TYPE|FUNCTION|AGGREGATE|UNIQUE\s+INDEX|INDEX)\s+(\w+)",
    re.IGNORECASE,
)


class Token(NamedTuple):
    """One piece of SQL text: `kind` is a group name of the tokenizer, `text` the characters."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A named statement: `name`, its one-line `description`, and the SQL without comments or the closing semicolon."""

    name: str
    description: str
    sql: str

    @property
    def words(self) -> frozenset[str]:
        """Return every bare word of the statement, in lower case."""
        return _contents(self.sql).words

    @property
    def names(self) -> frozenset[str]:
        """Return the bare words that follow no dot, in lower case: what may be a table, unlike `card.points_earned`."""
        return _contents(self.sql).names

    @property
    def strings(self) -> frozenset[str]:
        """Return what stands in quotes as a text."""
        return _contents(self.sql).strings

    @property
    def parameters(self) -> frozenset[str]:
        """Return the names of the `:parameters`."""
        return _contents(self.sql).parameters


@dataclass(frozen=True, slots=True)
class _Contents:
    words: frozenset[str]
    names: frozenset[str]
    strings: frozenset[str]
    parameters: frozenset[str]


@lru_cache(maxsize=1024)
def _contents(sql: str) -> _Contents:
    """Return what occurs in a statement; the same text is taken apart once, whoever asks for whatever of it."""
    words: set[str] = set()
    names: set[str] = set()
    strings: set[str] = set()
    parameters: set[str] = set()
    before = ""
    for kind, text in _pieces(sql):
        if kind == "word":
            words.add(text.lower())
            if before != ".":
                names.add(text.lower())
        elif kind == "string":
            strings.add(text[1:-1].replace("''", "'"))
        elif kind == "parameter":
            parameters.add(text[1:])
        if kind not in {"space", "comment"}:
            before = text
    return _Contents(frozenset(words), frozenset(names), frozenset(strings), frozenset(parameters))


class SqlFileError(ValueError):
    """A SQL file of a projection does not read as it should; the message says where and how to mend it."""


def tokens(text: str) -> Iterator[Token]:
    """Cut SQL text into tokens; joined again they are the text."""
    return itertools.starmap(Token, _pieces(text))


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Cut SQL text into tokens that are plain pairs, which takes a third of the time: texts are taken apart often."""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        assert kind is not None
        yield "dollar" if kind == "tag" else kind, match[0]


@lru_cache(maxsize=1024)
def statements(text: str, file: str) -> tuple[Statement, ...]:
    """Read the named statements of a file, in order; the same text is taken apart once.

    Raises `SqlFileError` for a statement without its `-- name: description` line, two of one name, or `SELECT *`.
    """
    found: list[Statement] = []
    header: tuple[str, str] | None = None
    body: list[tuple[str, str]] = []
    for kind, piece in itertools.chain(_pieces(text), [("other", ";")]):
        if kind == "comment":
            match = _HEADER.match(piece)
            if match and header is None and not body:
                header = (match[1], match[2].strip())
            elif body:
                body.append(("space", " "))
        elif piece == ";":
            if any(kind != "space" for kind, _ in body):
                sql = "".join(text for _, text in body).strip()
                if header is None:
                    raise SqlFileError(f"{file}: write '-- name: description' above the statement '{sql[:60]}'")
                if any(other.name == header[0] for other in found):
                    raise SqlFileError(f"{file}: two statements are named {header[0]}; rename one")
                _refuse_star(body, file, header[0])
                found.append(Statement(header[0], header[1], sql))
            header, body = None, []
        elif body or kind != "space":
            body.append((kind, piece))
    return tuple(found)


def _refuse_star(body: list[tuple[str, str]], file: str, name: str) -> None:
    """Refuse `SELECT *` and `alias.*`: a column that is added later must not slip into a figure."""
    for before, text in itertools.pairwise(text for kind, text in body if kind != "space"):
        if text == "*" and before.lower() in {"select", ".", "distinct"}:
            raise SqlFileError(f"{file}: {name} selects '*'; name the columns")


def union(sql: str) -> tuple[str, list[str], str] | None:
    """Take a statement that reads `FROM (a UNION ALL b ...)` apart: what stands before, the branches, and what after.

    None for a statement that reads from no such brackets.
    """
    pieces = list(_pieces(sql))
    text = [piece for _, piece in pieces]
    bounds: list[int] = []
    depth, last = 0, -1
    for at, (kind, piece) in enumerate(pieces):
        before = text[last].lower() if last >= 0 else ""
        if piece == "(":
            depth += 1
            if depth == 1 and before == "from":
                bounds = [at + 1]
        elif piece == ")":
            depth -= 1
            if depth == 0 and len(bounds) > 1:
                bounds.append(at)
                branches = ["".join(text[begin:end]) for begin, end in zip(bounds[::2], bounds[1::2], strict=True)]
                return "".join(text[: bounds[0]]), branches, "".join(text[at:])
        elif depth == 1 and bounds and (before, piece.lower()) == ("union", "all"):
            bounds += [last, at + 1]
        if kind not in {"space", "comment"}:
            last = at
    return None


def selected(sql: str) -> list[list[str]]:
    """Return what a SELECT, its WITH apart, lists before its FROM: of each the words and marks, without blanks."""
    found: list[list[str]] = [[]]
    depth, listing = 0, False
    for kind, text in _pieces(sql):
        if kind in {"space", "comment"}:
            continue
        depth += (text in {"(", "["}) - (text in {")", "]"})
        if not listing:
            listing = depth == 0 and text.lower() == "select"
        elif depth == 0 and text.lower() == "from":
            break
        elif depth == 0 and text == ",":
            found.append([])
        else:
            found[-1].append(text)
    return found


def created_name(sql: str) -> tuple[str, str] | None:
    """Return (kind, name) of what a CREATE statement makes, in lower case; None for any other statement."""
    match = _CREATES.match(sql)
    if match is None:
        return None
    return " ".join(match[1].lower().split()), match[2].lower()


def qualify(sql: str, names: Mapping[str, str], *, bodies: bool = False) -> str:
    """Replace each bare word that is a key of `names` by its value.

    Left alone: words after a dot (columns), after AS (aliases), in strings, and in dollar quotes unless `bodies`.
    """
    out: list[str] = []
    before = ""
    for kind, piece in _pieces(sql):
        text = piece
        if kind == "word" and before not in {".", "as"}:
            text = names.get(text.lower(), text)
        elif kind == "dollar" and bodies:
            mark = text[: text.index("$", 1) + 1]
            text = mark + qualify(text[len(mark) : -len(mark)], names, bodies=True) + mark
        out.append(text)
        if kind not in {"space", "comment"}:
            before = piece.lower()
    return "".join(out)


def bind(sql: str) -> str:
    """Return the text as psycopg wants it: `:name` becomes `%(name)s`, a percent sign is doubled."""
    return "".join(f"%({text[1:]})s" if kind == "parameter" else text.replace("%", "%%") for kind, text in _pieces(sql))


def bind_window(sql: str) -> str:
    """Return the text with the window's bounds as $1 and $2, as the server itself takes them; a part as $3 and $4."""
    places = {
        ":window_from": "$1::bigint",
        ":window_to": "$2::bigint",
        ":first_stream": "$3::uuid",
        ":last_stream": "$4::uuid",
    }
    return "".join(places.get(text, text) if kind == "parameter" else text for kind, text in _pieces(sql))


def with_parts(sql: str, in_part: str | None) -> str:
    """Replace each `in_part(column)` by a condition with `{stream_id}` for the column; None: there are no parts."""
    return _IN_PART.sub(lambda found: "true" if in_part is None else f"({in_part.format(stream_id=found[1])})", sql)


def canonical(text: str) -> str:
    """Return the text without comments and with single blanks: what a change of rule changes."""
    return " ".join(piece for kind, piece in _pieces(text) if kind not in {"space", "comment"})

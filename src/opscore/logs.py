"""Structured logs: one JSON object a line, at a terminal a line to read, and nothing in it that belongs to a person.

Messages of exceptions are left out: the database quotes the values of a failing row in them. What is kept is the type,
the SQLSTATE, the errno by its name, such as ENOSPC, and the stack.
"""

from __future__ import annotations

import errno
import logging
import sys
import traceback
from collections.abc import Callable
from typing import Any

import orjson
import structlog

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
FRAMES_KEPT = 12
TALKATIVE = ("uvicorn", "websockets", "httpcore", "httpx")
"""Libraries that write down whole messages at DEBUG, tokens and all."""


def exception_facts(error: BaseException) -> dict[str, Any]:
    """Return what may be logged of an exception: type, SQLSTATE or the system's errno, and stack; never its message."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "sqlstate": getattr(error, "sqlstate", None),
        "errno": errno.errorcode.get(error.errno or 0) if isinstance(error, OSError) else None,
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-FRAMES_KEPT:]],
    }


def as_json(facts: dict[str, Any]) -> str:
    """Return the facts of a record as one line for programs."""
    return orjson.dumps(facts, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def as_text(facts: dict[str, Any]) -> str:
    """Return the facts of a record as a line for whoever looks at the terminal, with the stack below if there is one.

    What the terminal would take for a command to itself is written as its escape.
    """
    rest = dict(facts)
    frames = rest.pop("frames", [])
    moment, level, _, event = (rest.pop(name) for name in ("timestamp", "level", "logger", "event"))
    named = [f"{name}={value}" for name, value in rest.items() if value is not None]
    lines = [" ".join([moment[11:19], f"{level:<7}", event, *named]), *(f"    {frame}" for frame in frames)]
    return "\n".join("".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line) for line in lines)


class LineFormatter(logging.Formatter):
    """Formats a record of the standard library, its `extra` fields included."""

    def __init__(self, write: Callable[[dict[str, Any]], str] = as_json) -> None:
        """Write lines with `write`, such as `as_json` or `as_text`."""
        super().__init__()
        self._write = write

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Arguments that are exceptions are written as their type."""
        arguments = record.args
        if isinstance(arguments, tuple):
            arguments = tuple(type(each).__name__ if isinstance(each, BaseException) else each for each in arguments)
        try:
            event = str(record.msg) % arguments if arguments else str(record.msg)
        except (TypeError, ValueError):
            event = str(record.msg)
        facts: dict[str, Any] = {
            "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event,
        }
        facts.update({name: value for name, value in vars(record).items() if name not in _STANDARD})
        if record.exc_info and record.exc_info[1] is not None:
            facts.update(exception_facts(record.exc_info[1]))
        return self._write(facts)


def configure(level: str = "INFO", *, write: Callable[[dict[str, Any]], str] | None = None) -> None:
    """Send every log of this process to standard error: written by `write`, or as text at a terminal, else as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(write or (as_text if sys.stderr.isatty() else as_json)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.stdlib.render_to_log_kwargs,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )

"""The write path: decides one command at a time, commits many at a time.

One writer per process, with its own thread and connection. A batch is one transaction: it locks the log, so that from
there to the commit this tenant has one writer and a decision may look at anything; it takes in what other processes
appended since; it decides each command on current state, the batch's earlier commands included; it appends, commits,
and only then answers. There is no conflict to retry and nothing is decided outside the lock.

`requests` is what goes in and what comes out, `queue` where it waits, `state` what is decided on, `writer` the loop.
"""

from opscore.writer.queue import Busy
from opscore.writer.requests import NotDeciding, Outcome, Refused, Request, Unavailable
from opscore.writer.writer import Batch, Writer, WriterStatistics

__all__ = [
    "Batch",
    "Busy",
    "NotDeciding",
    "Outcome",
    "Refused",
    "Request",
    "Unavailable",
    "Writer",
    "WriterStatistics",
]

"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def appearing(file: Path) -> Iterator[IO[bytes]]:
    """Give a file to write that gets its name once it is whole and on the disk; after any failure there is none.

    Only its owner may read it: whom else it is for is not decided here. Raises FileExistsError where something else
    than a plain file is, such as a device or a pipe: it would be replaced. A link stays; what it leads to is made.
    """
    if file.exists() and not file.is_file():
        raise FileExistsError(errno.EEXIST, "There is something that is no plain file", str(file))
    file = file.resolve()  # A link stays, /dev/stdout too: what it leads to is replaced.
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".part", dir=file.parent)
    os.close(handle)
    try:
        # Opened by its name, which `out.name` then is: some writers want to be told where.
        with open(name, "w+b") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # The new name has to last as well.
    finally:
        os.close(folder)

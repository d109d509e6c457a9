"""What tests of the whole start from: a store set up through a writer of the test's own, beside the servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from opscore.database import Database
from opscore.settings import Settings
from opscore.writer import Writer
from tests.shop import Shop


@pytest.fixture
def writer(database: Database, settings: Settings) -> Iterator[Writer]:
    """A writer in this process, one more beside those of the servers."""
    writer = Writer(database, settings)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()


@pytest.fixture
def shop(writer: Writer) -> Shop:
    """An open store."""
    return Shop.open(writer)

"""A log to write to, and the projections over it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from opscore.database import Database
from opscore.projector import Projector
from tests.projections.logs import Log


@pytest.fixture
def log(database: Database) -> Log:
    """The log of this test's own database."""
    return Log(database)


@pytest.fixture
def projector(database: Database) -> Projector:
    """The projections of the repository over this test's own database."""
    return Projector(database)


@pytest.fixture
def connection(projector: Projector) -> Iterator[psycopg.Connection[Any]]:
    """A connection as the projector uses it."""
    with projector.connect() as opened:
        yield opened

"""A store, a receiver on loopback, and deliveries whose clock the test holds: nothing here waits for time to pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from opscore.database import Database
from opscore.settings import Settings
from opscore.webhooks.book import Answer, Webhook, WebhookBook
from opscore.webhooks.delivery import Delivery
from opscore.writer import Writer
from tests.shop import OWNER, Shop
from tests.webhooks.receiver import Receiver


@pytest.fixture
def settings(new_settings: Callable[[], Settings]) -> Settings:
    """Settings that let webhooks go to this machine, and give up after four tries."""
    return new_settings().model_copy(update={"webhook_loopback": True, "webhook_tries": 4})


@pytest.fixture
def writer(database: Database, settings: Settings) -> Iterator[Writer]:
    writer = Writer(database, settings)
    writer.start()
    yield writer
    writer.stop()


@pytest.fixture
def shop(writer: Writer) -> Shop:
    return Shop.open(writer)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as listening:
        yield listening


@dataclass
class Clock:
    """A clock that goes when it is told to."""

    at: datetime = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def go(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@dataclass
class Post:
    """Webhooks and their delivery, at the test's own time, with the longest wait each time."""

    book: WebhookBook
    delivery: Delivery
    clock: Clock
    database: Database

    def register(self, url: str, key: str = "k", **more: Any) -> Answer:
        return self.book.register(OWNER, key, url, **more)

    def one(self, webhook_id: UUID) -> Webhook:
        found = self.book.one(OWNER, webhook_id)
        assert found is not None
        return found

    def events(self, *types: str) -> list[int]:
        """Return the positions of all events of these types, of all events for none."""
        with self.database.connect() as connection:
            rows = connection.execute("SELECT position, type FROM events ORDER BY position").fetchall()
        return [position for position, type_ in rows if not types or type_ in types]


@pytest.fixture
def post(database: Database, clock: Clock) -> Post:
    return Post(WebhookBook(database, clock), Delivery(database, clock=clock, chance=lambda: 1.0), clock, database)

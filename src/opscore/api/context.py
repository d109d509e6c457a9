"""What resolvers may use: who asks, and the parts of the server that answer."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import psycopg
from strawberry.dataloader import DataLoader

from opscore.api.errors import BadInput, DatabaseAway, NotReady, TimedOut
from opscore.api.gathering import Gathering
from opscore.api.reaching import Reaching
from opscore.api.reads import StreamKinds
from opscore.comparisons import Comparisons
from opscore.database import Database, is_away
from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Actor, Role
from opscore.log.batches import FoldedAggregates
from opscore.log.event_log import EventLog, LoggedEvent
from opscore.projector import Behind, Outdated, ProjectionRefused
from opscore.tokens import TokenBook
from opscore.works import Works
from opscore.writer import Writer

if TYPE_CHECKING:
    from opscore.api.live import Live
    from opscore.domain.store import Store
    from opscore.projector import Projector

ResultT = TypeVar("ResultT")
AggregateT = TypeVar("AggregateT", bound=Aggregate)

READ_THREADS = 4
FOLDED_KEPT = 2_000
"""Aggregates that are kept for readers; a page has a hundred at the most."""


@dataclass(slots=True)
class Services:
    """The parts of this process that the API stands on."""

    database: Database
    log: EventLog
    writer: Writer | None
    projector: Projector | None
    tokens: TokenBook
    live: Live | None = None
    until: int | None = None
    """The position of the replay that is asked, which aggregates are shown as of; None: as they are now."""
    works: Works = field(default_factory=Works)
    kinds: StreamKinds = field(default_factory=StreamKinds)
    threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(READ_THREADS, thread_name_prefix="opscore-read")
    )

    doorman: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="opscore-doorman")
    )
    """Waits for the identity provider, so that nobody else has to when it is slow."""

    folded: FoldedAggregates = field(init=False)
    """Where aggregates are read as they are now."""

    reaching: Reaching = field(init=False)
    """Those who wait for a read model."""

    _gathering: dict[type[Aggregate], Gathering[UUID, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folded = FoldedAggregates(self.database.pool.connection, FOLDED_KEPT)
        self.reaching = Reaching(lambda: self._in_thread(self.read_models.checkpoints))

    async def read(self, work: Callable[..., ResultT], *arguments: Any) -> ResultT:
        """Run a blocking read beside the event loop and return its result.

        A read that finds its read model behind what it was asked for is run again when that is there; see `Reaching`.
        Raises TimedOut when a statement of it is cancelled, NotReady where a version serves that is too old for what is
        asked, DatabaseAway.
        """
        while True:
            try:
                return await self._in_thread(work, *arguments)
            except Behind as behind:
                await self.reaching.until(behind)
            except Outdated as outdated:
                raise NotReady(str(outdated)) from None
            except psycopg.errors.QueryCanceled:
                raise TimedOut from None

    async def _in_thread(self, work: Callable[..., ResultT], *arguments: Any) -> ResultT:
        # The deadline of the request goes with it.
        return await self._run(self.threads, contextvars.copy_context().run, work, *arguments)

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[..., ResultT], *arguments: Any) -> ResultT:
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, work, *arguments)
        except psycopg.Error as error:
            if is_away(error):
                raise DatabaseAway from error
            raise

    async def current(self, kind: type[AggregateT], stream_id: UUID) -> AggregateT | None:
        """Return an aggregate as it is now, read together with what other requests ask for; as of `until` if set."""
        if self.until is not None:
            return await self.read(partial(self.log.aggregate, kind, stream_id, position=self.until))
        gathering = self._gathering.get(kind)
        if gathering is None:

            async def read(stream_ids: Sequence[UUID]) -> Mapping[UUID, AggregateT]:
                return await self.read(self.folded.load, kind, stream_ids)

            gathering = self._gathering[kind] = Gathering(read, unavailable=(DatabaseAway, TimedOut))
        found: AggregateT | None = await gathering.get(stream_id)
        return found

    async def identify(self, authorization: str, role: str | None = None) -> Actor:
        """Return who sends a token, asking whoever knows; raises TokenRefused, RoleNotHeld, DatabaseAway."""
        threads = self.doorman if self.tokens.is_foreign(authorization) else self.threads
        return await self._run(threads, self.tokens.ask, authorization, role)

    def of_replay(self, replay: str) -> Services:
        """Return the same with the copies of a replay in place of what serves (blocking); raises BadInput."""
        try:
            projector, until = self.read_models.of_replay(replay)
        except ProjectionRefused as refused:
            raise BadInput(str(refused)) from None
        return replace(self, projector=projector, until=until)

    @property
    def read_models(self) -> Projector:
        """The projector; raises NotReady in a process that has none."""
        if self.projector is None:
            raise NotReady("This server serves no read models.")
        return self.projector

    @property
    def comparisons(self) -> Comparisons:
        """The comparisons that were asked for; raises NotReady in a process without read models."""
        return Comparisons(self.database, self.read_models, self.works)

    @property
    def follow(self) -> Live:
        """What subscriptions follow; raises NotReady in a process that watches nothing."""
        if self.live is None:
            raise NotReady("This server watches nothing.")
        return self.live


@dataclass(slots=True)
class Context:
    """One request: who asks, under which id, and of which services."""

    services: Services
    actor: Actor | None
    request_id: str
    stores: DataLoader[UUID, Store | None] | None = None
    """The stores that this request has needed, for what is asked of many objects alike."""
    events: DataLoader[int, LoggedEvent | None] | None = None
    """The events that answers to this request's commands show."""
    histories: DataLoader[Any, Any] | None = None
    """The histories that this request asks for, for the same reason."""
    numbers: DataLoader[UUID, str | None] | None = None
    """The numbers of orders that are named by what it asks for, likewise."""
    notes: DataLoader[tuple[UUID, str], str | None] | None = None
    """What notes that it asks for say, by whose they are and as they are sealed."""

    @property
    def viewer(self) -> Actor:
        """The actor; the engine lets nobody anonymous get as far as a resolver."""
        assert self.actor is not None
        return self.actor

    @property
    def store_ids(self) -> list[UUID] | None:
        """The stores whose rows this request may see, for every statement; None: all."""
        stores = self.viewer.stores
        return None if stores is None else sorted(stores)

    @property
    def customer_id(self) -> UUID | None:
        """The one customer whose rows this request may see; None: no such bound."""
        viewer = self.viewer
        return viewer.customer_id if viewer.role is Role.CUSTOMER else None

    def event_at(self, position: int) -> Awaitable[LoggedEvent | None]:
        """Return the event at a position, read together with the others that this request asks for."""
        if self.events is None:

            async def load(positions: list[int]) -> list[LoggedEvent | None]:
                found = {event.position: event for event in await self.services.read(self.services.log.at, positions)}
                return [found.get(each) for each in positions]

            self.events = DataLoader(load_fn=load)
        return self.events.load(position)

    def narrowed(self, wanted: Sequence[UUID] | None) -> list[UUID] | None:
        """Return the stores to look into: those asked for that the viewer may see; None: all."""
        own = self.viewer.stores
        if wanted is None:
            return self.store_ids
        return [each for each in wanted if own is None or each in own]

"""What a command is, who sends it, and the desk at which it is decided.

A command is an intention with checked fields. `decide` reads aggregates through its unit of work, runs every check of
every aggregate it needs, and only then records events: after the first event nothing may refuse. It is deterministic:
time, actor, ids and ciphertext come from the unit of work.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast
from uuid import UUID

from opscore.domain.aggregate import AGGREGATE_CLASSES, Aggregate, Event
from opscore.domain.refusals import (
    AlreadyExists,
    InvalidField,
    NotAuthorised,
    NotFound,
    ReferenceTaken,
    Refusal,
    StaleVersion,
    WrongState,
)
from opscore.domain.values import Value, derived_id

if TYPE_CHECKING:
    from opscore.domain.campaign import Campaign
    from opscore.domain.customer import Customer
    from opscore.domain.order import Order
    from opscore.domain.sku import Sku
    from opscore.domain.store import Store

COMMANDS: dict[str, type[Command]] = {}
"""Every command by its name on the wire (`placeOrder`)."""

COMMON_REFUSALS: tuple[type[Refusal], ...] = (NotFound, NotAuthorised, WrongState, StaleVersion, InvalidField)
"""Refusals that any command may answer with; `REFUSES` of a command names the others."""

AggregateT = TypeVar("AggregateT", bound=Aggregate)


class Role(enum.StrEnum):
    """What somebody is to the operator."""

    OWNER = "owner"
    MANAGER = "manager"
    SERVICE = "service"
    AFTER_SALES = "after_sales"
    EDITOR = "editor"
    PROMOTER = "promoter"
    WAREHOUSE = "warehouse"
    FINANCE = "finance"
    AUDITOR = "auditor"
    PLATFORM = "platform"
    STOREFRONT = "storefront"
    CUSTOMER = "customer"
    SYSTEM = "system"


ALWAYS = frozenset({Role.OWNER, Role.PLATFORM, Role.SYSTEM})
"""Roles that may give every command, ask every question and see every field."""


READ, WRITE = "read", "write"
"""Scopes that take in every question, and every command, that the role may."""


class Origin(enum.StrEnum):
    """Whether a command was given as things happened or books what happened before."""

    LIVE = "live"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who gives a command: a pseudonymous id, a role, and the stores they may act for (None: all)."""

    id: str
    role: Role
    stores: frozenset[UUID] | None = None
    customer_id: UUID | None = None
    held: tuple[Role, ...] = ()
    """The roles that they may act in, this one among them; a request is made in one. Empty: there is but this one."""
    scopes: frozenset[str] | None = None
    """What their token was given for, of all that the role may: `read`, `write`, names in the schema (None: all)."""

    def covers(self, kind: str, name: str) -> bool:
        """Say whether the token is good for something. kind: `read` or `write`. name: of the question or command."""
        return self.scopes is None or kind in self.scopes or name in self.scopes

    def may_act_for(self, store_id: UUID) -> bool:
        """Say whether this actor's scope takes in the store."""
        return self.stores is None or store_id in self.stores

    def may_know(self, aggregate: Aggregate) -> bool:
        """Say whether it is nobody else's own: a customer knows no other customer and no other's order."""
        own_id = _OWN_ID.get(aggregate.STREAM_TYPE)
        return (
            self.role is not Role.CUSTOMER
            or own_id is None
            or (self.customer_id is not None and getattr(aggregate, own_id) == self.customer_id)
        )

    def may_see(self, aggregate: Aggregate) -> bool:
        """Say whether it is seen in one of this actor's stores, and nobody else's own; buyers see what is on offer."""
        return self._reaches(aggregate, aggregate.offered_in if self.role is Role.CUSTOMER else aggregate.seen_in)

    def may_name(self, aggregate: Aggregate) -> bool:
        """Say whether a command may name it: what is seen, and for buyers also what has gone off offer since.

        So that whoever still has it in the cart is told that it is off sale, and not that it never was.
        """
        return self._reaches(aggregate, aggregate.once_offered_in if self.role is Role.CUSTOMER else aggregate.seen_in)

    def _reaches(self, aggregate: Aggregate, store_ids: Collection[UUID]) -> bool:
        if not self.may_know(aggregate) or not store_ids:
            return False
        return self.stores is None or not self.stores.isdisjoint(store_ids)


_OWN_ID = {"Customer": "id", "Order": "customer_id"}
"""Kind of aggregate that is somebody's own -> the attribute that says whose."""


SYSTEM = Actor(id="system", role=Role.SYSTEM)


class Command(Value, omit_defaults=True):
    """An intention. Subclasses declare their fields with a description each, and say in one sentence what they do."""

    AGGREGATE: ClassVar[type[Aggregate]]
    """The aggregate whose state the answer shows."""
    ROLES: ClassVar[frozenset[Role]] = frozenset({Role.OWNER, Role.MANAGER})
    """The roles that may give it, beside those of `ALWAYS`."""
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = ()
    """What it may be refused with, beside the common refusals."""
    DISCLOSES: ClassVar[bool] = False
    """Whether its answer shows personal data; who asked and why is then on record before anything is shown."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        COMMANDS[cls.command_name()] = cls

    @classmethod
    def command_name(cls) -> str:
        """Return the command's name on the wire: `PlaceOrder` is `placeOrder`."""
        return cls.__name__[0].lower() + cls.__name__[1:]

    @property
    def target_id(self) -> UUID | None:
        """The stream that `expectedVersion` is about: the field named after the command's aggregate."""
        value = getattr(self, f"{self.AGGREGATE.STREAM_TYPE.lower()}_id", None)
        return value if isinstance(value, UUID) else None

    @classmethod
    def require_role(cls, actor: Actor) -> None:
        """Refuse NotAuthorised to a role, or a token, that may not give this command, whatever it is about."""
        if actor.role not in cls.ROLES | ALWAYS:
            allowed = ", ".join(sorted(cls.ROLES))
            raise NotAuthorised(why=f"{cls.command_name()} is for {allowed}; you are {actor.role}")
        if not actor.covers(WRITE, cls.command_name()):
            raise NotAuthorised(why=f"your token was not given for {cls.command_name()}; use one that was")

    def decide(self, work: UnitOfWork) -> UUID:
        """Check, then record events. Return the id of the aggregate that the answer shows."""
        raise NotImplementedError(f"{type(self).__name__} has no decision")

    def carry_out(self, work: UnitOfWork) -> UUID:
        """Decide. When that refuses, what the state of the aggregate forbids whatever the input says comes first.

        So the reason that is given is the one that was foretold (`readiness.py`), not a fault of an input that could
        not have helped.
        """
        try:
            return self.decide(work)
        except Refusal:
            check = STATE_CHECKS.get(type(self))
            target = None if check is None or self.target_id is None else work.find(self.AGGREGATE, self.target_id)
            store = None if target is None else work.find(AGGREGATE_CLASSES["Store"], target.store_id)
            if check is not None and target is not None and store is not None and self._in_reach(work.actor, target):
                with contextlib.suppress(DoneAlready):
                    check.require(target, Occasion(work.actor, work.occurred_at, cast("Store", store)))
            raise

    def _in_reach(self, actor: Actor, target: Aggregate) -> bool:
        """Say whether the actor may know the target: of anybody else's nothing is told, not even its state."""
        if not actor.may_know(target):
            return False
        own_store_id = getattr(self, "store_id", None) if STATE_CHECKS[type(self)].anywhere else None
        return actor.may_act_for(target.store_id) or (own_store_id is not None and actor.may_act_for(own_store_id))


class DoneAlready(Exception):
    """What the command asks for has been done; asked again, nothing more is recorded."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """Who would give a command, when (UTC), and the home store of what it is about."""

    actor: Actor
    at: datetime
    store: Store


@dataclass(frozen=True, slots=True)
class StateCheck:
    """What the state of its aggregate has to be for a command, whatever the input says."""

    require: Callable[[Any, Occasion], None]
    """Takes the aggregate; raises the Refusal that every such command would get, or DoneAlready."""
    anywhere: bool = False
    """Whether it may be given for any of the actor's stores, not for the aggregate's home store alone."""


STATE_CHECKS: dict[type[Command], StateCheck] = {}
"""The check of every command that is about an aggregate that has begun; filled by `readiness.py`."""


@dataclass(slots=True)
class Claim:
    """A name that only one stream may hold: (kind, scope, value)."""

    kind: str
    scope: str
    value: str
    stream_id: UUID
    released: bool = False


@dataclass
class UnitOfWork:
    """One command being decided: what it may look at, and what it has touched.

    Streams and claims come from the subclass (`_load`, `_holder`); nothing is written before the decision has ended.
    """

    actor: Actor
    now: datetime
    """The time of the decision, UTC."""
    occurred_at: datetime
    """When it happened, UTC: `now`, or earlier when the command says so."""
    origin: Origin = Origin.LIVE
    command_id: str = ""
    """Unique name of this command; ids of new streams derive from it."""
    figures: object = None
    """What read models said, for a command that is decided on what they count; read before it was given."""
    touched: dict[UUID, Aggregate] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    _ids: int = 0

    # Streams -----------------------------------------------------------------------------------------------------

    def _load(self, stream_id: UUID) -> Aggregate | None:
        """Return the aggregate as of the head of the log, or None when the stream has not begun."""
        raise NotImplementedError

    def find(self, kind: type[AggregateT], stream_id: UUID) -> AggregateT | None:
        """Return the aggregate if it exists, whoever may see it."""
        known = self.touched.get(stream_id)
        if known is None:
            known = self._load(stream_id)
            if known is None:
                return None
            self.touched[stream_id] = known
        return known if isinstance(known, kind) else None

    def get(
        self,
        kind: type[AggregateT],
        stream_id: UUID,
        *,
        path: Sequence[str | int] = (),
        scoped: bool = True,
        seen: bool = False,
    ) -> AggregateT:
        """Return the aggregate, or refuse NotFound when it is not there, or not for this actor.

        scoped: whether its home store has to be the actor's. seen: whether it is enough that one of the actor's stores
        has it on offer, for what the input names; not scoped at all is for what the state of another aggregate names.
        """
        found = self.find(kind, stream_id)
        allowed = found is not None and (
            self.actor.may_name(found) if seen else not scoped or self.actor.may_act_for(found.store_id)
        )
        if found is None or not allowed:
            what = kind.__name__ if kind.__name__ == "SKU" else kind.__name__.lower()
            raise NotFound(what=what, path=path or (f"{kind.__name__.lower()}_id",), ids=[stream_id])
        return found

    def store(self, store_id: UUID, *, path: Sequence[str | int] = ()) -> Store:
        """Return a store in the actor's scope; refuses NotFound."""
        return self.get(cast("type[Store]", AGGREGATE_CLASSES["Store"]), store_id, path=path)

    def sku(self, sku_id: UUID, *, path: Sequence[str | int] = (), scoped: bool = True, seen: bool = False) -> Sku:
        """Return a SKU; refuses NotFound."""
        return self.get(cast("type[Sku]", AGGREGATE_CLASSES["Sku"]), sku_id, path=path, scoped=scoped, seen=seen)

    def order(self, order_id: UUID, *, path: Sequence[str | int] = ()) -> Order:
        """Return an order in the actor's scope; refuses NotFound."""
        return self.get(cast("type[Order]", AGGREGATE_CLASSES["Order"]), order_id, path=path)

    def campaign(
        self, campaign_id: UUID, *, path: Sequence[str | int] = (), scoped: bool = True, seen: bool = False
    ) -> Campaign:
        """Return a campaign; refuses NotFound."""
        kind = cast("type[Campaign]", AGGREGATE_CLASSES["Campaign"])
        return self.get(kind, campaign_id, path=path, scoped=scoped, seen=seen)

    def customer(
        self, customer_id: UUID, *, path: Sequence[str | int] = (), scoped: bool = True, seen: bool = False
    ) -> Customer:
        """Return a customer; refuses NotFound."""
        kind = cast("type[Customer]", AGGREGATE_CLASSES["Customer"])
        return self.get(kind, customer_id, path=path, scoped=scoped, seen=seen)

    def _orders_of(self, customer_id: UUID) -> Collection[UUID]:
        """Return at least those orders of a customer that are not over, as of the head of the log."""
        raise NotImplementedError

    def orders_of(self, customer_id: UUID) -> list[Order]:
        """Return at least those orders of a customer that are not over, whoever may see them."""
        kind = cast("type[Order]", AGGREGATE_CLASSES["Order"])
        found = (self.find(kind, order_id) for order_id in self._orders_of(customer_id))
        return [order for order in found if order is not None]

    def add(self, started: Aggregate) -> None:
        """Take in an aggregate that this command started."""
        self.touched[started.id] = started

    def require_new(self, kind: type[Aggregate], stream_id: UUID, *, path: Sequence[str | int] = ()) -> None:
        """Refuse AlreadyExists when the stream has begun."""
        if self.find(kind, stream_id) is not None:
            raise AlreadyExists(what=kind.__name__.lower(), path=path, ids=[stream_id])

    def new_id(self) -> UUID:
        """Return an id for a new stream; the same command always gets the same ids."""
        self._ids += 1
        return derived_id("command", self.command_id, self._ids)

    # Names -------------------------------------------------------------------------------------------------------

    def _holder(self, kind: str, scope: str, value: str) -> UUID | None:
        """Return the stream that holds the name as of the head of the log."""
        raise NotImplementedError

    def holder(self, kind: str, scope: str, value: str) -> UUID | None:
        """Return the stream that holds the name, this command's own claims included."""
        for claim in reversed(self.claims):
            if (claim.kind, claim.scope, claim.value) == (kind, scope, value):
                return None if claim.released else claim.stream_id
        return self._holder(kind, scope, value)

    def require_free(
        self, kind: str, scope: str, value: str, stream_id: UUID, *, path: Sequence[str | int] = ()
    ) -> None:
        """Refuse ReferenceTaken when another stream holds the name."""
        holder = self.holder(kind, scope, value)
        if holder is not None and holder != stream_id:
            raise ReferenceTaken(what=kind.replace("_", " "), value=value, path=path, ids=self.shown(holder))

    def shown(self, stream_id: UUID) -> list[UUID]:
        """Return the id of who holds a name, for a refusal; nothing when the actor may not see who it is."""
        found = self.find(Aggregate, stream_id)
        return [stream_id] if found is None or self.actor.may_see(found) else []

    def claim(self, kind: str, scope: str, value: str, stream_id: UUID) -> None:
        """Hold a name for a stream from now on (`require_free` first)."""
        self.claims.append(Claim(kind, scope, value, stream_id))

    def release(self, kind: str, scope: str, value: str, stream_id: UUID) -> None:
        """Give a name back."""
        self.claims.append(Claim(kind, scope, value, stream_id, released=True))

    def _held(self, kind: str, stream_id: UUID) -> list[tuple[str, str]]:
        """Return (scope, value) of every name of a kind that the stream holds as of the head of the log."""
        raise NotImplementedError

    def release_all(self, kind: str, stream_id: UUID) -> None:
        """Give back every name of a kind that the stream holds, without knowing them: keyed hashes, on erasure."""
        for scope, value in self._held(kind, stream_id):
            if self.holder(kind, scope, value) == stream_id:
                self.release(kind, scope, value, stream_id)
        for claim in [claim for claim in self.claims if (claim.kind, claim.stream_id) == (kind, stream_id)]:
            if self.holder(kind, claim.scope, claim.value) == stream_id:
                self.release(kind, claim.scope, claim.value, stream_id)

    # Personal data -----------------------------------------------------------------------------------------------

    def seal(self, subject_id: UUID, plaintext: str) -> str:
        """Return `plaintext` encrypted under the subject's key, which is made when there is none."""
        raise NotImplementedError

    def keyed_hash(self, value: str) -> str:
        """Return a keyed hash of a personal value, for look-ups that erasure can delete."""
        raise NotImplementedError

    def erase(self, subject_id: UUID) -> None:
        """Destroy the subject's key when this command commits; its ciphertext can never be read again."""
        raise NotImplementedError

    # The end -----------------------------------------------------------------------------------------------------

    def collect_events(self) -> list[Event]:
        """Take the events of every aggregate touched, in the order in which they were recorded."""
        collected: list[Event] = []
        for aggregate in self.touched.values():
            if aggregate.pending_events:
                collected.extend(aggregate.collect_events())  # type: ignore[arg-type]
        if len(collected) > 1:
            collected.sort(key=_recorded_at)
        return collected


def _recorded_at(event: Event) -> datetime:
    return event.timestamp

"""A desk in memory at which domain tests give commands: real folds, real claims, real ciphertext, no database."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import opscore.domain.catalogue  # noqa: F401  (every event and command)
from opscore.domain.aggregate import Aggregate, Event
from opscore.domain.command import (
    COMMON_REFUSALS,
    STATE_CHECKS,
    Actor,
    Command,
    DoneAlready,
    Occasion,
    Origin,
    Role,
    UnitOfWork,
)
from opscore.domain.customer_commands import RegisterCustomer
from opscore.domain.order_events import OrderPlaced
from opscore.domain.policies import PlatformTerms
from opscore.domain.refusals import InvalidField, Refusal, WrongState
from opscore.domain.store import Store
from opscore.domain.store_commands import (
    AddLocation,
    ApplyForStore,
    CertifyPaymentAccount,
    FreezeDeposit,
    OpenStore,
    PassAudit,
    PayServiceFee,
    SetCouriers,
    SetPaymentMethods,
    SetPolicy,
    SignStoreAgreement,
    SubmitForAudit,
    SubmitStoreDocument,
    SubmitStoreInfo,
)
from opscore.domain.store_events import DocumentKind
from opscore.log.mapper import EventMapper

OWNER = Actor(id="olga", role=Role.OWNER)
MANAGER = Actor(id="max", role=Role.MANAGER)
SECOND = Actor(id="sam", role=Role.MANAGER)
"""A second person, for checks that need one."""
SERVICE = Actor(id="sue", role=Role.SERVICE)
WAREHOUSE = Actor(id="walt", role=Role.WAREHOUSE)
BUYER = Actor(id="shop", role=Role.STOREFRONT)

START = datetime(2024, 5, 1, 9, tzinfo=UTC)

AggregateT = TypeVar("AggregateT", bound=Aggregate)
_MAPPER = EventMapper()
_HASHING = b"a key for tests"


class _DeskWork(UnitOfWork):
    """A unit of work over the desk's streams, claims and keys."""

    desk: Desk

    def _load(self, stream_id: UUID) -> Aggregate | None:
        return self.desk.fold(stream_id)

    def _holder(self, kind: str, scope: str, value: str) -> UUID | None:
        return self.desk.claims.get((kind, scope, value))

    def _held(self, kind: str, stream_id: UUID) -> list[tuple[str, str]]:
        return [name[1:] for name, holder in self.desk.claims.items() if name[0] == kind and holder == stream_id]

    def _orders_of(self, customer_id: UUID) -> list[UUID]:
        return [
            stream for stream, event in self.desk.events
            if isinstance(event, OrderPlaced) and event.customer_id == customer_id
        ]  # fmt: skip

    def seal(self, subject_id: UUID, plaintext: str) -> str:
        if subject_id in self.desk.erased:
            raise InvalidField(why="the personal data of this subject has been erased", ids=[subject_id])
        key = self.desk.keys.setdefault(subject_id, AESGCM.generate_key(256))
        nonce = os.urandom(12)
        sealed = nonce + AESGCM(key).encrypt(nonce, plaintext.encode(), subject_id.bytes)
        return "v1." + base64.b64encode(sealed).decode()

    def keyed_hash(self, value: str) -> str:
        return hmac.new(_HASHING, value.encode(), hashlib.sha256).hexdigest()

    def erase(self, subject_id: UUID) -> None:
        self.desk.to_erase.append(subject_id)


def _require_foretold(command: Command, foretold: Refusal | DoneAlready | None, refusal: Refusal) -> None:
    """Require that a refusal is the one foretold, and that none for the target's own state came unforetold."""
    name = type(command).__name__
    if isinstance(foretold, Refusal):
        declared = {known.CODE for known in (*command.REFUSES, *COMMON_REFUSALS)}
        assert foretold.CODE in declared, f"{name} foretells {foretold.CODE}, which it does not declare"
        assert refusal.CODE == foretold.CODE, f"{name} was foretold {foretold.CODE} and got {refusal.CODE}"
    elif foretold is None and type(command) in STATE_CHECKS and isinstance(refusal, WrongState):
        own = refusal.ids[:1] == (command.target_id,)
        whole = refusal.path in ((), (f"{command.AGGREGATE.STREAM_TYPE.lower()}_id",))
        assert not (own and whole), f"{name} was refused for its state ({refusal}), which readiness.py did not foretell"


class Desk:
    """Decides commands one at a time and keeps what they record.

    `desk.do(PayOrder(...))` returns the id of the aggregate that the answer shows, or raises the refusal.
    """

    def __init__(self, now: datetime = START) -> None:
        self.now = now
        self.events: list[tuple[UUID, Event]] = []
        """Everything recorded, in order, with its stream."""
        self.claims: dict[tuple[str, str, str], UUID] = {}
        self.keys: dict[UUID, bytes] = {}
        self.erased: set[UUID] = set()
        self.to_erase: list[UUID] = []
        self._streams: dict[UUID, list[Event]] = {}
        self._commands = 0

    # Giving commands -------------------------------------------------------------------------------------------------

    def do(
        self,
        command: Command,
        *,
        actor: Actor = OWNER,
        at: datetime | None = None,
        origin: Origin = Origin.LIVE,
        figures: object = None,
    ) -> UUID:
        """Decide a command at `at` (UTC; by default the desk's clock, which moves on a second with each command).

        figures: what read models say, for a command that is decided on it.

        Raises the Refusal, after making sure that it left nothing behind.
        """
        # The wire checks constraints that a constructor does not; so does this.
        command = msgspec.convert(msgspec.to_builtins(command), type(command))
        self.now += timedelta(seconds=1)
        self._commands += 1
        self.to_erase = []
        occurred_at = self.now if at is None else at
        work = _DeskWork(
            actor=actor,
            now=max(self.now, occurred_at),
            occurred_at=occurred_at,
            origin=origin,
            command_id=f"command {self._commands}",
            figures=figures,
        )
        work.desk = self
        foretold = self._foretold(command, actor, occurred_at)
        try:
            answer = command.carry_out(work)
        except Refusal as refusal:
            _require_foretold(command, foretold, refusal)
            for aggregate in work.touched.values():
                assert not aggregate.pending_events, f"{type(command).__name__} refused after it had recorded"
            assert not self.to_erase, f"{type(command).__name__} refused after it had erased"
            raise
        recorded = work.collect_events()
        assert not isinstance(foretold, Refusal), f"{type(command).__name__} was foretold {foretold.CODE} but accepted"
        assert not recorded or foretold is None, f"{type(command).__name__} was foretold to be done, and recorded more"
        for event in recorded:
            self._record(event)
        for claim in work.claims:
            name = (claim.kind, claim.scope, claim.value)
            if claim.released:
                self.claims.pop(name, None)
            else:
                self.claims[name] = claim.stream_id
        for subject_id in self.to_erase:
            self.keys.pop(subject_id, None)
            self.erased.add(subject_id)
        return answer

    def _foretold(self, command: Command, actor: Actor, at: datetime) -> Refusal | DoneAlready | None:
        """Return what is said of the command, without its input, before it is decided."""
        check = STATE_CHECKS.get(type(command))
        target = None if check is None or command.target_id is None else self.fold(command.target_id)
        if check is None or target is None or not (actor.may_act_for(target.store_id) and actor.may_know(target)):
            return None
        try:
            check.require(target, Occasion(actor, at, self.get(Store, target.store_id)))
        except (Refusal, DoneAlready) as said:
            return said
        finally:
            assert not target.pending_events, f"asking whether {type(command).__name__} is possible recorded something"
        return None

    def _record(self, event: Event) -> None:
        stored = _MAPPER.to_stored_event(event)
        read = _MAPPER.to_domain_event(stored)
        assert read == event, f"{type(event).__name__} is not itself after storage"
        self.events.append((event.originator_id, event))
        self._streams.setdefault(event.originator_id, []).append(read)

    # Looking at what became of it ------------------------------------------------------------------------------------

    def fold(self, stream_id: UUID) -> Aggregate | None:
        """Return what the recorded events of a stream add up to."""
        aggregate: Any = None
        for event in self._streams.get(stream_id, ()):
            aggregate = event.mutate(aggregate)
        return aggregate

    def get(self, kind: type[AggregateT], stream_id: UUID) -> AggregateT:
        """Return an aggregate that must be there."""
        found = self.fold(stream_id)
        assert isinstance(found, kind), f"no {kind.__name__} {stream_id}"
        return found

    def recorded(self, stream_id: UUID | None = None, since: int = 0) -> list[str]:
        """Return the names of the events recorded, of one stream or of all, from the `since`-th on."""
        return [type(event).__name__ for stream, event in self.events[since:] if stream_id in (None, stream)]

    def last(self, kind: type[Any]) -> Any:
        """Return the newest event of a class."""
        return next(event for _, event in reversed(self.events) if type(event) is kind)

    def unseal(self, subject_id: UUID, sealed: str) -> str:
        """Return the plaintext of a sealed field; raises KeyError once the subject is erased."""
        raw = base64.b64decode(sealed.removeprefix("v1."))
        return AESGCM(self.keys[subject_id]).decrypt(raw[:12], raw[12:], subject_id.bytes).decode()

    def snapshots(self) -> Iterator[bytes]:
        """Give the encoded state of every aggregate, as a snapshot would keep it."""
        for stream_id in self._streams:
            aggregate = self.fold(stream_id)
            yield msgspec.json.encode({key: value for key, value in vars(aggregate).items() if key[0] != "_"})

    # What most tests begin with --------------------------------------------------------------------------------------

    def apply_for_store(self, name: str = "Shop", platform: str = "tmall", currency: str = "CNY") -> UUID:
        """Go the first four steps of opening a store, up to the audit."""
        store_id = self.do(ApplyForStore(name=name, operator="Acme Ltd", platform=platform, currency=currency))
        if self.get(Store, store_id).policy(PlatformTerms, self.now).deposit_minor is None:
            self.do(
                SetPolicy(store_id=store_id, kind="platform_terms", params={"deposit_minor": 0, "service_fee_minor": 0})
            )
        self.do(
            CertifyPaymentAccount(store_id=store_id, provider="alipay", account_reference="acc-1", holder="Acme Ltd")
        )
        self.do(SubmitStoreInfo(store_id=store_id, company="Acme Ltd", brands=("Acme",)))
        for kind in (DocumentKind.BUSINESS_LICENCE, DocumentKind.TAX_REGISTRATION):
            self.do(SubmitStoreDocument(store_id=store_id, kind=kind, number=f"no-{kind}"))
        self.do(SubmitStoreDocument(store_id=store_id, kind=DocumentKind.BRAND_AUTHORISATION, brand="Acme"))
        self.do(SignStoreAgreement(store_id=store_id, terms_version="2024", auto_debit=True))
        return store_id

    def open_store(self, name: str = "Shop", platform: str = "own", currency: str = "CNY") -> UUID:
        """Open a store in its seven steps: alipay and credit_card, couriers sf and yto, one warehouse."""
        store_id = self.apply_for_store(name, platform, currency)
        self.do(SubmitForAudit(store_id=store_id))
        self.do(PassAudit(store_id=store_id), actor=SECOND)
        store = self.get(Store, store_id)
        self.do(FreezeDeposit(store_id=store_id, amount_minor=store.deposit_missing_minor(self.now), currency=currency))
        self.do(PayServiceFee(store_id=store_id, amount_minor=store.fee_missing_minor(self.now), currency=currency))
        self.do(OpenStore(store_id=store_id))
        self.do(SetPaymentMethods(store_id=store_id, methods=("alipay", "credit_card")))
        self.do(SetCouriers(store_id=store_id, couriers=("sf", "yto")))
        self.do(AddLocation(store_id=store_id, name="Main"))
        return store_id

    def location(self, store_id: UUID) -> UUID:
        """Return the first location of a store."""
        return next(iter(self.get(Store, store_id).locations))

    def register(self, store_id: UUID, **fields: Any) -> UUID:
        """Register a customer."""
        return self.do(RegisterCustomer(store_id=store_id, channel="shop", **fields))

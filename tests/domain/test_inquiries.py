"""Inquiries before a sale: who asked, who of the staff answered, each on a stream of its own."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.inquiries import InquirerUnclear, Inquiry, InquiryRecorded, RecordInquiry
from opscore.domain.refusals import InvalidField, NotFound
from opscore.domain.staff import AssignStaffRole
from opscore.domain.store_events import StaffRole
from tests.domain.desk import Desk

DAY = date(2024, 5, 1)


def asked(of_store: UUID, **fields: Any) -> RecordInquiry:
    return RecordInquiry(**{"store_id": of_store, "agent": "sue", "channel": "chat", **fields})


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def store_id(desk: Desk) -> UUID:
    store_id = desk.open_store()
    desk.do(AssignStaffRole(store_id=store_id, person="sue", role=StaffRole.SERVICE, from_day=DAY))
    return store_id


def test_an_inquiry_is_a_stream_of_its_own_and_leaves_the_store_as_it_was(desk: Desk, store_id: UUID) -> None:
    store_events = len(desk.recorded(store_id))

    for _ in range(2):
        assert desk.do(asked(store_id, visitor="v1", topic="size")) == store_id

    one, two = (event for _, event in desk.events if isinstance(event, InquiryRecorded))
    assert one.originator_id != two.originator_id
    assert one.inquirer_id == two.inquirer_id, "the same visitor is known again"
    assert (one.customer_id, one.agent, one.channel, one.topic) == (None, "sue", "chat", "size")
    assert desk.get(Inquiry, one.originator_id).agent == "sue"
    assert len(desk.recorded(store_id)) == store_events


def test_the_key_of_a_visitor_is_not_kept_and_is_another_in_another_store(desk: Desk, store_id: UUID) -> None:
    desk.do(asked(store_id, visitor="v1"))
    here = desk.last(InquiryRecorded)
    other = desk.open_store(name="other")
    desk.do(AssignStaffRole(store_id=other, person="sue", role=StaffRole.SERVICE, from_day=DAY))
    desk.do(asked(other, visitor="v1"))

    assert desk.last(InquiryRecorded).inquirer_id != here.inquirer_id
    assert "v1" not in [getattr(here, name) for name in ("agent", "channel", "topic")]


def test_a_customer_who_asks_is_named_by_their_record(desk: Desk, store_id: UUID) -> None:
    customer = desk.register(store_id)

    desk.do(asked(store_id, customer_id=customer))

    said = desk.last(InquiryRecorded)
    assert said.customer_id == said.inquirer_id == customer


def test_who_asked_has_to_be_clear(desk: Desk, store_id: UUID) -> None:
    unclear: list[dict[str, Any]] = [{}, {"visitor": "v1", "customer_id": uuid4()}]
    for who in unclear:
        with pytest.raises(InquirerUnclear) as refused:
            desk.do(asked(store_id, **who))
        assert refused.value.path == ("customer_id",)
    with pytest.raises(NotFound):
        desk.do(asked(store_id, customer_id=uuid4()))


def test_who_answers_has_to_be_of_the_staff(desk: Desk, store_id: UUID) -> None:
    with pytest.raises(InvalidField) as refused:
        desk.do(asked(store_id, visitor="v1", agent="tim"))
    assert refused.value.path == ("agent",)

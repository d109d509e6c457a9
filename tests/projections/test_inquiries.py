"""Inquiries and how many who asked bought, right by hand."""

from __future__ import annotations

from fractions import Fraction
from uuid import UUID

from opscore import kpis
from opscore.kpis import KpiGrain
from opscore.projector import Projector
from tests.benchmarks import generate
from tests.projections.kpi_cells import KPIS, asked, built, sold, values
from tests.projections.logs import Log

HOUR = 60
DAY = 24 * HOUR


def ask(world: generate.World, who: UUID, agent: str = "sue", channel: str = "chat", *, customer: bool = True) -> None:
    """Record an inquiry in the store that sells the first article."""
    store = world.sku_store[0]
    world.record(
        "InquiryRecorded", world.made_id("inquiry", world.position + 1), store, store_id=world.stores[store],
        customer_id=who if customer else None, inquirer_id=who, agent=agent, channel=channel, topic=None,
    )  # fmt: skip


def test_every_inquiry_counts_and_one_person_once_in_the_rate(log: Log, projector: Projector) -> None:
    world = log.world()
    ask(world, world.customers[0])
    ask(world, world.customers[0], "tim", "phone")
    ask(world, world.made_id("visitor", 1), customer=False)
    world.pass_time(HOUR)
    sold(world, 0, 1)
    sold(world, 0, 2)
    sold(world, 2, 1)  # A silent buyer.
    sold(world, -1, 1)  # A guest.
    built(log, projector, world)

    assert values(projector, "K010", asked()) == [3]
    assert values(projector, "K010", asked(agent="sue")) == [2]
    assert values(projector, "K010", asked(channel="phone")) == [1]
    # One buyer of two who asked; Tim was the last before the payment, so that Sue won nobody of her two.
    assert values(projector, "K011", asked()) == [Fraction(1, 2)]
    assert values(projector, "K011", asked(agent="tim")) == [1]
    assert values(projector, "K011", asked(agent="sue")) == [0]
    by = {key[3]: cell.value for key, cell in kpis.cells(projector, KPIS, KPIS["K011"], asked(by="agent")).items()}
    assert by == {"sue": 0, "tim": 1}


def test_an_order_is_won_until_seven_days_after_the_inquiry_on_the_day_of_payment(
    log: Log, projector: Projector
) -> None:
    world = log.world()
    for customer in (0, 2, 4):
        ask(world, world.customers[customer])
    world.pass_time(7 * DAY)
    sold(world, 0, 1)
    world.pass_time(1)
    sold(world, 2, 1)
    ask(world, world.customers[4])
    built(log, projector, world)

    # Over all: one of three. By day: none of three, then one who bought beside one who asked.
    assert values(projector, "K011", asked()) == [Fraction(1, 3)]
    assert values(projector, "K011", asked(KpiGrain.DAY)) == [0, 1]


def test_an_inquiry_after_the_payment_wins_nothing_whenever_it_is_reported(log: Log, projector: Projector) -> None:
    world = log.world()
    sold(world, 0, 1)
    world.pass_time(1)
    ask(world, world.customers[0])
    built(log, projector, world)
    assert values(projector, "K011", asked()) == [0]
    known = world.position

    world.back_date(10)  # What was asked before the payment is reported late.
    ask(world, world.customers[0], "tim")
    log.append(world)
    projector.catch_up()

    assert values(projector, "K011", asked()) == [1]
    assert values(projector, "K011", asked(as_of=known)) == [0]


def test_two_records_of_one_person_are_one_from_the_merger_on(log: Log, projector: Projector) -> None:
    world = log.world()
    ask(world, world.customers[0])
    ask(world, world.customers[2])
    world.pass_time(1)
    sold(world, 4, 1)
    before = world.position
    world.merge_customers(0, 2, 0)
    world.merge_customers(2, 4, 0)
    built(log, projector, world)

    assert values(projector, "K011", asked(as_of=before)) == [0]
    assert values(projector, "K011", asked()) == [1]
    assert values(projector, "K010", asked()) == [2]

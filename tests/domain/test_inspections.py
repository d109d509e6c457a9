"""What comes in is looked at before it is sold: what passes is free, what fails is set aside, residues have limits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from opscore.domain.batches import RecallBatch
from opscore.domain.inspections import InspectBatch, ResidueAboveLimit, ResidueUnknown
from opscore.domain.policies import PolicyInvalid
from opscore.domain.refusals import InvalidField
from opscore.domain.sku import BatchInspected, StockCondition, StockState
from opscore.domain.sku_amending import AmendSku
from opscore.domain.sku_commands import ListSku
from opscore.domain.sku_events import BatchBarred, ExceedsBatch, ExceedsOnHand, InspectionNeeded
from opscore.domain.stock_commands import ReceiveStock, ReclassifyStock
from opscore.domain.store_commands import SetPolicy
from tests.domain.buying import Buying
from tests.domain.desk import WAREHOUSE


@pytest.fixture
def buying() -> Buying:
    return Buying()


def inspect(buying: Buying, accepted: int, failed: int = 0, batch: str = "B1", **fields: Any) -> None:
    finding = {"finding": "mould"} if failed else {}
    command = InspectBatch(
        sku_id=buying.sku_id,
        location_id=buying.shelf.location_ids[0],
        batch=batch,
        accepted=Decimal(accepted),
        failed=Decimal(failed),
        **{**finding, **fields},
    )
    buying.shelf.do(command, actor=WAREHOUSE)


def ask(buying: Buying, **params: Any) -> None:
    buying.shelf.do(SetPolicy(store_id=buying.store_id, kind="inspection", params=params))


def level(buying: Buying) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Return on hand, sellable, in quarantine, damaged."""
    found = buying.shelf.sku(buying.sku_id).level_at(buying.shelf.location_ids[0])
    return found.on_hand, found.sellable, found.quarantined, found.damaged


def test_by_the_policy_what_comes_in_by_a_purchase_waits_until_it_has_passed(buying: Buying) -> None:
    supplier_id = buying.active()
    purchase_id = buying.order(supplier_id, 20)
    buying.receive(purchase_id, 2)
    ask(buying, receipts=True)
    with pytest.raises(InvalidField, match="name the batch"):
        buying.receive(purchase_id, 10)
    buying.receive(purchase_id, 10, batch="B1")
    buying.receive(purchase_id, 1, batch="B1", condition=StockCondition.DAMAGED)
    buying.shelf.receive(buying.sku_id, 3)
    assert level(buying) == (16, 5, 10, 1), "neither what is damaged nor what was not ordered waits"
    inspect(buying, 6, 1, document="QC-1")

    assert level(buying) == (16, 11, 3, 2)
    said = buying.shelf.last(BatchInspected)
    assert (said.accepted, said.failed, said.finding, said.document) == (6, 1, "mould", "QC-1")
    assert said.supplier_id == supplier_id, "whose it is was said by the purchase"
    inspect(buying, 0, 3)
    assert level(buying) == (16, 11, 0, 5)
    with pytest.raises(ExceedsOnHand):
        inspect(buying, 1)


def test_no_more_is_inspected_than_waits_of_the_batch(buying: Buying) -> None:
    for batch in ("B1", "B2"):
        buying.shelf.receive(buying.sku_id, 5, batch=batch, condition=StockCondition.QUARANTINED)
    with pytest.raises(ExceedsBatch) as refused:
        inspect(buying, 4, 2)
    assert refused.value.path == ("accepted",)
    with pytest.raises(InvalidField, match="of some units"):
        inspect(buying, 0)
    with pytest.raises(InvalidField, match="what was found"):
        inspect(buying, 4, 1, finding=None)
    inspect(buying, 4, 1)

    assert level(buying) == (10, 4, 5, 1)
    assert buying.shelf.last(BatchInspected).supplier_id is None, "nobody said who delivered it"


def test_a_batch_that_may_not_be_sold_does_not_pass_but_may_fail(buying: Buying) -> None:
    buying.shelf.receive(buying.sku_id, 5, batch="B1", condition=StockCondition.QUARANTINED)
    buying.shelf.do(RecallBatch(sku_id=buying.sku_id, batch="B1", reason="glass"))
    with pytest.raises(BatchBarred):
        inspect(buying, 1)
    inspect(buying, 0, 5)

    assert level(buying) == (5, 0, 0, 5)


def test_goods_of_a_category_with_a_limit_pass_with_a_measured_residue_below_it(buying: Buying) -> None:
    ask(buying, residue_limits={"homeware": "0.5", "tea": "0.1"})
    buying.shelf.receive(buying.sku_id, 9, batch="B1", condition=StockCondition.QUARANTINED)
    with pytest.raises(ResidueUnknown):
        inspect(buying, 1)
    with pytest.raises(ResidueAboveLimit):
        inspect(buying, 1, residue=Decimal("0.51"))
    with pytest.raises(InvalidField, match="0 or more"):
        inspect(buying, 1, residue=Decimal(-1))
    inspect(buying, 4, residue=Decimal("0.50"))
    inspect(buying, 0, 5, residue=Decimal("0.6"))

    assert level(buying) == (9, 4, 0, 5)
    assert buying.shelf.last(BatchInspected).residue == Decimal("0.6")
    with pytest.raises(PolicyInvalid, match="0 or more"):
        ask(buying, residue_limits={"tea": "-1"})


def test_goods_of_a_category_with_a_limit_are_not_sold_unmeasured_whichever_way_they_come(buying: Buying) -> None:
    shelf, here = buying.shelf, buying.shelf.location_ids[0]
    ask(buying, residue_limits={shelf.sku(buying.sku_id).category: "0.05"})
    with pytest.raises(InvalidField, match="name the batch"):
        shelf.receive(buying.sku_id, 3)
    terms = {"sku_id": buying.sku_id, "location_id": here, "batch": "B1"}
    shelf.do(ReceiveStock(quantity=Decimal(3), **terms))
    shelf.do(ReceiveStock(quantity=Decimal(1), condition=StockCondition.DAMAGED, **terms))
    assert level(buying) == (4, 0, 3, 1), "without a purchase, too, they wait"
    for state in (StockState.QUARANTINED, StockState.DAMAGED):
        free = ReclassifyStock(
            quantity=Decimal(1), from_state=state, to_state=StockState.AVAILABLE, reason="looks good", **terms
        )
        with pytest.raises(InspectionNeeded):
            shelf.do(free)
    assert level(buying) == (4, 0, 3, 1)
    # Nor does another category free them.
    elsewhere = AmendSku(sku_id=buying.sku_id, name="Tea", category="kitchen")
    with pytest.raises(InspectionNeeded):
        shelf.do(elsewhere)
    inspect(buying, 2, 1, residue=Decimal("0.05"))
    assert level(buying) == (4, 2, 0, 2)
    # What failed can be looked at again, and passes by another measurement alone.
    again = {"from_state": StockState.DAMAGED, "to_state": StockState.QUARANTINED, "reason": "washed"}
    shelf.do(ReclassifyStock(quantity=Decimal(1), **terms, **again))
    with pytest.raises(ResidueUnknown):
        inspect(buying, 1)
    inspect(buying, 1, residue=Decimal("0.01"))
    assert level(buying) == (4, 3, 0, 1)


def test_what_passes_stands_in_for_units_of_a_barred_batch_that_an_order_holds(buying: Buying) -> None:
    shelf = buying.shelf
    shelf.receive(buying.sku_id, 3, batch="B0")
    shelf.do(ListSku(sku_id=buying.sku_id))
    shelf.order(buying.sku_id, UUID(int=11), 3)
    shelf.do(RecallBatch(sku_id=buying.sku_id, batch="B0", reason="glass"))
    shelf.receive(buying.sku_id, 5, batch="B1", condition=StockCondition.QUARANTINED)
    assert level(buying) == (8, 0, 5, 0), "the order holds all of what is not set aside"
    inspect(buying, 5)

    assert level(buying) == (8, 2, 3, 0), "of what passed the order gets three, and the recalled ones are set aside"

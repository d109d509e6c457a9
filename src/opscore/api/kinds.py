"""How each aggregate is shown, and the mutations that show it: made once for the process."""

from __future__ import annotations

import functools
from typing import Any

from opscore.api.campaigns import Campaign, campaign_view
from opscore.api.commissions import figures_to_settle
from opscore.api.customers import Customer, customer_view
from opscore.api.inputs import InputTypes
from opscore.api.mutations import FIGURES, Mutation, ObjectKind, make_mutations
from opscore.api.orders import Order, order_view
from opscore.api.skus import Sku, sku_view
from opscore.api.stores import Store, store_view
from opscore.domain import (
    campaign as campaign_domain,
    customer as customer_domain,
    order as order_domain,
    sku as sku_domain,
    store as store_domain,
)
from opscore.domain.commissions import SettleCommission

KINDS: dict[Any, ObjectKind] = {
    kind.aggregate: kind
    for kind in (
        ObjectKind(store_domain.Store, Store, store_view),
        ObjectKind(sku_domain.Sku, Sku, sku_view),
        ObjectKind(order_domain.Order, Order, order_view),
        ObjectKind(campaign_domain.Campaign, Campaign, campaign_view),
        ObjectKind(customer_domain.Customer, Customer, customer_view),
    )
}
"""How each aggregate is shown."""

BY_NAME = {kind.aggregate.STREAM_TYPE: kind for kind in KINDS.values()}

FIGURES[SettleCommission] = figures_to_settle

INPUTS = InputTypes()
"""The input types of the schema, each made once."""


@functools.cache
def mutations() -> dict[str, Mutation]:
    """Return the mutations of the schema by name; made once for the process."""
    return make_mutations(KINDS, INPUTS)

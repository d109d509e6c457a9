"""How each aggregate is shown, and the mutations that show it: made once for the process."""

from __future__ import annotations

import functools
from typing import Any

from opscore.api.campaigns import Campaign, campaign_view
from opscore.api.customers import Customer, customer_view
from opscore.api.inputs import InputTypes
from opscore.api.mutations import Mutation, ObjectKind, make_mutations
from opscore.api.orders import Order, order_view
from opscore.api.skus import Sku, sku_view
from opscore.api.stores import Store, store_view
from opscore.domain import campaign as campaign_domain
from opscore.domain import customer as customer_domain
from opscore.domain import order as order_domain
from opscore.domain import sku as sku_domain
from opscore.domain import store as store_domain

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

INPUTS = InputTypes()
"""The input types of the schema, each made once."""


@functools.cache
def mutations() -> dict[str, Mutation]:
    """Return the mutations of the schema by name; made once for the process."""
    return make_mutations(KINDS, INPUTS)

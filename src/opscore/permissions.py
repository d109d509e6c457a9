"""Who may do and ask what, and what of an object a role does not see: the whole of it in one table.

`table()` has an entry for every command, every other mutation, every question, everything that can be followed and
every field that not all who see its object may see, by its name in the schema: `Mutation.placeOrder`, `Query.orders`,
`SkuPrice.cost`. The API asks it, the SDL shows it (`@access`), and a test tries each entry with each role. The roles of
a command are written at the command (`Command.ROLES`), because the person who changes a command has to think of them;
all others are written here. Whose rows a role sees is not a question of its role but of its stores and, for a customer,
of itself: that is decided where rows are read.
"""

from __future__ import annotations

import functools

import opscore.domain.catalogue  # noqa: F401  (afterwards COMMANDS is complete)
from opscore.domain.command import ALWAYS, COMMANDS, Command, Role

STAFF = frozenset(
    {Role.MANAGER, Role.SERVICE, Role.AFTER_SALES, Role.EDITOR, Role.PROMOTER, Role.WAREHOUSE, Role.FINANCE}
)
"""People who work in a store."""

_SHOP = STAFF | {Role.AUDITOR, Role.STOREFRONT, Role.CUSTOMER}
_STORE_SIDE = STAFF | {Role.AUDITOR, Role.STOREFRONT}
_FIGURES = frozenset({Role.MANAGER, Role.PROMOTER, Role.FINANCE, Role.AUDITOR})
_AUDIT = frozenset({Role.AUDITOR})
_VERSIONS = frozenset({Role.MANAGER, Role.FINANCE, Role.AUDITOR})
_CUSTOMERS = _SHOP - {Role.WAREHOUSE, Role.EDITOR}
_COSTS = _SHOP - {Role.WAREHOUSE, Role.STOREFRONT, Role.CUSTOMER}
_PRICES = _SHOP - {Role.WAREHOUSE}
_INSIDE = STAFF | {Role.AUDITOR}
_QUOTES = _COSTS & _INSIDE

READS: dict[str, frozenset[Role]] = {
    "viewer": frozenset(Role),
    "node": _SHOP,
    "nodes": _SHOP,
    "store": _STORE_SIDE,
    "stores": _STORE_SIDE,
    "sku": _SHOP,
    "skuByCode": _SHOP,
    "skus": _SHOP,
    "catalogue": _SHOP,
    "catalogueFacets": _SHOP,
    "order": _SHOP,
    "orderByExternalReference": _SHOP,
    "orderByNumber": _SHOP,
    "orders": _SHOP,
    "campaign": _SHOP,
    "campaigns": _SHOP,
    "priceCart": COMMANDS["placeOrder"].ROLES,
    "reviews": _SHOP,
    "skuRatings": _SHOP,
    "customer": _CUSTOMERS,
    "customerByReference": _STORE_SIDE - {Role.WAREHOUSE, Role.EDITOR},
    "customers": _STORE_SIDE - {Role.WAREHOUSE, Role.EDITOR},
    "stockLevels": _STORE_SIDE,
    "stockBalances": STAFF | {Role.AUDITOR},
    "stockAsOf": STAFF | {Role.AUDITOR},
    "stockBatches": STAFF | {Role.AUDITOR},
    "batchesInStock": STAFF | {Role.AUDITOR},
    "batchOrders": STAFF | {Role.AUDITOR},
    "orderBatches": STAFF | {Role.AUDITOR},
    "batchesToPick": STAFF | {Role.AUDITOR},
    "purchases": STAFF | {Role.AUDITOR},
    "suppliers": STAFF | {Role.AUDITOR},
    "supplierQuotes": _QUOTES,
    "reorderProposals": _QUOTES,
    "stockLedger": STAFF | {Role.AUDITOR},
    "stockMovements": STAFF | {Role.AUDITOR},
    "stockMovementTotals": STAFF | {Role.AUDITOR},
    "stockWorth": _FIGURES,
    "stockValuation": _FIGURES,
    "stockLayers": _FIGURES,
    "valuedMovements": _FIGURES,
    "stockAdjustments": _FIGURES,
    "cogsPeriods": _FIGURES,
    "stockTotals": _FIGURES,
    "kpiDaily": _FIGURES,
    "kpiPeriods": _FIGURES,
    "kpiTotals": _FIGURES,
    "kpiExplain": _FIGURES,
    "kpiDefinitions": _FIGURES,
    "explainRetentionCohort": _FIGURES,
    "kpi": _FIGURES,
    "explainKpi": _FIGURES,
    "salesBooks": _FIGURES,
    "retentionCohorts": _FIGURES,
    "campaignResults": _FIGURES,
    "campaignsDue": _FIGURES,
    "campaignCandidates": _FIGURES,
    "commissions": STAFF | {Role.AUDITOR},
    "storeGrades": _FIGURES,
    "customerSegments": _FIGURES | {Role.SERVICE},
    "segmentCustomers": _FIGURES | {Role.SERVICE},
    "agreements": _VERSIONS,
    "customerCards": _CUSTOMERS,
    "orderCount": _SHOP,
    "orderStates": STAFF | {Role.AUDITOR},
    "ordersDue": STAFF | {Role.AUDITOR},
    "topSkus": _FIGURES,
    "explain": _FIGURES,
    "events": _AUDIT,
    "head": STAFF | {Role.AUDITOR},
    "projections": STAFF | {Role.AUDITOR},
    "projectionPlan": _VERSIONS,
    "projectionQueries": _FIGURES,
    "projectionRows": _FIGURES,
    "projectionCompares": _VERSIONS,
    "projectionCompare": _VERSIONS,
    "projectionPromotions": _VERSIONS,
    "verification": _AUDIT,
    "exportJob": STAFF | {Role.AUDITOR},
    "exportJobs": STAFF | {Role.AUDITOR},
    "webhooks": _AUDIT,
    "webhookDeadLetters": _AUDIT,
}
"""Root field of Query -> the roles that may ask it, beside those of `ALWAYS`; of any other it is refused."""

OPERATES: dict[str, frozenset[Role]] = {
    "startExport": STAFF | {Role.AUDITOR},
    "cancelExport": STAFF | {Role.AUDITOR},
    "registerWebhook": frozenset(),
    "rotateWebhookSecret": frozenset(),
    "pauseWebhook": frozenset(),
    "resumeWebhook": frozenset(),
    "deleteWebhook": frozenset(),
    "redeliverWebhookEvents": frozenset(),
    "pingWebhook": frozenset(),
    "rebuildProjection": frozenset(),
    "compareProjections": frozenset(),
    "whatIfProjection": frozenset(),
    "promoteProjection": frozenset(),
    "promoteProjectionDespiteChecks": frozenset(),
    "resumeProjection": frozenset(),
    "dropProjection": frozenset(),
}
"""Root field of Mutation that is no command of the domain -> the roles that may send it, beside those of `ALWAYS`."""

BULK = frozenset(
    {
        "registerSku", "priceSku", "setTierPrices", "listSku", "delistSku", "receiveStock", "countStock", "recordOrder",
        "confirmOrder", "packParcel", "shipOrder", "deliverOrder",
    }
)  # fmt: skip
"""Commands that may be given in lists as well, by a mutation of the same roles named `<command>InBulk`."""

REPLAYS = "projectionRows"
"""The question whose roles may ask a replay, by the header `Opscore-Replay`."""
OF_REPLAY = frozenset({
    "orders", "orderCount", "orderStates", "ordersDue", "topSkus", "reviews", "skuRatings",
    "stores", "skus", "catalogue", "catalogueFacets",
    "campaigns", "customers", "customerCards", "stockLevels", "stockBalances", "stockAsOf", "stockLedger",
    "stockMovements", "stockMovementTotals", "stockWorth", "stockValuation", "stockTotals", "kpiDaily", "kpiPeriods",
    "kpiTotals", "kpiExplain", "kpi", "explainKpi", "salesBooks", "retentionCohorts", "campaignResults",
    "campaignsDue", "commissions", "storeGrades", "customerSegments", "segmentCustomers", "explain", "purchases",
    "suppliers", "supplierQuotes", "agreements", "projectionQueries", "projectionRows",
})  # fmt: skip
"""The questions that a replay answers: those that read models answer."""

FOLLOWS = {"events": "events", "orderChanges": "order", "figures": "kpiDaily", "projectionProgress": "projections"}
"""Root field of Subscription -> the question whose roles may follow it."""

FIELDS: dict[str, frozenset[Role]] = {
    "Sku.onHand": _STORE_SIDE,
    "Sku.prices": _PRICES,
    "Sku.tierPrices": _PRICES,
    "CatalogueItem.listPrice": _PRICES,
    "CatalogueFacets.leastPrice": _PRICES,
    "CatalogueFacets.greatestPrice": _PRICES,
    "SkuPrice.cost": _COSTS,
    "SkuPrice.marketPrice": _COSTS,
    "StockPolicy.lowLine": _INSIDE,
    "StockPolicy.highLine": _INSIDE,
    "StockPolicy.coverDays": _INSIDE,
    "StockPolicy.stockClass": _INSIDE,
    "StockBalance.unitCost": _COSTS,
    "StockRow.unitCost": _COSTS,
    "StockMovement.unitCost": _COSTS,
    "StockMovement.value": _COSTS,
    "StockMovement.adjustment": _COSTS,
    "StockMovement.runningValue": _COSTS,
    "Store.deposit": _INSIDE,
    "Store.serviceFee": _INSIDE,
    "Store.documents": _INSIDE,
    "Store.staff": _INSIDE,
    "Store.departures": _INSIDE,
    "Store.responsibilities": _INSIDE,
    "Store.suppliers": _INSIDE,
    "Store.positioning": _INSIDE,
    "Store.penalties": _INSIDE,
    "Store.salesTargets": READS["kpi"],
    "Store.budgets": READS["kpi"],
    "Store.capital": READS["kpi"],
    "Store.heroSkus": _INSIDE,
    "Store.commissionSchemes": _INSIDE,
    "Store.commissionSettlements": _VERSIONS,
    "Store.agreements": _VERSIONS,
    "Sku.levels": READS["stockLevels"],
    "Sku.allocations": READS["stockLevels"],
    "Sku.onOrder": READS["purchases"],
    "Sku.purchases": READS["purchases"],
    "Sku.quotes": _QUOTES,
    **dict.fromkeys(("SkuPurchase.unitCost", "SkuPurchase.owed", "SkuPurchase.paid"), _QUOTES),
    **dict.fromkeys(
        ("Purchase.unitCost", "Purchase.bestQuote", "Purchase.owed", "Purchase.paid", "Purchase.unpaid"), _QUOTES
    ),
    "Campaign.target": _INSIDE,
    "Campaign.promotions": _PRICES,
    "Campaign.budget": _INSIDE - {Role.WAREHOUSE},
    "Campaign.budgetClaimed": _INSIDE - {Role.WAREHOUSE},
    "Campaign.couponUses": _INSIDE,
    "CampaignLine.role": _INSIDE,
    "CampaignLine.price": _PRICES,
    "CampaignLine.quota": _INSIDE,
    "CampaignLine.belowCost": _COSTS,
    "Promotion.coupon": _INSIDE,
    "Campaign.forecast": READS["campaignResults"],
    "Campaign.adSpend": READS["campaignResults"],
    "Campaign.resources": READS["campaignResults"],
    "Campaign.proposal": _INSIDE,
    "Campaign.supplierCall": READS["campaignResults"],
    "Campaign.offers": READS["campaignResults"],
    "Campaign.adBudgets": READS["campaignResults"],
    "Campaign.adPlans": READS["campaignResults"],
    "Store.history": frozenset({Role.MANAGER, Role.FINANCE, Role.AUDITOR}),
    "Sku.history": _INSIDE,
    "Order.history": READS["order"],
    "Order.notes": COMMANDS["noteOrder"].ROLES,
    "Order.tags": _INSIDE,
    "Order.agent": _INSIDE,
    "Campaign.history": _INSIDE,
    "Customer.history": READS["customer"] - {Role.STOREFRONT, Role.CUSTOMER},
    "Order.customer": READS["customer"],
    "Order.store": READS["store"],
    "OrderLine.sku": READS["sku"],
    "OrderParcel.claim": _INSIDE,
    "OrderDispute.faultParty": _INSIDE,
    "OrderReturn.faultParty": _INSIDE,
    "OrderDispute.solution": _INSIDE,
    "OrderReview.orderId": _STORE_SIDE,
    **dict.fromkeys(
        (
            "OrderReview.externalReference",
            "OrderReview.flag",
            "OrderReview.replyBy",
            "OrderReview.waitsSince",
            "OrderReviewReply.author",
            "SkuRating.hidden",
        ),
        _INSIDE,
    ),
    **dict.fromkeys(
        (
            "Order.goods",
            "Order.discount",
            "Order.freight",
            "Order.freightWaived",
            "Order.total",
            "Order.netTotal",
            "Order.paid",
            "Order.due",
            "Order.refunded",
            "Order.refundable",
            "Order.pointsValue",
            "Order.payments",
            "Order.refunds",
            "OrderDispute.amount",
            "OrderDispute.compensated",
            "OrderLine.listPrice",
            "OrderLine.unitPrice",
            "OrderLine.gross",
            "OrderLine.discount",
            "OrderLine.amount",
            "OrderCount.goods",
            "OrderCount.discount",
            "OrderCount.freight",
            "OrderCount.total",
            "OrderCount.paid",
            "OrderCount.refunded",
        ),
        _PRICES,
    ),
    "Projection.failure": _AUDIT,
    "FailedCheck.rows": _AUDIT,
}
"""Field of an object -> the roles that see it, beside those of `ALWAYS`; any other sees null or an empty list."""


METRICS = "metrics"
"""The scope of a token that /metrics is read with, where it is not given for reading everything."""


@functools.cache
def table() -> dict[str, frozenset[Role]]:
    """Return every rule: place in the schema -> all roles that may, those of `ALWAYS` included."""
    return {
        **{f"Query.{name}": roles | ALWAYS for name, roles in READS.items()},
        **{f"Mutation.{name}": command.ROLES | ALWAYS for name, command in COMMANDS.items()},
        **{f"Mutation.{name}InBulk": COMMANDS[name].ROLES | ALWAYS for name in BULK},
        **{f"Mutation.{name}": roles | ALWAYS for name, roles in OPERATES.items()},
        **{f"Subscription.{name}": READS[question] | ALWAYS for name, question in FOLLOWS.items()},
        **{place: roles | ALWAYS for place, roles in FIELDS.items()},
    }


@functools.cache
def commands_of(role: Role) -> frozenset[str]:
    """Return the names of the commands that a role may give."""
    return frozenset(name for name, command in COMMANDS.items() if may_give(role, command))


def may_give(role: Role, command: type[Command]) -> bool:
    """Say whether a role may give a command, whatever the store."""
    return role in ALWAYS or role in command.ROLES


def may_ask(role: Role, field: str) -> bool:
    """Say whether a role may select a root field of Query."""
    return role in table().get(f"Query.{field}", ())


def may_follow(role: Role, field: str) -> bool:
    """Say whether a role may select a root field of Subscription."""
    return role in table().get(f"Subscription.{field}", ())


def may_see_field(role: Role, place: str) -> bool:
    """Say whether a role sees a field of an object, `SkuPrice.cost` say; raises KeyError when no rule names it."""
    return role in table()[place]


def may_operate(role: Role, field: str) -> bool:
    """Say whether a role may select a root field of Mutation that is no command of the domain."""
    return role in table().get(f"Mutation.{field}", ())


def may_read_metrics(role: Role) -> bool:
    """Say whether a role may read /metrics, which tells how much is sold: the roles that may see figures."""
    return role in _FIGURES | ALWAYS


def may_see_kind(role: Role, type_name: str) -> bool:
    """Say whether a role sees any object of a kind of aggregate, by whatever way it is reached."""
    return may_ask(role, type_name.lower())

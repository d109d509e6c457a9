"""Who may do and ask what: one table of commands, one of reads, and what of an object a role does not see.

The roles of a command are written at the command (`Command.ROLES`), because the person who changes a command has to
think of them; the roles of a read are written here. Whose rows a role sees is not a question of its role but of its
stores and, for a customer, of itself: that is decided where rows are read.
"""

from __future__ import annotations

import functools

import opscore.domain.catalogue  # noqa: F401  (afterwards COMMANDS is complete)
from opscore.domain.command import COMMANDS, Command, Role

ALWAYS = frozenset({Role.OWNER, Role.PLATFORM, Role.SYSTEM})
"""Roles that may give every command and ask every question."""

STAFF = frozenset({Role.MANAGER, Role.SERVICE, Role.EDITOR, Role.PROMOTER, Role.WAREHOUSE, Role.FINANCE})
"""People who work in a store."""

_SHOP = STAFF | {Role.AUDITOR, Role.STOREFRONT, Role.CUSTOMER}
_STORE_SIDE = STAFF | {Role.AUDITOR, Role.STOREFRONT}
_FIGURES = frozenset({Role.MANAGER, Role.PROMOTER, Role.FINANCE, Role.AUDITOR})
_AUDIT = frozenset({Role.AUDITOR})

READS: dict[str, frozenset[Role]] = {
    "viewer": frozenset(Role),
    "node": _SHOP,
    "nodes": _SHOP,
    "store": _STORE_SIDE,
    "stores": _STORE_SIDE,
    "sku": _SHOP,
    "skuByCode": _SHOP,
    "skus": _SHOP,
    "order": _SHOP,
    "orderByExternalReference": _SHOP,
    "orders": _SHOP,
    "campaign": _SHOP,
    "campaigns": _SHOP,
    "customer": _SHOP - {Role.WAREHOUSE, Role.EDITOR},
    "customers": _STORE_SIDE - {Role.WAREHOUSE, Role.EDITOR},
    "stockLevels": _STORE_SIDE,
    "stockAsOf": STAFF | {Role.AUDITOR},
    "stockLedger": STAFF | {Role.AUDITOR},
    "stockMovementTotals": STAFF | {Role.AUDITOR},
    "stockWorth": _FIGURES,
    "stockValuation": _FIGURES,
    "stockTotals": _FIGURES,
    "kpiDaily": _FIGURES,
    "kpiPeriods": _FIGURES,
    "kpiTotals": _FIGURES,
    "kpiExplain": _FIGURES,
    "kpiDefinitions": _FIGURES,
    "kpi": _FIGURES,
    "explainKpi": _FIGURES,
    "retentionCohorts": _FIGURES,
    "campaignResults": _FIGURES,
    "customerCards": _SHOP - {Role.WAREHOUSE, Role.EDITOR},
    "orderCount": _SHOP,
    "orderStates": STAFF | {Role.AUDITOR},
    "ordersDue": STAFF | {Role.AUDITOR},
    "topSkus": _FIGURES,
    "explain": _FIGURES,
    "events": _AUDIT,
    "head": STAFF | {Role.AUDITOR},
    "projections": STAFF | {Role.AUDITOR},
    "verification": _AUDIT,
}
"""Root field of Query -> the roles that may ask it, beside those of `ALWAYS`."""

FOLLOWS = {"events": "events", "figures": "kpiDaily", "projectionProgress": "projections"}
"""Root field of Subscription -> the question whose roles may follow it."""

PRICE_BLIND = frozenset({Role.WAREHOUSE, Role.STOREFRONT, Role.CUSTOMER})
"""Roles that see no cost."""


@functools.cache
def commands_of(role: Role) -> frozenset[str]:
    """Return the names of the commands that a role may give."""
    return frozenset(name for name, command in COMMANDS.items() if may_give(role, command))


def may_give(role: Role, command: type[Command]) -> bool:
    """Say whether a role may give a command, whatever the store."""
    return role in ALWAYS or role in command.ROLES


def may_ask(role: Role, field: str) -> bool:
    """Say whether a role may select a root field of Query."""
    return role in ALWAYS or role in READS.get(field, frozenset())


def may_follow(role: Role, field: str) -> bool:
    """Say whether a role may select a root field of Subscription."""
    return may_ask(role, FOLLOWS.get(field, field))


def may_see_cost(role: Role) -> bool:
    """Say whether a role sees what goods cost."""
    return role not in PRICE_BLIND


def may_see_events(role: Role) -> bool:
    """Say whether a role may read the log itself."""
    return may_ask(role, "events")

"""The schema: questions written by hand, commands made from the domain, and its text for everybody else."""

from __future__ import annotations

import functools
from typing import Any

import strawberry
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig
from strawberry.schema_directive import Location

from opscore.api.bulk import bulk_field
from opscore.api.exports import ExportMutations
from opscore.api.kinds import KINDS
from opscore.api.kinds import mutations as mutations
from opscore.api.mutations import mutation_type
from opscore.api.projection_mutations import ProjectionMutations
from opscore.api.queries import Query
from opscore.api.scalars import SCALARS
from opscore.api.subscriptions import Subscription
from opscore.api.webhooks import WebhookMutations
from opscore.domain.command import Role
from opscore.permissions import table

OPERATIONS: tuple[type, ...] = (WebhookMutations, ExportMutations, ProjectionMutations)
"""The mutations that are no commands of the domain."""

HELD_BY_NOBODY = frozenset({Role.SYSTEM})
"""Roles of the program itself, which no token has."""


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="The roles that may select this. To others a question, a subscription or a mutation that records no "
    "event is refused as FORBIDDEN, a command as NOT_AUTHORISED; a field of an object is null or empty. Without it, "
    "whoever sees the object sees it.",
)
class Access:
    roles: list[Role]


@functools.cache
def build_schema() -> strawberry.Schema:
    """Return the schema; made once for the process."""
    schema = strawberry.Schema(
        query=Query,
        mutation=mutation_type(mutations(), OPERATIONS, bulk_field),
        subscription=Subscription,
        types=[kind.type_ for kind in KINDS.values()],
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
    )
    for place, roles in table().items():
        type_name, _, name = place.partition(".")
        shown = Access(roles=sorted(roles - HELD_BY_NOBODY, key=list(Role).index))
        _field(schema, type_name, name).directives.append(shown)
    return schema


def _field(schema: strawberry.Schema, type_name: str, name: str) -> Any:
    """Return a field by the names of the schema; raises KeyError when a rule names what is not there."""
    definition: Any = schema.get_type_by_name(type_name)
    for field in definition.fields if definition is not None else ():
        if schema.config.name_converter.get_graphql_name(field) == name:
            return field
    raise KeyError(f"a permission names {type_name}.{name}, which the schema does not have")


def export_schema() -> str:
    """Return the schema as text (SDL), for schema/opscore.graphql."""
    return print_schema(build_schema()) + "\n"

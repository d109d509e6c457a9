"""The schema: questions written by hand, commands made from the domain, and its text for everybody else."""

from __future__ import annotations

import functools

import strawberry
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig

from opscore.api.mutations import Mutation, make_mutations, mutation_type
from opscore.api.queries import KINDS, Query
from opscore.api.scalars import SCALARS
from opscore.api.subscriptions import Subscription


@functools.cache
def mutations() -> dict[str, Mutation]:
    """Return the mutations of the schema by name; made once for the process."""
    return make_mutations(KINDS)


@functools.cache
def build_schema() -> strawberry.Schema:
    """Return the schema; made once for the process."""
    return strawberry.Schema(
        query=Query,
        mutation=mutation_type(mutations()),
        subscription=Subscription,
        types=[kind.type_ for kind in KINDS.values()],
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
    )


def export_schema() -> str:
    """Return the schema as text (SDL), for schema/opscore.graphql."""
    return print_schema(build_schema()) + "\n"

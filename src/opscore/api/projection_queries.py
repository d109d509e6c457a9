"""Questions about read models: what there is to do, what may be asked of any of them, rows of any, stored compares."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import strawberry

from opscore.api import projections as views
from opscore.api.arguments import After, AtLeast, ContextInfo, First, StoreIds, stores
from opscore.api.errors import BadInput
from opscore.api.paging import Connection, connection, moment, number, plain_id, window, word
from opscore.api.scalars import Json
from opscore.api.selected import wants_total
from opscore.projector import ProjectionRefused

Projection = Annotated[
    str,
    strawberry.argument(
        description="The read model, such as kpi_daily; a copy that a replay has made by its name, such as "
        "march/kpi_daily."
    ),
]
Version = Annotated[int | None, strawberry.argument(description="This version of it; the one that serves if left out.")]


@strawberry.type
class ProjectionQueries:
    """Questions about read models of any kind."""

    @strawberry.field(description="What differs between the folders of projections and what is deployed.")
    async def projection_plan(self, info: ContextInfo) -> list[views.ProjectionPlanLine]:
        context = info.context
        views.require_all_stores(context)

        def read() -> list[views.ProjectionPlanLine]:
            return [
                views.ProjectionPlanLine(
                    name=line.name,
                    version=line.version,
                    serving=line.serving,
                    action=line.action,
                    why=line.why,
                    warning=line.warning,
                )
                for line in context.services.read_models.plan()
            ]

        return await context.services.read(views.said_plainly, read)

    @strawberry.field(description="What may be asked of a read model by `projectionRows`, and what comes back.")
    async def projection_queries(
        self, info: ContextInfo, projection: Projection, version: Version = None
    ) -> list[views.ProjectionQuery]:
        projector = info.context.services.read_models

        def read() -> list[views.ProjectionQuery]:
            try:
                return [views.query_view(each) for each in projector.questions(projection, version=version)[1]]
            except ProjectionRefused as refused:
                raise BadInput(str(refused)) from None

        return await info.context.services.read(read)

    @strawberry.field(
        description="Rows of any read model, an operator's own included, by one of its queries: within the stores that "
        "the token may see, for at most five seconds a page."
    )
    async def projection_rows(
        self,
        info: ContextInfo,
        projection: Projection,
        query: Annotated[str, strawberry.argument(description="The query, as `projectionQueries` names it.")],
        first: First = None,
        after: After = None,
        parameters: Annotated[
            Json | None,
            strawberry.argument(
                description='Values by name, such as {"from_day": "2026-02-01"}; what is left out is null. Global ids '
                "are taken for *_id."
            ),
        ] = None,
        filters: Annotated[
            list[views.ProjectionFilter] | None, strawberry.argument(description="Conditions on columns of the answer.")
        ] = None,
        version: Version = None,
        store_ids: StoreIds = None,
        at_least: AtLeast = None,
    ) -> views.ProjectionRows:
        context = info.context
        return await context.services.read(
            views.rows,
            context,
            projection,
            query,
            parameters or {},
            filters or [],
            version,
            (first, after),
            stores(context, store_ids),
            at_least,
        )

    @strawberry.field(description="The comparisons of versions that were made, latest first.")
    async def projection_compares(
        self,
        info: ContextInfo,
        projection: Annotated[
            str | None, strawberry.argument(description="Only of this read model; of all if left out.")
        ] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[views.ProjectionCompare]:
        context = info.context
        views.require_all_stores(context)
        binding, counted = f"compares:{projection}", wants_total(info)
        asked = window(binding, (moment, plain_id), first, after, None, None)

        def read() -> Any:
            found = context.services.read_models.compares_page(projection, after=asked.after, limit=asked.fetch)
            return connection(
                found,
                asked,
                binding,
                lambda each: [each.compared_at.isoformat(), str(each.id)],
                views.compare_view,
                context.services.read_models.compares_count(projection) if counted else None,
            )

        return await context.services.read(read)

    @strawberry.field(description="Which version was let serve when, by whom, on which comparison; latest first.")
    async def projection_promotions(
        self,
        info: ContextInfo,
        projection: Annotated[
            str | None, strawberry.argument(description="Only of this read model; of all if left out.")
        ] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[views.ProjectionPromotion]:
        context = info.context
        views.require_all_stores(context)
        binding, counted = f"promotions:{projection}", wants_total(info)
        asked = window(binding, (moment, word, number), first, after, None, None)

        def read() -> Any:
            projector = context.services.read_models
            return connection(
                projector.promotions(projection, after=asked.after, limit=asked.fetch),
                asked,
                binding,
                lambda each: [each.promoted_at.isoformat(), each.name, each.number],
                views.promotion_view,
                projector.promotions_count(projection) if counted else None,
            )

        return await context.services.read(read)

    @strawberry.field(
        description="One comparison of versions; null when there is none of this id (yet). One that was asked for and "
        "could not be made is an error that says why and what to do."
    )
    async def projection_compare(
        self,
        info: ContextInfo,
        id: Annotated[UUID, strawberry.argument(description="Its id.")],  # noqa: A002
    ) -> views.ProjectionCompare | None:
        context = info.context
        views.require_all_stores(context)
        found = await context.services.read(context.services.read_models.compared, id)
        if found is None and (why := await context.services.read(context.services.comparisons.refusal, id)) is not None:
            raise BadInput(f"This comparison was not made: {why}.")
        return None if found is None else views.compare_view(found)

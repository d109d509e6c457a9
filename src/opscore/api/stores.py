"""Stores as the API shows them."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry.types import Info

from opscore.api.agreements import StoreAgreement, agreement_view
from opscore.api.commissions import CommissionScheme, CommissionSettlement, scheme_view, settlement_view
from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.history import HistoryEvent, history_field
from opscore.api.money import Money, money
from opscore.api.nodes import Stream, stream_fields
from opscore.api.paging import Connection
from opscore.api.purchases import StoreSupplier, supplier_view
from opscore.api.scalars import Json
from opscore.api.store_heroes import HeroSkus, hero_skus
from opscore.api.store_plans import OperatingBudget, SalesTarget, budgets, sales_targets
from opscore.api.store_profile import PlatformPenalty, StorePositioning, penalties, positioning
from opscore.domain import store as domain
from opscore.domain.calendars import CalendarKind
from opscore.domain.store_events import DepartureStatus, DocumentKind, LocationKind, StaffRole, StoreStatus
from opscore.domain.store_state import Departure, answering, held_on
from opscore.permissions import may_see_field

expose(StoreStatus)
expose(LocationKind)
expose(DocumentKind)
expose(CalendarKind)
expose(StaffRole)
expose(DepartureStatus)


@strawberry.type(description="A place of the store that holds stock.")
class Location:
    location_id: UUID = strawberry.field(description="Its id, which commands about stock take.")
    kind: LocationKind = strawberry.field(description="What kind of place it is.")
    name: str = strawberry.field(description="What people call it.")
    region: str | None = strawberry.field(description="Where it is.")
    radius_km: Decimal | None = strawberry.field(description="How far it delivers, in kilometres.")
    open: bool = strawberry.field(description="Whether it is in use.")


@strawberry.type(description="Working days and hours.")
class Calendar:
    kind: str = strawberry.field(description="What is counted by it: the business itself or the service desk.")
    weekdays: list[int] = strawberry.field(description="Days of the week, 1 is Monday.")
    opens: str = strawberry.field(description='Local time of opening, "09:00".')
    closes: str = strawberry.field(description='Local time of closing, "17:00".')
    holidays: list[str] = strawberry.field(description="ISO dates on which it is closed.")
    extra_days: list[str] = strawberry.field(description="ISO dates on which it works besides.")


@strawberry.type(description="A document on file; its number is personal or secret and is not shown.")
class StoreDocument:
    kind: DocumentKind = strawberry.field(description="Which document it is.")
    brand: str | None = strawberry.field(description="The brand it is about.")
    categories: list[str] = strawberry.field(description="The categories it covers.")
    valid_from: date | None = strawberry.field(description="First day of its validity.")
    valid_until: date | None = strawberry.field(description="Last day of its validity.")


@strawberry.type(description="One version of a policy of the store.")
class StorePolicy:
    kind: str = strawberry.field(description="Which policy it is.")
    policy_version: int = strawberry.field(description="Its version, counted for each kind.")
    effective_from: datetime = strawberry.field(description="From when on it is in force.")
    params: Json = strawberry.field(description="Its parameters; decimals are strings.")


@strawberry.type(
    description="That somebody has a role in the store. It is a record of who answers for what; what they may do is "
    "said by their token."
)
class StaffAssignment:
    person: str = strawberry.field(description="Who: the pseudonym that events name as the actor.")
    role: StaffRole = strawberry.field(description="The role.")
    from_day: date = strawberry.field(description="First day, in the store's calendar.")
    until_day: date | None = strawberry.field(description="Last day; null while no end is known.")


@strawberry.type(description="Who takes a role over from somebody who leaves.")
class StaffHandover:
    role: StaffRole = strawberry.field(description="The role.")
    to: str = strawberry.field(description="Who answers for it then: a pseudonym.")


@strawberry.type(description="That somebody leaves the store's staff, or left.")
class StaffDeparture:
    person: str = strawberry.field(description="Who: the pseudonym that events name as the actor.")
    status: DepartureStatus = strawberry.field(description="How far they are with leaving.")
    noticed_on: date | None = strawberry.field(description="Day on which they gave notice; null if they never did.")
    last_day: date = strawberry.field(description="Their last day, in the store's calendar.")
    waiver_reason: str | None = strawberry.field(
        description="Why a shorter notice was accepted; null where it was long enough."
    )
    handovers: list[StaffHandover] = strawberry.field(description="The roles that were handed over, and to whom.")
    open_roles: list[StaffRole] = strawberry.field(description="The roles that are still to be handed over.")


@strawberry.type(description="Who answers for a role on a day.")
class Responsibility:
    role: StaffRole = strawberry.field(description="The role.")
    people: list[str] = strawberry.field(
        description="Those who have it, else the managers: pseudonyms; empty where there is no manager either."
    )
    falls_to_manager: bool = strawberry.field(description="Whether nobody has it, so that its work is the managers'.")


@strawberry.type(description="One store of the operator on one platform.")
class Store(Stream):
    history: Connection[HistoryEvent] | None = history_field("Store")
    name: str = strawberry.field(description="Its name, unique for the operator.")
    operator: str = strawberry.field(description="Who runs it.")
    platform: str = strawberry.field(description="The platform it is on.")
    kind: str = strawberry.field(description="Which kind of store it is there.")
    status: StoreStatus = strawberry.field(description="How far it is between application and closing.")
    currency_code: str = strawberry.field(description="ISO 4217 code of its currency.")
    time_zone: str = strawberry.field(description="IANA zone of its calendar days.")
    company: str | None = strawberry.field(description="The company behind it.")
    brands: list[str] = strawberry.field(description="Brands it may sell.")
    categories: list[str] = strawberry.field(description="Categories it may sell.")
    audit_due_at: datetime | None = strawberry.field(description="When the running audit should have ended.")
    deposit: Money | None = strawberry.field(description="What is frozen as deposit; null for the shop's front.")
    service_fee: Money | None = strawberry.field(description="What was paid as service fee; null for the shop's front.")
    suspended_until: datetime | None = strawberry.field(description="Until when it is suspended, if that is known.")
    closed_at: datetime | None = strawberry.field(description="When it was closed.")
    payment_methods: list[str] = strawberry.field(description="Payment methods it takes.")
    couriers: list[str] = strawberry.field(description="Couriers it ships with, the preferred one first.")
    remote_courier: str | None = strawberry.field(description="The courier for remote regions.")
    remote_regions: list[str] = strawberry.field(description="Regions that this courier serves.")
    locations: list[Location] = strawberry.field(description="Places that hold stock, in the order of picking.")
    calendars: list[Calendar] = strawberry.field(description="Working days and hours that were set.")
    documents: list[StoreDocument] = strawberry.field(description="Documents on file; none for the shop's front.")
    policies: list[StorePolicy] = strawberry.field(description="Policies that were set, oldest first for each kind.")
    staff: list[StaffAssignment] = strawberry.field(
        description="Who has, had or will have which role, in the order in which it was assigned; none for the shop's "
        "front."
    )
    departures: list[StaffDeparture] = strawberry.field(
        description="Who leaves the staff, and who left, the latest word last; none for the shop's front."
    )
    suppliers: list[StoreSupplier] = strawberry.field(
        description="Its suppliers, in the order in which they applied; none for the shop's front."
    )
    logo_reference: str | None = strawberry.field(description="Where its logo is kept.")
    announcement: str | None = strawberry.field(description="What it tells its buyers now.")
    introduction: str | None = strawberry.field(description="What it says of itself and its brand.")
    positioning: StorePositioning | None = strawberry.field(
        description="Whom it is for; null for the shop's front, and while nobody has said."
    )
    penalties: list[PlatformPenalty] = strawberry.field(
        description="What the platform penalised it for, oldest first; none for the shop's front."
    )
    sales_targets: list[SalesTarget] = strawberry.field(
        description="What it is to sell, month by month; none for roles that see no figures."
    )
    budgets: list[OperatingBudget] = strawberry.field(
        description="What running it may cost, by month and category; none for roles that see no figures."
    )
    hero_skus: list[HeroSkus] = strawberry.field(
        description="Its hero articles, list by list; none for the shop's front."
    )
    capital: Money | None = strawberry.field(
        description="What was put into it, of which K101 and K103 tell what became; null for roles that see no figures."
    )
    commission_schemes: list[CommissionScheme] = strawberry.field(
        description="Schemes of commission, as they were proposed; none for the shop's front."
    )
    commission_settlements: list[CommissionSettlement] = strawberry.field(
        description="Settled months, oldest first; none for roles that do not see what others are paid."
    )
    agreements: list[StoreAgreement] = strawberry.field(
        description="Its agency agreements, oldest first; none for roles that do not see what others are paid."
    )

    @strawberry.field(
        description="Who answers for each role on a day, those who have it or else the managers; nothing for the "
        "shop's front."
    )
    def responsibilities(
        self,
        info: Info,
        on_day: Annotated[
            date | None, strawberry.argument(description="The day, in the store's calendar; today if left out.")
        ] = None,
    ) -> list[Responsibility]:
        if not may_see_field(info.context.viewer.role, "Store.responsibilities"):
            return []
        store: domain.Store = self.source
        day = on_day or store.local_date(datetime.now(UTC))
        held = {period.role for period in store.staff if period.takes_in(day)}
        return [
            Responsibility(
                role=role,
                people=answering(store.staff, role, day),
                falls_to_manager=role not in held and role is not StaffRole.MANAGER,
            )
            for role in StaffRole
        ]


def store_view(store: domain.Store, context: Context) -> Store:
    """Return a store as the API shows it."""
    currency = store.currency
    inner = may_see_field(context.viewer.role, "Store.deposit")
    plans = may_see_field(context.viewer.role, "Store.salesTargets")
    pay = may_see_field(context.viewer.role, "Store.commissionSettlements")
    return Store(
        **stream_fields(store),
        name=store.name,
        operator=store.operator,
        platform=store.platform,
        kind=store.kind,
        status=store.status,
        currency_code=currency,
        time_zone=store.time_zone,
        company=store.company,
        brands=list(store.brands),
        categories=list(store.categories),
        audit_due_at=store.audit_due_at,
        deposit=money(store.deposit_minor, currency) if inner else None,
        service_fee=money(store.service_fee_minor, currency) if inner else None,
        suspended_until=store.suspended_until,
        closed_at=store.closed_at,
        payment_methods=list(store.payment_methods),
        couriers=list(store.couriers),
        remote_courier=store.remote_courier,
        remote_regions=list(store.remote_regions),
        locations=[_location(key, each) for key, each in store.locations.items()],
        calendars=[_calendar(kind, each) for kind, each in store.calendars.items()],
        documents=[
            StoreDocument(
                kind=each.kind,
                brand=each.brand,
                categories=list(each.categories),
                valid_from=each.valid_from,
                valid_until=each.valid_until,
            )
            for each in store.documents.values()
            if inner
        ],
        policies=[
            StorePolicy(
                kind=kind,
                policy_version=each.policy_version,
                effective_from=each.effective_from,
                params=Json(each.params),
            )
            for kind, versions in store.policies.items()
            for each in versions
        ],
        staff=[
            StaffAssignment(person=each.person, role=each.role, from_day=each.from_day, until_day=each.until_day)
            for each in store.staff
            if inner
        ],
        departures=[_departure(each, store) for each in store.departures if inner],
        suppliers=[supplier_view(key, each, currency) for key, each in store.suppliers.items() if inner],
        logo_reference=store.profile.logo_reference,
        announcement=store.profile.announcement,
        introduction=store.profile.introduction,
        positioning=positioning(store) if inner else None,
        penalties=penalties(store) if inner else [],
        sales_targets=sales_targets(store) if plans else [],
        budgets=budgets(store) if plans else [],
        hero_skus=hero_skus(store) if inner else [],
        capital=money(store.plans.capital_minor, currency) if plans else None,
        commission_schemes=[scheme_view(each, currency) for each in store.commissions.schemes if inner],
        commission_settlements=[settlement_view(each, currency) for each in store.commissions.settlements if pay],
        agreements=[agreement_view(key, each, currency) for key, each in store.agreements.items() if pay],
    )


def _departure(departure: Departure, store: domain.Store) -> StaffDeparture:
    under_way = departure.status is DepartureStatus.NOTICED
    held = held_on(store.staff, departure.person, departure.last_day) if under_way else []
    return StaffDeparture(
        person=departure.person,
        status=departure.status,
        noticed_on=departure.noticed_on,
        last_day=departure.last_day,
        waiver_reason=departure.waiver_reason,
        handovers=[StaffHandover(role=role, to=to) for role, to in departure.handovers.items()],
        open_roles=[role for role in held if role not in departure.handovers],
    )


def _location(location_id: UUID, location: Any) -> Location:
    return Location(
        location_id=location_id,
        kind=location.kind,
        name=location.name,
        region=location.region,
        radius_km=location.radius_km,
        open=location.open,
    )


def _calendar(kind: str, calendar: Any) -> Calendar:
    return Calendar(
        kind=kind,
        weekdays=list(calendar.weekdays),
        opens=calendar.opens,
        closes=calendar.closes,
        holidays=list(calendar.holidays),
        extra_days=list(calendar.extra_days),
    )

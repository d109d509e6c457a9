"""The numbers that rules work with: each kind of policy is a typed struct with defaults and limits of its own.

A store that never sets a policy works by the defaults here. Setting one (`SetPolicy`) adds a version that is in force
from a moment on; what was decided before keeps the numbers it was decided by.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, Any, ClassVar, Self

import msgspec
from msgspec import Meta

from opscore.domain.refusals import Refusal
from opscore.domain.values import MAX_PLACES, Code, Count, NonNegativeCount, NonNegativeMinor, Value

# How it says no ------------------------------------------------------------------------------------------------------


class PolicyUnknown(Refusal):
    """There is no policy '{kind}'; the kinds are {known}."""


class PolicyInvalid(Refusal):
    """These parameters do not make a policy '{kind}': {why}."""


# Kinds of policy -----------------------------------------------------------------------------------------------------

POLICIES: dict[str, type[Policy]] = {}
"""Every kind of policy by the name it is set under."""


class Policy(Value):
    """Parameters that rules read. A subclass is one kind; its fields have defaults, so that none need be set."""

    KIND: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        POLICIES[cls.KIND] = cls

    @classmethod
    def default(cls, platform: str, currency: str) -> Self:
        """Return what holds for a store of this platform and currency that has not set this policy."""
        return cls()


Days = Annotated[int, Meta(ge=0, le=3650)]
Hours = Annotated[int, Meta(ge=1, le=8784)]


class PlatformTerms(Policy):
    """What the platform asks of a store before it opens. An amount that is None is not known and has to be set."""

    KIND: ClassVar[str] = "platform_terms"
    deposit_minor: NonNegativeMinor | None = None
    service_fee_minor: NonNegativeMinor | None = None
    audit_expected_days: Days = 3
    audit_due_days: Days = 7
    auto_debit_required: bool = True
    required_documents: tuple[Code, ...] = ("business_licence", "tax_registration")
    brand_authorisation_required: bool = True
    licensed_categories: tuple[Code, ...] = ("food", "medical_device")
    """Categories that need a licence of their own."""

    def __post_init__(self) -> None:
        if self.audit_expected_days > self.audit_due_days:
            raise ValueError("audit_expected_days may not be above audit_due_days")

    @classmethod
    def default(cls, platform: str, currency: str) -> Self:
        """Return the platform's published terms; a shop of one's own asks for nothing."""
        if platform in OWN_PLATFORMS:
            return cls(
                deposit_minor=0,
                service_fee_minor=0,
                auto_debit_required=False,
                required_documents=(),
                brand_authorisation_required=False,
                licensed_categories=(),
            )
        deposit_minor, service_fee_minor = PUBLISHED_TERMS.get((platform, currency), (None, None))
        return cls(deposit_minor=deposit_minor, service_fee_minor=service_fee_minor)


OWN_PLATFORMS = frozenset({"own", "wechat"})
"""Shops on one's own site or mini program: no platform company stands between."""

PLATFORMS = frozenset({"taobao", "tmall", "jd", "pinduoduo", "vip"}) | OWN_PLATFORMS
"""The platforms a store can be on."""

PUBLISHED_TERMS: Mapping[tuple[str, str], tuple[int, int]] = {("tmall", "CNY"): (10_000_00, 6_000_00)}
"""Deposit and service fee, minor units, by platform and currency."""


class ShipPromise(Policy):
    """Hours from payment by which a paid order ships: generally, and at the latest. Wall clock, weekends included."""

    KIND: ClassVar[str] = "ship_promise"
    soft_hours: Hours = 24
    hard_hours: Hours = 48

    def __post_init__(self) -> None:
        if self.soft_hours > self.hard_hours:
            raise ValueError("soft_hours may not be above hard_hours")


class OrderTerms(Policy):
    """How long an unpaid order holds its stock, and when a delivered one counts as received.

    A parcel of which nothing is heard for `stalled_days` is looked after. Goods that cost `inspection_from_minor` or
    more, in minor units of the store's currency, are looked at by whoever receives them; None: none have to be.
    """

    KIND: ClassVar[str] = "order_terms"
    expiry_minutes: Annotated[int, Meta(ge=1, le=525_600)] = 30
    auto_complete_days: Days = 10
    stalled_days: Days = 3
    inspection_from_minor: NonNegativeMinor | None = None


class Freight(Policy):
    """What a buyer pays for freight, in minor units of the store's currency, and from what goods on it is free."""

    KIND: ClassVar[str] = "freight"
    flat_minor: NonNegativeMinor = 0
    free_from_minor: NonNegativeMinor | None = None


class Relisting(Policy):
    """Whether an article that is off sale only because it sold out is listed again by itself once there is stock."""

    KIND: ClassVar[str] = "relisting"
    automatic: bool = False


class CostMethod(enum.StrEnum):
    """How units of one article that were bought at several costs are valued."""

    MOVING_AVERAGE = "moving_average"
    FIFO = "fifo"


class Costing(Policy):
    """How the stock of articles at home in this store is valued; from its first moment on the units in stock are
    taken over at the value that they have."""

    KIND: ClassVar[str] = "costing"
    method: CostMethod = CostMethod.MOVING_AVERAGE


class AfterSale(Policy):
    """Days after delivery in which goods may be sent back, for money or (as many if left out) for other goods."""

    KIND: ClassVar[str] = "after_sale"
    days: Days = 15
    exchange_days: Days | None = None


class PriceProtection(Policy):
    """Days after delivery in which a buyer gets the difference back when the price falls."""

    KIND: ClassVar[str] = "price_protection"
    days: Days = 7


class Reviews(Policy):
    """Days after completion in which buyers may review what they bought, and add to it; hours to reply in."""

    KIND: ClassVar[str] = "reviews"
    days: Days = 15
    addition_days: Days = 180
    reply_hours: Hours = 48


class ProblemKind(enum.StrEnum):
    """What a customer complains of; what does not match the page is apart from what does not match the picture."""

    NOT_DELIVERED = "not_delivered"
    LATE = "late"
    MISSING = "missing"
    WRONG_ITEM = "wrong_item"
    QUALITY = "quality"
    COURIER_DAMAGE = "courier_damage"
    PICTURE_DIFFERS = "picture_differs"
    PAGE_DIFFERS = "page_differs"
    PRICE = "price"
    REFUND = "refund"
    SERVICE = "service"
    OTHER = "other"


class CompensationRule(Value):
    """What one kind of problem is made good with: an amount, or a part of what was paid for the units concerned."""

    amount_minor: NonNegativeMinor | None = None
    share: Decimal | None = None

    def __post_init__(self) -> None:
        if (self.amount_minor is None) == (self.share is None):
            raise ValueError("a compensation rule has either amount_minor or share")
        if self.share is not None and not 0 <= self.share <= 1:
            raise ValueError("share lies between 0 and 1")

    def owed_minor(self, paid_minor: int) -> int:
        """Return what is given where this much was paid for the units concerned, rounded half-even to a minor unit."""
        if self.share is None:
            return self.amount_minor or 0
        return int((self.share * paid_minor).to_integral_value(rounding=ROUND_HALF_EVEN))


class Compensation(Policy):
    """What is given for which kind of problem, though no goods come back. A kind without a rule: nothing by itself.

    More than that is for owners and managers to give.
    """

    KIND: ClassVar[str] = "compensation"
    rules: dict[ProblemKind, CompensationRule] = {}


class PriceGuard(Policy):
    """Whether a list price has to lie between cost and market price, unless overridden with a reason."""

    KIND: ClassVar[str] = "price_guard"
    cost_is_floor: bool = True
    market_is_ceiling: bool = True


class CampaignRules(Policy):
    """Whether the time of a campaign is fixed once its warm-up has begun; if not, it can be moved until the start.

    And how many working days before it starts a place for advertising is handed in for review: as it should be, and at
    the least.
    """

    KIND: ClassVar[str] = "campaign_rules"
    frozen_from_warmup: bool = True
    review_days: Days = 5
    review_days_min: Days = 3

    def __post_init__(self) -> None:
        if self.review_days_min > self.review_days:
            raise ValueError("review_days_min may not be above review_days")


class AdService(Policy):
    """How often somebody looks at advertising and adjusts it, in days on which it runs.

    It is adjusted at least once in so many working days, and looked at every working day, or every day of the week. The
    first plan under an agency agreement is launched within so many working days of the first fee.
    """

    KIND: ClassVar[str] = "ad_service"
    first_plan_days: Annotated[int, Meta(ge=1, le=365)] = 5
    adjust_days: Annotated[int, Meta(ge=1, le=365)] = 2
    monitor_every_day: bool = False


class ZeroPrice(Policy):
    """Goods given for the postage alone: how many a customer may have, unless the campaign's line says otherwise."""

    KIND: ClassVar[str] = "zero_price"
    max_per_customer: Count = 1


class MemberTier(Value):
    """A tier of membership, and the spend that gives it (None: by hand only)."""

    name: Code
    spend_minor: NonNegativeMinor | None = None
    discount: Decimal = Decimal(1)
    """Factor on the list price of goods that have no price of their own for the tier: 0.98 is 2 % off."""


class Membership(Policy):
    """The tiers, lowest first. No spend is set by default: membership by spend is off until it is."""

    KIND: ClassVar[str] = "membership"
    tiers: tuple[MemberTier, ...] = (MemberTier(name="member", discount=Decimal("0.98")),)

    def __post_init__(self) -> None:
        names = [tier.name for tier in self.tiers]
        if len(set(names)) != len(names):
            raise ValueError("two tiers have the same name")
        if any(not 0 < tier.discount <= 1 for tier in self.tiers):
            raise ValueError("a tier's discount is a factor above 0 and at most 1")
        spends = [tier.spend_minor for tier in self.tiers if tier.spend_minor is not None]
        if spends != sorted(spends):
            raise ValueError("a higher tier may not ask for less spend than a lower one")

    def tier(self, name: str) -> MemberTier | None:
        """Return the tier of this name."""
        return next((tier for tier in self.tiers if tier.name == name), None)

    def factors(self) -> dict[str, Decimal]:
        """Return what part of the list price each tier pays where that is less than all of it."""
        return {tier.name: tier.discount for tier in self.tiers if tier.discount < 1}

    def tier_by_spend(self, spend_minor: int) -> MemberTier | None:
        """Return the highest tier that this much spend gives."""
        reached = [tier for tier in self.tiers if tier.spend_minor is not None and spend_minor >= tier.spend_minor]
        return reached[-1] if reached else None

    def is_higher(self, name: str, than: str) -> bool:
        """Say whether the one tier stands above the other; not if either is not offered any more."""
        names = [tier.name for tier in self.tiers]
        return name in names and than in names and names.index(name) > names.index(than)


class PointsRule(Value):
    """What one kind of behaviour earns: a fixed number of points, or one point for every so many minor units."""

    points: Count | None = None
    minor_per_point: Count | None = None

    def __post_init__(self) -> None:
        if (self.points is None) == (self.minor_per_point is None):
            raise ValueError("a points rule has either points or minor_per_point")

    def earned(self, amount_minor: int) -> int:
        """Return the points for a purchase amount; part points are not given."""
        if self.minor_per_point is None:
            return self.points or 0
        return max(amount_minor, 0) // self.minor_per_point


class Points(Policy):
    """What earns points, what a point pays for, how long it lives. No behaviour earns any until its rule is set."""

    KIND: ClassVar[str] = "points"
    rules: dict[Code, PointsRule] = {}
    value_minor: NonNegativeMinor = 1
    """What one point is worth when it pays for goods, in minor units of the currency of the store whose policy this is.

    Points belong to the operator's customer and know no currency; each store, which has one, says what it takes them
    for. An operator with stores in several currencies sets this in each.
    """
    share_of_goods_max: Decimal = Decimal(1)
    """Part of an order's goods that points may pay for."""
    lifetime_days: Annotated[int, Meta(ge=1, le=36_500)] | None = 365

    def __post_init__(self) -> None:
        if not 0 <= self.share_of_goods_max <= 1:
            raise ValueError("share_of_goods_max lies between 0 and 1")


class SupplierDocumentKind(enum.StrEnum):
    """What a document of a supplier proves."""

    LICENCE = "licence"
    TAX = "tax"
    ORGANISATION = "organisation"
    TRADEMARK = "trademark"
    BRAND_AUTHORISATION = "brand_authorisation"
    PRODUCTION_LICENCE = "production_licence"


class SupplierRules(Policy):
    """Which documents a supplier hands in before it is found fit, and what deposit it leaves, in minor units.

    Who deals in a brand that somebody else makes hands in `dealer_documents` besides.
    """

    KIND: ClassVar[str] = "supplier_rules"
    required_documents: tuple[SupplierDocumentKind, ...] = (
        SupplierDocumentKind.LICENCE,
        SupplierDocumentKind.TAX,
        SupplierDocumentKind.ORGANISATION,
    )
    dealer_documents: tuple[SupplierDocumentKind, ...] = (SupplierDocumentKind.BRAND_AUTHORISATION,)
    deposit_minor: NonNegativeMinor = 0

    @classmethod
    def default(cls, platform: str, currency: str) -> Self:
        """Return what is asked of suppliers where nothing is set: the deposit is customary in yuan alone."""
        return cls(deposit_minor=20_000_00 if currency == "CNY" else 0)


class Inspection(Policy):
    """Whether what comes in by a purchase waits in quarantine until somebody has looked at it.

    And what residue goods of a category may have at most to be sold, in a unit of the store's choice; as long as none
    was measured, none of them passes.
    """

    KIND: ClassVar[str] = "inspection"
    receipts: bool = False
    residue_limits: dict[Code, Decimal] = {}

    def __post_init__(self) -> None:
        if any(not (limit.is_finite() and limit >= 0) for limit in self.residue_limits.values()):
            raise ValueError("a residue limit is a number of 0 or more")


class StaffTerms(Policy):
    """How many months ahead whoever leaves the staff gives notice: to the same day of the month, or its last one."""

    KIND: ClassVar[str] = "staff_terms"
    notice_months: Annotated[int, Meta(ge=0, le=24)] = 1


class AgencyAgreement(Policy):
    """How an agency agreement ends or goes on: days of notice, days before its end by which a renewal is asked for,
    days to answer that, and how many breaches of the other party are reason enough to end it at once."""

    KIND: ClassVar[str] = "agreement"
    notice_days: Days = 30
    renewal_days: Days = 30
    answer_days: Annotated[int, Meta(ge=1, le=365)] = 5
    breaches: Annotated[int, Meta(ge=1, le=1000)] = 3

    def __post_init__(self) -> None:
        if self.answer_days >= self.renewal_days:
            # Otherwise an agreement could be over before it is known whether it goes on.
            raise ValueError("answer_days lies below renewal_days")


class GradeTerms(Value):
    """What the figures of a month have to be for a store to be in a grade; None: this one does not matter.

    attainment_min: sales by the month's target, 1 where it was met. growth_min: over the base of the commission scheme.
    margin_min: gross margin by net sales. breach_share_max: orders not shipped by the hard promise, by orders due.
    """

    grade: Code
    attainment_min: Decimal | None = None
    growth_min: Decimal | None = None
    margin_min: Decimal | None = None
    breach_share_max: Decimal | None = None

    def __post_init__(self) -> None:
        bounds = (self.attainment_min, self.growth_min, self.margin_min, self.breach_share_max)
        if any(each is not None and (not each.is_finite() or each != round(each, MAX_PLACES)) for each in bounds):
            raise ValueError(f"what a grade asks for are numbers with {MAX_PLACES} decimal places at most")


class StoreGrades(Policy):
    """The grades a store can be in, best first, with what each of them asks of a month. None is set by default.

    A month is graded by the version that was in force when it began, whatever was set while it ran.
    """

    KIND: ClassVar[str] = "store_grades"
    grades: Annotated[tuple[GradeTerms, ...], Meta(max_length=50)] = ()

    def __post_init__(self) -> None:
        names = [each.grade for each in self.grades]
        if len(set(names)) != len(names):
            raise ValueError("two grades have the same name")


class SegmentTerms(Value):
    """Which buyers of a store are in a segment; None: this one does not matter.

    days: so many are looked at, of which the one asked for is the last; None: all that is on record. orders: those paid
    and not given back as a whole, at least one. spend: goods paid, less those refunded, in the store's currency.
    campaign_share_min: part of that which was bought in campaigns. quiet_days: since the last such order.
    """

    segment: Code
    days: Count | None = None
    orders_min: Count | None = None
    orders_max: Count | None = None
    spend_min_minor: NonNegativeMinor | None = None
    spend_max_minor: NonNegativeMinor | None = None
    campaign_share_min: Decimal | None = None
    quiet_days_min: Count | None = None
    quiet_days_max: NonNegativeCount | None = None

    def __post_init__(self) -> None:
        share = self.campaign_share_min
        if share is not None and not (share.is_finite() and 0 <= share <= 1 and share == round(share, MAX_PLACES)):
            raise ValueError(f"campaign_share_min is a part of 1, with {MAX_PLACES} decimal places at most")
        bounds = (
            ("orders", self.orders_min, self.orders_max),
            ("spend", self.spend_min_minor, self.spend_max_minor),
            ("quiet_days", self.quiet_days_min, self.quiet_days_max),
        )
        for what, least, most in bounds:
            if least is not None and most is not None and least > most:
                raise ValueError(f"of {what}, the least is more than the most, so that nobody would be in the segment")
        if self.days is not None and self.quiet_days_min is not None and self.quiet_days_min >= self.days:
            raise ValueError("quiet_days_min lies below days, or nobody would be in the segment")


class CustomerSegments(Policy):
    """By which rules buyers fall into groups, each into as many as they meet. None is set by default.

    On a day holds what was in force at its end, so that past days are told again as they were.
    """

    KIND: ClassVar[str] = "customer_segments"
    segments: Annotated[tuple[SegmentTerms, ...], Meta(max_length=50)] = ()

    def __post_init__(self) -> None:
        names = [each.segment for each in self.segments]
        if len(set(names)) != len(names):
            raise ValueError("two segments have the same name")


class FundShares(Value):
    """An amount in minor units, divided among the three funds of a store."""

    purchasing_minor: int
    working_minor: int
    other_minor: int


def _require_shares(working_share: Decimal, other_share: Decimal) -> None:
    if min(working_share, other_share) < 0 or working_share + other_share > 1:
        raise ValueError("working_share and other_share are parts of 1, together 1 at most; the rest is for purchasing")
    if any(share != round(share, MAX_PLACES) for share in (working_share, other_share)):
        raise ValueError(f"working_share and other_share have {MAX_PLACES} decimal places at most")


class CapitalSplit(Policy):
    """Which parts of the capital that is put into a store are working capital and other funds; the rest buys goods."""

    KIND: ClassVar[str] = "capital_split"
    working_share: Decimal = Decimal("0.20")
    other_share: Decimal = Decimal("0.10")

    def __post_init__(self) -> None:
        _require_shares(self.working_share, self.other_share)

    def shares(self, amount_minor: int) -> FundShares:
        """Divide capital: two shares rounded down to the minor unit, and what they leave for purchasing."""
        working, other = (int(amount_minor * share) for share in (self.working_share, self.other_share))
        return FundShares(purchasing_minor=amount_minor - working - other, working_minor=working, other_minor=other)


class IncomeSplit(Policy):
    """Which parts of each income become working capital and other funds; the rest buys goods. Figures go by it."""

    KIND: ClassVar[str] = "income_split"
    working_share: Decimal = Decimal("0.10")
    other_share: Decimal = Decimal("0.10")

    def __post_init__(self) -> None:
        _require_shares(self.working_share, self.other_share)


class SecondPerson(Policy):
    """Which checks need somebody other than the one who did the step before. A shop of one switches them off."""

    KIND: ClassVar[str] = "second_person"
    audit: bool = True
    sku_review: bool = True
    price_check: bool = True
    price_override: bool = True
    commission: bool = True
    review_decision: bool = True


# Versions ------------------------------------------------------------------------------------------------------------


class PolicyVersion(Value):
    """One version of a policy of a store, in force from a moment on (UTC)."""

    policy_version: int
    effective_from: datetime
    params: dict[str, Any]


def version_at(versions: list[PolicyVersion], at: datetime) -> PolicyVersion | None:
    """Return the version in force: the one that began last, and of two that began together the later one."""
    begun = [version for version in versions if version.effective_from <= at]
    return max(begun, key=lambda version: (version.effective_from, version.policy_version)) if begun else None


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _floats(item)


def read_policy(kind: str, params: Mapping[str, Any], *, platform: str, currency: str) -> Policy:
    """Return the policy that these parameters make; what is left out has its default for the platform and currency.

    Refuses: PolicyUnknown, PolicyInvalid (an unknown parameter, a value outside its limits, a float).
    """
    found = POLICIES.get(kind)
    if found is None:
        raise PolicyUnknown(kind=kind, known=", ".join(sorted(POLICIES)), path=("kind",))
    for number in _floats(params):
        raise PolicyInvalid(kind=kind, why=f"write {number} as a string, so that it stays exact", path=("params",))
    try:
        return msgspec.convert(stored_params(found.default(platform, currency)) | dict(params), found)
    except msgspec.ValidationError as invalid:
        raise PolicyInvalid(kind=kind, why=str(invalid), path=("params",)) from None


def stored_params(policy: Policy) -> dict[str, Any]:
    """Return a policy as plain JSON, every parameter spelled out: later defaults do not change it."""
    params: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(policy))
    return params

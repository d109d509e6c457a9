"""A campaign: what it is for, what it offers, when it runs, and what its offers have cost so far.

What is on record (events) is in campaign_events.py and can be imported from here; then, in this order: how it says no,
what it adds up to, what may happen next. The commands are in campaign_commands.py; places for advertising are planned
in campaign_resources.py, advertising itself in campaign_ads.py. Stock of a campaign lies in the SKU's allocation,
limits per customer with the customer, and what an order has claimed with the order: the state here stays as small as
the plan.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import get_args
from uuid import UUID

from opscore.domain.aggregate import Aggregate, folds
from opscore.domain.campaign_events import (
    AdBudgetAgreed,
    AdSpendRecorded as AdSpendRecorded,
    CampaignBudgetClaimed as CampaignBudgetClaimed,
    CampaignBudgetReleased as CampaignBudgetReleased,
    CampaignBudgetSet as CampaignBudgetSet,
    CampaignCancelled as CampaignCancelled,
    CampaignEnded as CampaignEnded,
    CampaignEvaluated as CampaignEvaluated,
    CampaignGoal as CampaignGoal,
    CampaignKind as CampaignKind,
    CampaignLineAdded as CampaignLineAdded,
    CampaignLineRemoved as CampaignLineRemoved,
    CampaignPaused as CampaignPaused,
    CampaignPlanned as CampaignPlanned,
    CampaignRenamed as CampaignRenamed,
    CampaignResumed as CampaignResumed,
    CampaignScheduled as CampaignScheduled,
    CampaignStarted as CampaignStarted,
    CampaignStatus as CampaignStatus,
    CampaignType as CampaignType,
    CouponClaimed as CouponClaimed,
    CouponReleased as CouponReleased,
    ForecastSet as ForecastSet,
    LineRole as LineRole,
    PriceCheckFailed as PriceCheckFailed,
    PriceCheckPassed as PriceCheckPassed,
    PriceDifference as PriceDifference,
    PromotionAdded as PromotionAdded,
    PromotionRemoved as PromotionRemoved,
    QuotedFigure as QuotedFigure,
)
from opscore.domain.campaign_state import (
    AdPlan,
    AdPlanEvent,
    AdSpend as AdSpend,
    CheckedPrice as CheckedPrice,
    Forecast as Forecast,
    Proposal,
    ProposalEvent,
    Resource,
    ResourceEvent,
    Supply,
    SupplyEvent,
    advertised,
    proposed,
    resourced,
    spent,
)
from opscore.domain.pricing import (
    Buyer,
    CampaignLine,
    CampaignOffers,
    CouponOff,
    CouponTerms,
    MemberScope,
    Promotion,
    PromotionScope,
    outside,
)
from opscore.domain.refusals import (
    CurrencyMismatch,
    InvalidField,
    NotFound,
    ReasonMissing,
    Refusal,
    SamePerson,
    WrongState,
)
from opscore.domain.values import plain

# How it says no -------------------------------------------------------------------------------------------------------


class CampaignNotLive(Refusal):
    """Campaign '{name}' cannot be used now: {why}; leave it out of the order."""


class CampaignNotInStore(Refusal):
    """Campaign '{name}' does not run in this store; leave it out of the order."""


class CampaignMembersOnly(Refusal):
    """Campaign '{name}' is not for this buyer: {why}."""


class CampaignIncomplete(Refusal):
    """The campaign lacks {part}; add it first."""


class CampaignLineBelowCost(Refusal):
    """{price} is below the cost of {cost}; give a reason, a quota and a loss budget, or a higher price."""


class LossBudgetTooSmall(Refusal):
    """Selling the whole quota would lose {loss_minor} minor units; approve a loss budget of that much, or a smaller
    quota."""


class PromotionsConflict(Refusal):
    """The campaign has a coupon with the code '{code}' already; use another code."""


class WindowInvalid(Refusal):
    """These times cannot be a campaign's: {why}."""


class OverlapsCampaign(Refusal):
    """Campaign '{name}' sells the same SKU in the same store from {starts_at} to {ends_at}; choose another time or
    SKU."""


class WarmupStarted(Refusal):
    """The campaign's time is fixed since its warm-up began at {since}; cancel it instead."""


class CampaignNotDue(Refusal):
    """The campaign starts by itself at {starts_at}; wait, or schedule it for another time."""


class PriceCheckOpen(Refusal):
    """Nobody has confirmed the prices on label, detail page and plan since they were entered; check them first."""


class StockNotAllocated(Refusal):
    """The quota of this SKU is {quota} but {allocated} are allocated; allocate campaign stock first."""


class CampaignBudgetUsed(Refusal):
    """The budget of campaign '{name}' has {left_minor} minor units left and this order needs {needed_minor}."""


class BudgetBelowClaimed(Refusal):
    """Orders have taken {claimed_minor} minor units already; the budget cannot be lower."""


class CouponInvalid(Refusal):
    """Coupon '{code}' cannot be used: {why}; leave it out."""


class CouponUsedUp(Refusal):
    """Coupon '{code}' has been used as often as it may be; leave it out."""


class AdRevisionSuperseded(Refusal):
    """Revision {revision} does not replace revision {known}, which is on record; send a higher revision."""


# What it adds up to ---------------------------------------------------------------------------------------------------

OPEN_STATUSES = (CampaignStatus.PLANNED, CampaignStatus.SCHEDULED, CampaignStatus.LIVE, CampaignStatus.PAUSED)


class Campaign(Aggregate):
    """A plan and its counters. `budget_claimed_minor` and `coupon_uses` are totals: each order holds its own claim."""

    name: str
    goal: CampaignGoal
    kind: CampaignKind
    type: CampaignType
    store_ids: list[UUID]
    currency: str
    member_scope: MemberScope
    tiers: list[str]
    target: str | None
    surge: bool
    """Orders under it ship by the hard promise without being late."""
    status: CampaignStatus
    lines: dict[UUID, CampaignLine]
    promotions: dict[UUID, Promotion]
    entered_by: list[str]
    """Who entered lines or promotions, or took them out: the price check is for somebody else."""
    warmup_from: datetime | None
    starts_at: datetime | None
    ends_at: datetime | None
    beside: list[UUID]
    forecast: Forecast | None
    prices_checked: bool
    budget_minor: int | None
    budget_claimed_minor: int
    coupon_uses: dict[str, int]
    ad_spend: dict[str, AdSpend]
    """By day and channel ("2024-06-18 search"); as long as the campaign is."""
    resources: dict[UUID, Resource]
    supply: Supply
    proposal: Proposal | None
    ad_budgets: dict[str, int]
    """Minor units by the first day of the month ("2024-06-01")."""
    ad_plans: dict[UUID, AdPlan]

    @folds(CampaignPlanned)
    def _planned(self, event: CampaignPlanned) -> None:
        self.store_id = event.store_id
        self.name = event.name
        self.goal = event.goal
        self.kind = event.kind
        self.type = event.type
        self.store_ids = list(event.store_ids)
        self.currency = event.currency
        self.member_scope = event.member_scope
        self.tiers = list(event.tiers)
        self.target = event.target
        self.surge = event.surge
        self.status = CampaignStatus.PLANNED
        self.lines = {}
        self.promotions = {}
        self.entered_by = []
        self.warmup_from = self.starts_at = self.ends_at = None
        self.beside = []
        self.forecast = None
        self.prices_checked = False
        self.budget_minor = None
        self.budget_claimed_minor = 0
        self.coupon_uses = {}
        self.ad_spend = {}
        self.resources = {}
        self.supply = Supply()
        self.proposal = None
        self.ad_budgets = {}
        self.ad_plans = {}

    @folds(CampaignRenamed)
    def _renamed(self, event: CampaignRenamed) -> None:
        self.name = event.name

    @folds(CampaignLineAdded)
    def _line_added(self, event: CampaignLineAdded) -> None:
        self.lines[event.sku_id] = CampaignLine(
            role=event.role.value,
            price=event.price,
            quota=event.quota,
            max_per_customer=event.max_per_customer,
            below_cost=event.below_cost_reason is not None,
        )
        self._entered(event.entered_by)

    @folds(CampaignLineRemoved)
    def _line_removed(self, event: CampaignLineRemoved) -> None:
        self.lines.pop(event.sku_id, None)
        self._entered(event.removed_by)

    @folds(PromotionAdded)
    def _promotion_added(self, event: PromotionAdded) -> None:
        self.promotions[event.promotion_id] = Promotion(
            promotion_id=event.promotion_id,
            form=event.form,
            label=event.label,
            stackable=event.stackable,
            scope=event.scope,
            member_scope=event.member_scope,
            tiers=tuple(event.tiers),
            percentage=event.percentage,
            threshold=event.threshold,
            fixed=event.fixed,
            gift=event.gift,
            free_shipping=event.free_shipping,
            coupon=event.coupon,
        )
        self._entered(event.entered_by)

    @folds(PromotionRemoved)
    def _promotion_removed(self, event: PromotionRemoved) -> None:
        self.promotions.pop(event.promotion_id, None)
        self._entered(event.removed_by)

    def _entered(self, by: str) -> None:
        self.prices_checked = False
        if by not in self.entered_by:
            self.entered_by.append(by)

    @folds(CampaignScheduled)
    def _scheduled(self, event: CampaignScheduled) -> None:
        self.status = CampaignStatus.SCHEDULED
        self.warmup_from = event.warmup_from
        self.starts_at = event.starts_at
        self.ends_at = event.ends_at
        self.beside = list(event.beside)

    @folds(ForecastSet)
    def _forecast_set(self, event: ForecastSet) -> None:
        self.forecast = Forecast(
            visitors=event.visitors,
            conversion=event.conversion,
            units=event.units,
            gmv_minor=event.gmv_minor,
            peak_hour=event.peak_hour,
            trough_hour=event.trough_hour,
            parcels_per_day=event.parcels_per_day,
        )

    @folds(PriceCheckPassed)
    def _price_check_passed(self, event: PriceCheckPassed) -> None:
        self.prices_checked = True

    @folds(PriceCheckFailed)
    def _price_check_failed(self, event: PriceCheckFailed) -> None:
        self.prices_checked = False

    @folds(CampaignStarted, CampaignResumed)
    def _live(self, event: CampaignStarted | CampaignResumed) -> None:
        self.status = CampaignStatus.LIVE

    @folds(CampaignPaused)
    def _paused(self, event: CampaignPaused) -> None:
        self.status = CampaignStatus.PAUSED

    @folds(CampaignEnded)
    def _ended(self, event: CampaignEnded) -> None:
        self.status = CampaignStatus.ENDED

    @folds(CampaignCancelled)
    def _cancelled(self, event: CampaignCancelled) -> None:
        self.status = CampaignStatus.CANCELLED

    @folds(CampaignEvaluated)
    def _evaluated(self, event: CampaignEvaluated) -> None:
        self.status = CampaignStatus.EVALUATED

    @folds(CampaignBudgetSet)
    def _budget_set(self, event: CampaignBudgetSet) -> None:
        self.budget_minor = event.budget_minor

    @folds(CampaignBudgetClaimed)
    def _budget_claimed(self, event: CampaignBudgetClaimed) -> None:
        self.budget_claimed_minor += event.amount_minor

    @folds(CampaignBudgetReleased)
    def _budget_released(self, event: CampaignBudgetReleased) -> None:
        self.budget_claimed_minor -= event.amount_minor

    @folds(CouponClaimed)
    def _coupon_claimed(self, event: CouponClaimed) -> None:
        self.coupon_uses[event.code] = self.coupon_uses.get(event.code, 0) + 1

    @folds(CouponReleased)
    def _coupon_released(self, event: CouponReleased) -> None:
        self.coupon_uses[event.code] = self.coupon_uses.get(event.code, 0) - 1

    @folds(AdSpendRecorded)
    def _ad_spend_recorded(self, event: AdSpendRecorded) -> None:
        self.ad_spend = spent(self.ad_spend, event)

    @folds(*get_args(ResourceEvent))
    def _resourced(self, event: ResourceEvent) -> None:
        self.resources = resourced(self.resources, event)

    @folds(*get_args(ProposalEvent))
    def _proposed(self, event: ProposalEvent) -> None:
        self.proposal = proposed(self.proposal, event)

    @folds(*get_args(SupplyEvent))
    def _supplied(self, event: SupplyEvent) -> None:
        self.supply = self.supply.after(event)

    @folds(AdBudgetAgreed)
    def _ad_budget_agreed(self, event: AdBudgetAgreed) -> None:
        self.ad_budgets[event.month.isoformat()] = event.budget_minor

    @folds(*get_args(AdPlanEvent))
    def _advertised(self, event: AdPlanEvent) -> None:
        self.ad_plans = advertised(self.ad_plans, event)

    # What may happen next: the plan -----------------------------------------------------------------------------------

    @property
    def seen_in(self) -> Collection[UUID]:
        """Its home store and every store that it runs in."""
        return {self.store_id, *self.store_ids}

    @property
    def offered_in(self) -> Collection[UUID]:
        """Every store that it runs in, while it is on."""
        return self.store_ids if self.status is CampaignStatus.LIVE else ()

    @property
    def once_offered_in(self) -> Collection[UUID]:
        """Every store that it runs in, once it may have been on."""
        return () if self.status in (CampaignStatus.PLANNED, CampaignStatus.SCHEDULED) else self.store_ids

    def require_status(self, *statuses: CampaignStatus) -> None:
        """Refuse WrongState unless the campaign stands at one of these."""
        if self.status not in statuses:
            needed = " or ".join(status.value for status in statuses)
            raise WrongState(what="campaign", state=self.status.value, needed=needed, ids=[self.id])

    def require_changeable(self) -> None:
        """Refuse WrongState once orders may have used its lines and offers."""
        self.require_status(CampaignStatus.PLANNED, CampaignStatus.SCHEDULED)

    def require_currency(self, currency: str) -> None:
        """Refuse CurrencyMismatch for an amount in another currency than the campaign's."""
        if currency != self.currency:
            raise CurrencyMismatch(expected=self.currency, given=currency, path=("currency",), ids=[self.id])

    def rename(self, name: str, at: datetime) -> None:
        """Give the campaign another name until it is over; orders keep the one that they were placed under."""
        self.require_status(*OPEN_STATUSES)
        if name != self.name:
            self.trigger_event(CampaignRenamed, name=name, occurred_at=at)

    def add_line(
        self,
        sku_id: UUID,
        line: CampaignLine,
        entered_by: str,
        at: datetime,
        *,
        cost: Decimal | None = None,
        below_cost_reason: str | None = None,
        loss_budget_minor: int | None = None,
        loss_minor: int = 0,
    ) -> None:
        """Take a SKU into the campaign, in place of a line that it has there already; prices are to be checked again.

        cost: the SKU's highest cost per unit in the campaign's stores. loss_minor: what the whole quota would lose.
        Refuses: CampaignLineBelowCost, LossBudgetTooSmall.
        """
        self.require_changeable()
        below = cost is not None and line.price < cost
        if below:
            if below_cost_reason is None or loss_budget_minor is None or line.quota is None:
                raise CampaignLineBelowCost(price=plain(line.price), cost=cost, path=("price",), ids=[sku_id])
            if loss_minor > loss_budget_minor:
                raise LossBudgetTooSmall(loss_minor=loss_minor, path=("loss_budget_minor",), ids=[sku_id])
        self.trigger_event(
            CampaignLineAdded,
            sku_id=sku_id,
            role=LineRole(line.role),
            price=line.price,
            quota=line.quota,
            max_per_customer=line.max_per_customer,
            entered_by=entered_by,
            below_cost_reason=below_cost_reason if below else None,
            loss_budget_minor=loss_budget_minor if below else None,
            currency=self.currency,
            occurred_at=at,
        )

    def remove_line(self, sku_id: UUID, removed_by: str, at: datetime) -> None:
        """Take a SKU out of the campaign; prices are to be checked again. Refuses NotFound where it is on no line."""
        self.require_changeable()
        if sku_id not in self.lines:
            raise NotFound(what="line of this campaign", path=("sku_id",), ids=[sku_id])
        self.trigger_event(CampaignLineRemoved, sku_id=sku_id, removed_by=removed_by, occurred_at=at)

    def add_promotion(self, promotion: Promotion, entered_by: str, at: datetime) -> None:
        """Take an offer into the campaign; prices are to be checked again. Refuses PromotionsConflict."""
        self.require_changeable()
        if promotion.coupon is not None and self.find_coupon(promotion.coupon.code) is not None:
            raise PromotionsConflict(code=promotion.coupon.code, path=("coupon", "code"), ids=[self.id])
        self.trigger_event(
            PromotionAdded,
            promotion_id=promotion.promotion_id,
            form=promotion.form,
            label=promotion.label,
            stackable=promotion.stackable,
            scope=promotion.scope,
            member_scope=promotion.member_scope,
            tiers=promotion.tiers,
            percentage=promotion.percentage,
            threshold=promotion.threshold,
            fixed=promotion.fixed,
            gift=promotion.gift,
            free_shipping=promotion.free_shipping,
            coupon=promotion.coupon,
            entered_by=entered_by,
            currency=self.currency,
            occurred_at=at,
        )

    def remove_promotion(self, promotion_id: UUID, removed_by: str, at: datetime) -> Promotion:
        """Take an offer out of the campaign and return it; prices are to be checked again.

        No order can have used it before the campaign started. Refuses: NotFound.
        """
        self.require_changeable()
        promotion = self.promotions.get(promotion_id)
        if promotion is None:
            raise NotFound(what="promotion of this campaign", path=("promotion_id",), ids=[promotion_id])
        self.trigger_event(PromotionRemoved, promotion_id=promotion_id, removed_by=removed_by, occurred_at=at)
        return promotion

    def is_over(self, at: datetime) -> bool:
        """Say whether nothing more can be sold under it."""
        return self.status not in OPEN_STATUSES or (self.ends_at is not None and self.ends_at <= at)

    def require_no_overlap(
        self,
        others: Sequence[Campaign],
        sku_ids: Sequence[UUID],
        starts_at: datetime,
        ends_at: datetime,
        path: Sequence[str | int] = ("starts_at",),
    ) -> None:
        """Refuse OverlapsCampaign when one of `others` sells one of the SKUs in a common store at a common time."""
        for other in others:
            if other.starts_at is None or other.ends_at is None:
                continue
            if other.starts_at >= ends_at or other.ends_at <= starts_at:
                continue
            if not set(other.store_ids) & set(self.store_ids):
                continue
            for sku_id in sku_ids:
                if sku_id in other.lines:
                    raise OverlapsCampaign(
                        name=other.name,
                        starts_at=other.starts_at.isoformat(),
                        ends_at=other.ends_at.isoformat(),
                        path=path,
                        ids=[other.id, sku_id],
                    )

    def schedule(
        self,
        warmup_from: datetime | None,
        starts_at: datetime,
        ends_at: datetime,
        others: Sequence[Campaign],
        reason: str | None,
        at: datetime,
        *,
        frozen_from_warmup: bool = True,
    ) -> None:
        """Fix the time, or move it for a reason before the warm-up begins. Times are UTC, the end is exclusive.

        others: the own campaigns of the same stores that are not over; empty for an official campaign.
        frozen_from_warmup: the store's policy; if not, the time can be moved until the start.
        Refuses: WindowInvalid, CampaignIncomplete, OverlapsCampaign, ReasonMissing, WarmupStarted.
        """
        self.require_changeable()
        if starts_at >= ends_at:
            raise WindowInvalid(why="it ends before it starts", path=("ends_at",), ids=[self.id])
        if ends_at <= at:
            raise WindowInvalid(why="it would be over already", path=("ends_at",), ids=[self.id])
        if warmup_from is not None and warmup_from > starts_at:
            raise WindowInvalid(why="warm-up comes before the start", path=("warmup_from",), ids=[self.id])
        self._require_contents()
        if self.status is CampaignStatus.SCHEDULED:
            if (warmup_from, starts_at, ends_at) == (self.warmup_from, self.starts_at, self.ends_at):
                return  # Asked twice, recorded once.
            fixed_since = (self.warmup_from if frozen_from_warmup else None) or self.starts_at
            if fixed_since is not None and fixed_since <= at:
                raise WarmupStarted(since=fixed_since.isoformat(), path=("starts_at",), ids=[self.id])
            if reason is None:
                raise ReasonMissing(path=("reason",), ids=[self.id])
        self.require_no_overlap(others, list(self.lines), starts_at, ends_at)
        self.trigger_event(
            CampaignScheduled,
            warmup_from=warmup_from,
            starts_at=starts_at,
            ends_at=ends_at,
            beside=tuple(other.id for other in others),
            reason=reason,
            occurred_at=at,
        )

    def _require_contents(self) -> None:
        if not self.lines and not self.promotions and self.type is not CampaignType.PACKAGING:
            raise CampaignIncomplete(part="lines and promotions", path=("campaign_id",), ids=[self.id])

    def set_forecast(self, forecast: Forecast, at: datetime) -> None:
        """Say what the campaign is expected to bring; fixed once it is live, because it is measured by that."""
        self.require_changeable()
        if forecast == self.forecast:
            return
        if not 0 <= forecast.conversion <= 1:
            raise InvalidField(why="conversion is a fraction between 0 and 1", path=("conversion",), ids=[self.id])
        if forecast.units < 0:
            raise InvalidField(why="units are not below 0", path=("units",), ids=[self.id])
        self.trigger_event(
            ForecastSet,
            visitors=forecast.visitors,
            conversion=plain(forecast.conversion),
            units=plain(forecast.units),
            gmv_minor=forecast.gmv_minor,
            currency=self.currency,
            peak_hour=forecast.peak_hour,
            trough_hour=forecast.trough_hour,
            parcels_per_day=forecast.parcels_per_day,
            occurred_at=at,
        )

    def check_prices(self, found: Sequence[CheckedPrice], checked_by: str, second_person: bool, at: datetime) -> None:
        """Compare what a buyer reads with the plan, for every line; the check passes or fails, both are recorded.

        second_person: whether the store wants somebody other than those who entered the plan.
        Refuses: SamePerson, CampaignIncomplete (a line was not looked at), InvalidField (a SKU that is on no line or
        named twice).
        """
        self.require_checkable(checked_by, second_person)
        read_of: set[UUID] = set()
        for index, price in enumerate(found):
            if price.sku_id not in self.lines or price.sku_id in read_of:
                why = "this SKU is named twice" if price.sku_id in read_of else "this SKU is on no line"
                raise InvalidField(why=why, path=("lines", index, "sku_id"), ids=[price.sku_id])
            read_of.add(price.sku_id)
        missing = [sku_id for sku_id in self.lines if sku_id not in read_of]
        if missing:
            raise CampaignIncomplete(part="prices read for some of its lines", path=("lines",), ids=missing)
        free_shipping = any(promotion.free_shipping is not None for promotion in self.promotions.values())
        differences: list[PriceDifference] = []
        for price in found:
            planned = self.lines[price.sku_id].price
            for where, read in (("label", price.label), ("detail", price.detail), ("plan", price.plan)):
                if read != planned:
                    differences.append(
                        PriceDifference(sku_id=price.sku_id, where=where, planned=str(planned), found=str(plain(read)))
                    )
            for where, noted in (
                ("label free shipping", price.label_free_shipping),
                ("detail free shipping", price.detail_free_shipping),
            ):
                if noted is not None and noted != free_shipping:
                    differences.append(
                        PriceDifference(
                            sku_id=price.sku_id, where=where, planned=_yes_no(free_shipping), found=_yes_no(noted)
                        )
                    )
        if differences:
            self.trigger_event(PriceCheckFailed, checked_by=checked_by, differences=tuple(differences), occurred_at=at)
        elif not self.prices_checked:
            self.trigger_event(PriceCheckPassed, checked_by=checked_by, lines_checked=len(found), occurred_at=at)

    def require_checkable(self, checked_by: str, second_person: bool) -> None:
        """Refuse WrongState once it has started, SamePerson for who entered the plan where a second person is asked."""
        self.require_changeable()
        if second_person and checked_by in self.entered_by:
            raise SamePerson(actor=checked_by, path=("lines",), ids=[self.id])

    # What may happen next: its life -----------------------------------------------------------------------------------

    def go_live(self, allocated: dict[UUID, Decimal], at: datetime) -> None:
        """Let orders use the campaign.

        allocated: units that the SKUs hold for it, by SKU id.
        Refuses: CampaignIncomplete, PriceCheckOpen, StockNotAllocated, CampaignNotDue, WindowInvalid.
        """
        if self.status is CampaignStatus.LIVE:
            return
        self.require_status(CampaignStatus.SCHEDULED)
        # What it lacks is told first: before its time that is what would keep it from starting by itself.
        self._require_contents()  # All of it may have been taken out since it was scheduled.
        if self.forecast is None:
            raise CampaignIncomplete(part="a forecast to measure it by", path=("campaign_id",), ids=[self.id])
        if not self.prices_checked:
            raise PriceCheckOpen(path=("campaign_id",), ids=[self.id])
        if self.starts_at is not None and at < self.starts_at:
            raise CampaignNotDue(starts_at=self.starts_at.isoformat(), path=("campaign_id",), ids=[self.id])
        self._require_time_left(at)
        for sku_id, line in self.lines.items():
            held = allocated.get(sku_id, Decimal(0))
            if line.quota is not None and held < line.quota:
                raise StockNotAllocated(
                    quota=plain(line.quota), allocated=plain(held), path=("campaign_id",), ids=[sku_id]
                )
        self.trigger_event(CampaignStarted, occurred_at=at)

    def _require_time_left(self, at: datetime) -> None:
        if self.ends_at is not None and at >= self.ends_at:
            raise WindowInvalid(why="its time is over", path=("campaign_id",), ids=[self.id])

    def pause(self, reason: str, at: datetime) -> None:
        """Keep orders from using the campaign for the time being."""
        if self.status is CampaignStatus.PAUSED:
            return
        self.require_status(CampaignStatus.LIVE)
        self.trigger_event(CampaignPaused, reason=reason, occurred_at=at)

    def resume(self, at: datetime) -> None:
        """Let orders use the campaign again. Refuses WindowInvalid when its time is over."""
        if self.status is CampaignStatus.LIVE:
            return
        self.require_status(CampaignStatus.PAUSED)
        self._require_time_left(at)
        self.trigger_event(CampaignResumed, occurred_at=at)

    def end(self, reason: str | None, at: datetime) -> None:
        """Close the campaign; what orders have claimed stays claimed until they give it back."""
        if self.status in (CampaignStatus.ENDED, CampaignStatus.EVALUATED):
            return
        self.require_status(CampaignStatus.LIVE, CampaignStatus.PAUSED)
        self.trigger_event(CampaignEnded, reason=reason, occurred_at=at)

    def cancel(self, reason: str, at: datetime) -> None:
        """Call the campaign off before it starts."""
        if self.status is CampaignStatus.CANCELLED:
            return
        self.require_changeable()
        self.trigger_event(CampaignCancelled, reason=reason, occurred_at=at)

    def evaluate(self, findings: str, figures: Sequence[QuotedFigure], actions: str | None, at: datetime) -> None:
        """Say what was learned; each figure is quoted with the position of the log at which it stood."""
        self.require_status(CampaignStatus.ENDED)
        self.trigger_event(
            CampaignEvaluated, findings=findings, figures=tuple(figures), actions=actions, occurred_at=at
        )

    def set_budget(self, budget_minor: int, currency: str, at: datetime) -> None:
        """Bound what the campaign gives away in all, in minor units. Refuses BudgetBelowClaimed, CurrencyMismatch."""
        self.require_status(*OPEN_STATUSES)
        self.require_currency(currency)
        if budget_minor < self.budget_claimed_minor:
            raise BudgetBelowClaimed(claimed_minor=self.budget_claimed_minor, path=("budget_minor",), ids=[self.id])
        if budget_minor != self.budget_minor:
            self.trigger_event(CampaignBudgetSet, budget_minor=budget_minor, currency=currency, occurred_at=at)

    def record_ad_spend(self, day: date, channel: str, spend: AdSpend, currency: str, at: datetime) -> None:
        """Book a day's advertising on a channel; a higher revision replaces the figures on record.

        Refuses: AdRevisionSuperseded (the revision on record is as high, with other figures), CurrencyMismatch.
        """
        self.require_currency(currency)
        known = self.ad_spend.get(f"{day.isoformat()} {channel}")
        if known == spend:
            return
        if known is not None and known.revision >= spend.revision:
            raise AdRevisionSuperseded(revision=spend.revision, known=known.revision, path=("revision",), ids=[self.id])
        self.trigger_event(
            AdSpendRecorded,
            day=day,
            channel=channel,
            cost_minor=spend.cost_minor,
            currency=currency,
            impressions=spend.impressions,
            clicks=spend.clicks,
            revision=spend.revision,
            occurred_at=at,
        )

    # What may happen next: orders -------------------------------------------------------------------------------------

    def require_live(self, store_id: UUID, at: datetime, path: Sequence[str | int] = ("campaign_ids",)) -> None:
        """Refuse CampaignNotLive or CampaignNotInStore unless an order of this store may use it at this moment."""
        if store_id not in self.store_ids:
            raise CampaignNotInStore(name=self.name, path=path, ids=[self.id])
        why = None
        if self.status is not CampaignStatus.LIVE:
            why = f"it is {self.status.value}"
        elif self.starts_at is not None and at < self.starts_at:
            why = f"it starts at {self.starts_at.isoformat()}"
        elif self.ends_at is not None and at >= self.ends_at:
            why = f"its time was over at {self.ends_at.isoformat()}"
        if why is not None:
            raise CampaignNotLive(name=self.name, why=why, path=path, ids=[self.id])

    def offers(
        self, store_id: UUID, at: datetime, buyer: Buyer, path: Sequence[str | int] = ("campaign_ids",)
    ) -> CampaignOffers:
        """Return what pricing needs to know of it. Refuses as `require_live` does, and CampaignMembersOnly."""
        self.require_live(store_id, at, path)
        why = outside(self.member_scope, self.tiers, buyer)
        if why is not None:
            raise CampaignMembersOnly(name=self.name, why=why, path=path, ids=[self.id])
        return CampaignOffers(
            campaign_id=self.id, name=self.name, lines=self.lines, promotions=tuple(self.promotions.values())
        )

    def find_coupon(self, code: str) -> tuple[Promotion, CouponOff] | None:
        """Return the offer that has this coupon code, and the coupon's own terms."""
        for promotion in self.promotions.values():
            if promotion.coupon is not None and promotion.coupon.code == code:
                return promotion, promotion.coupon
        return None

    def coupon(
        self, code: str, at: datetime, buyer: Buyer, path: Sequence[str | int] = ("coupon_code",)
    ) -> CouponTerms:
        """Return the terms of a code for pricing. Refuses CouponInvalid, CouponUsedUp."""
        promotion, coupon = self._require_coupon(code, path)
        why = outside(self.member_scope, self.tiers, buyer) or outside(promotion.member_scope, promotion.tiers, buyer)
        if coupon.valid_from is not None and at < coupon.valid_from:
            why = f"it is valid from {coupon.valid_from.isoformat()}"
        if coupon.valid_until is not None and at >= coupon.valid_until:
            why = f"it was valid until {coupon.valid_until.isoformat()}"
        if coupon.per_customer_limit is not None and not buyer.registered:
            why = "only for registered customers"
        if why is not None:
            raise CouponInvalid(code=code, why=why, path=path, ids=[self.id])
        self._require_coupon_left(coupon, path)
        return CouponTerms(
            source_id=self.id,
            label=promotion.label,
            promotion_id=promotion.promotion_id,
            code=code,
            off_minor=coupon.off_minor,
            percent=coupon.percent,
            max_off_minor=coupon.max_off_minor,
            spend_minor=coupon.spend_minor,
            stackable=promotion.stackable,
            sku_ids=frozenset(self.lines) if promotion.scope is PromotionScope.LINES else None,
            per_customer_limit=coupon.per_customer_limit,
        )

    def plan_claim(
        self,
        order_id: UUID,
        customer_id: UUID | None,
        discount_minor: int,
        coupon_code: str | None,
        path: Sequence[str | int] = ("campaign_ids",),
    ) -> None:
        """Check that an order may take this much of the budget and one use of the coupon; records nothing.

        A coupon's limit per customer is kept with the customer: a redemption of (campaign, promotion id).
        Refuses: CampaignBudgetUsed, CouponInvalid, CouponUsedUp.
        """
        if self.budget_minor is not None and self.budget_claimed_minor + discount_minor > self.budget_minor:
            raise CampaignBudgetUsed(
                name=self.name,
                left_minor=max(self.budget_minor - self.budget_claimed_minor, 0),
                needed_minor=discount_minor,
                path=path,
                ids=[self.id, order_id],
            )
        if coupon_code is not None:
            _, coupon = self._require_coupon(coupon_code, ("coupon_code",))
            if coupon.per_customer_limit is not None and customer_id is None:
                why = "only for registered customers"
                raise CouponInvalid(code=coupon_code, why=why, path=("coupon_code",), ids=[self.id])
            self._require_coupon_left(coupon, ("coupon_code",))

    def claim(
        self, order_id: UUID, customer_id: UUID | None, discount_minor: int, coupon_code: str | None, at: datetime
    ) -> None:
        """Take what `plan_claim` allowed."""
        if discount_minor:
            self.trigger_event(
                CampaignBudgetClaimed,
                order_id=order_id,
                amount_minor=discount_minor,
                currency=self.currency,
                occurred_at=at,
            )
        if coupon_code is not None:
            self.trigger_event(
                CouponClaimed, order_id=order_id, customer_id=customer_id, code=coupon_code, occurred_at=at
            )

    def release_claim(
        self,
        order_id: UUID,
        at: datetime,
        *,
        amount_minor: int,
        coupon_code: str | None = None,
        customer_id: UUID | None = None,
    ) -> None:
        """Take back what an order gives up of its claim, whatever has become of the campaign; never refuses.

        The order keeps what it claimed and has given back, and passes only what it still holds: a campaign that
        remembered every order would grow with its success. `coupon_code`: the order gives its use of it back.
        What never left gives its claim back, as it does its quota. What left and comes back does not: the offer has
        done its work, and late returns would let a campaign spend its budget twice.
        """
        amount_minor = min(amount_minor, self.budget_claimed_minor)
        if amount_minor > 0:
            self.trigger_event(
                CampaignBudgetReleased,
                order_id=order_id,
                amount_minor=amount_minor,
                currency=self.currency,
                occurred_at=at,
            )
        if coupon_code is not None and self.coupon_uses.get(coupon_code, 0) > 0:
            self.trigger_event(
                CouponReleased, order_id=order_id, customer_id=customer_id, code=coupon_code, occurred_at=at
            )

    def _require_coupon(self, code: str, path: Sequence[str | int]) -> tuple[Promotion, CouponOff]:
        found = self.find_coupon(code)
        if found is None:
            raise CouponInvalid(code=code, why="there is no such coupon in this campaign", path=path, ids=[self.id])
        return found

    def _require_coupon_left(self, coupon: CouponOff, path: Sequence[str | int]) -> None:
        if coupon.usage_limit is not None and self.coupon_uses.get(coupon.code, 0) >= coupon.usage_limit:
            raise CouponUsedUp(code=coupon.code, path=path, ids=[self.id])


def _yes_no(answer: bool) -> str:
    return "yes" if answer else "no"

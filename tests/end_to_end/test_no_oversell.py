"""Two hundred buyers at two servers for fifty units and thirty coupons: so many get them and all others are told no."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from opscore.api.ids import global_id
from opscore.database import Database
from opscore.domain.campaign import Campaign, CampaignGoal
from opscore.domain.campaign_commands import (
    AddPromotion,
    CheckCampaignPrices,
    CouponTermsOffered,
    PlanCampaign,
    ScheduleCampaign,
    SetForecast,
    StartCampaign,
)
from opscore.domain.pricing import PromotionScope
from opscore.domain.sku import Sku
from opscore.log.event_log import EventLog
from opscore.settings import Settings
from tests.end_to_end.servers import (
    Answer,
    Sampler,
    mutation,
    owner_token,
    place_order,
    read_answer,
    require_sound,
    serving,
    wait_until,
)
from tests.shop import OWNER, SECOND, Shop

BUYERS, UNITS, COUPONS = 200, 50, 30


@dataclass(frozen=True)
class Bought:
    """What one buyer got at one server."""

    server: int
    with_coupon: bool
    answer: Answer
    seconds: float


def live_coupon(shop: Shop) -> UUID:
    """Bring a campaign to life whose coupon EARLY takes 1.00 off, thirty times."""
    now = datetime.now(UTC)
    campaign = shop.do(PlanCampaign(store_id=shop.store_id, name="Early birds", goal=CampaignGoal.RAISE_SALES))
    coupon = CouponTermsOffered(code="EARLY", off_minor=100, usage_limit=COUPONS)
    shop.do(AddPromotion(campaign_id=campaign, label="Early bird", offer=coupon, scope=PromotionScope.STORE))
    shop.do(
        ScheduleCampaign(
            campaign_id=campaign, starts_at=now + timedelta(milliseconds=1), ends_at=now + timedelta(days=1)
        )
    )
    shop.do(
        SetForecast(campaign_id=campaign, visitors=200, conversion=Decimal("0.25"), units=Decimal(50), gmv_minor=50000)
    )
    shop.do(CheckCampaignPrices(campaign_id=campaign, lines=()), actor=SECOND)
    shop.do(StartCampaign(campaign_id=campaign), actor=OWNER)
    return campaign


async def buy(urls: list[str], headers: dict[str, str], number: int, shop: Shop, sku: UUID, campaign: UUID) -> Bought:
    """Ask for one unit with the coupon; when the coupon is used up, ask once more without it."""
    server = number % len(urls)
    began = time.monotonic()
    # Idle for five seconds, a connection would be closed by the client itself, perhaps just when it is taken again.
    limits = httpx.Limits(keepalive_expiry=None)
    # One client for all of them would look through the connections of all at each step of each.
    async with httpx.AsyncClient(headers=headers, timeout=60, limits=limits, verify=False) as client:
        for coupon in ({"couponCode": "EARLY", "campaignIds": [global_id("Campaign", campaign)]}, {}):
            command, fields = place_order(shop.store_id, [(sku, 1)], **coupon)
            response = await client.post(f"{urls[server]}/graphql", json=mutation(command, fields, str(uuid4())))
            answer = read_answer(command, response)
            if answer.codes != ("COUPON_USED_UP",):
                break
    return Bought(server, bool(coupon), answer, time.monotonic() - began)


def test_two_hundred_buyers_at_two_servers_get_fifty_units_and_thirty_coupons_and_not_one_more(
    database: Database, settings: Settings, shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(settings, tmp_path, 2) as servers:
        sku, campaign = shop.sku(stock=UNITS), live_coupon(shop)
        headers = {"authorization": f"Bearer {owner_token(database)}"}
        for server in servers:
            server.wait_ready()

        async def all_buy() -> list[Bought]:
            urls = [server.url for server in servers]
            return await asyncio.gather(*(buy(urls, headers, n, shop, sku, campaign) for n in range(BUYERS)))

        # The test itself holds the log until both servers stand in line for it, each in a transaction of its own: so
        # they decide at the same time, and neither is done before the other begins.
        with Sampler(database) as sampler, database.connect(autocommit=False) as gate:
            gate.execute("SELECT held FROM log_lock FOR UPDATE")

            async def open_gate() -> None:
                def both_wait() -> bool:
                    return sampler.both_in_transaction > 20

                await asyncio.to_thread(wait_until, both_wait, "both servers wait for the log")
                await asyncio.to_thread(gate.commit)

            async def run() -> list[Bought]:
                opening = asyncio.create_task(open_gate())
                found = await all_buy()
                await opening
                return found

            bought = asyncio.run(run())

        placed = [each for each in bought if each.answer.id is not None]
        refused = Counter(each.answer.codes for each in bought if each.answer.id is None)
        assert len(placed) == UNITS, refused
        assert refused == {("STOCK_INSUFFICIENT",): BUYERS - UNITS}
        assert sum(each.with_coupon for each in placed) == COUPONS
        assert len({each.answer.id for each in placed}) == UNITS
        # Both sold, turn and turn about: neither had the shelf to itself.
        by_position = [each.server for each in sorted(placed, key=lambda each: each.answer.position or 0)]
        changes = sum(one != other for one, other in itertools.pairwise(by_position))
        assert set(by_position) == {0, 1} and changes >= 2
        require_sound(database)

    log = EventLog(database.pool.connection)
    article, offer = log.aggregate(Sku, sku), log.aggregate(Campaign, campaign)
    assert article is not None and offer is not None
    level = article.levels[shop.location_id]
    assert (level.on_hand, level.reserved, article.sellable) == (UNITS, UNITS, 0)
    assert len(article.reservations) == UNITS
    with database.connect() as connection:
        counted = connection.execute(
            "SELECT count(*) FILTER (WHERE type = 'OrderPlaced'), count(*) FILTER (WHERE type = 'CouponClaimed'),"
            " sum((data ->> 'quantity')::numeric) FILTER (WHERE type = 'StockReserved'),"
            " sum((data ->> 'total_minor')::int) FILTER (WHERE type = 'OrderPlaced') FROM events"
        ).fetchone()
    assert counted == (UNITS, COUPONS, UNITS, UNITS * 1000 - COUPONS * 100)
    seconds = sorted(each.seconds for each in bought)
    with capsys.disabled():
        print(
            f"\n200 buyers: {len(placed)} orders, {refused.total()} refused, {COUPONS} coupons;"
            f" servers took turns {changes} times; {sampler.both_in_transaction} of {sampler.samples} samples with both"
            f" in a transaction, waits {sampler.waits}; p50 {statistics.median(seconds):.2f} s,"
            f" p95 {seconds[round(0.95 * BUYERS)]:.2f} s"
        )

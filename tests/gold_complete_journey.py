"""Import the campaigns of Complete Journey and compare what GraphQL answers with gold figures of another program.

python tests/gold_complete_journey.py FOLDER GOLD

FOLDER holds campaign_descriptions, campaigns and coupon_redemptions (.csv or .csv.gz); GOLD cj_campaign_funnel.csv and
cj_summary.csv. Leaves with status 1 when any figure differs.

Not compared: coupons, coupon_product_rows and duplicate_coupon_rows, which are about coupons.csv, a list of the
articles that each coupon is for, and which is not imported; duplicate_redemption_rows, a fact of the file; the tables
cj_tx_..., since receipts are not imported.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import uvicorn

from opscore.api.ids import key_of
from opscore.app import create_app
from opscore.database import Database
from opscore.domain.command import Role
from opscore.imports.complete_journey import TIME_ZONE, import_complete_journey
from opscore.migrations import migrate
from opscore.projector import Projector
from opscore.settings import Settings
from opscore.tokens import create_token
from opscore.writer import Writer

Ask = Callable[[str, dict[str, Any]], Any]
"""Sends a query with its variables and returns the data."""

CAMPAIGNS = "query { campaigns(first: 100) { nodes { id name startsAt endsAt } } }"
KPI = """
query ($code: String!, $from: Date!, $to: Date!, $campaign: ID, $at: Position) {
  kpi(code: $code, fromDay: $from, toDay: $to, grain: TOTAL, campaignId: $campaign, atLeast: $at) {
    rows { value numerator denominator }
  }
}
"""
YEARS = {"from": "2016-01-01", "to": "2018-12-31"}


EVENTS = """
query ($types: [String!]!, $after: String) {
  events(filter: { types: $types }, first: 100, after: $after) {
    nodes { type streamId data } pageInfo { hasNextPage endCursor }
  }
}
"""


def targeted_redeemers(ask: Ask) -> tuple[dict[str, set[str]], int]:
    """Return who of those that a campaign reached redeemed a coupon of it, by campaign id, and redemptions of others.

    A coupon that reached somebody is named after its campaign; one that was redeemed is another, named by its UPC.
    """
    reached: dict[str, set[str]] = defaultdict(set)
    campaign_of: dict[str, str] = {}
    used: list[tuple[str, str]] = []
    after = None
    while True:
        page = ask(EVENTS, {"types": ["CouponGranted", "CouponUsed"], "after": after})["events"]
        for event in page["nodes"]:
            data = event["data"]
            if event["type"] == "CouponUsed":
                used.append((data["coupon_id"], event["streamId"]))
                continue
            campaign_of[data["coupon_id"]] = data["campaign_id"]
            if data["code"].startswith("campaign-"):
                reached[data["campaign_id"]].add(event["streamId"])
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    redeemed: dict[str, set[str]] = defaultdict(set)
    others = 0
    for coupon, household in used:
        campaign = campaign_of[coupon]
        if household in reached[campaign]:
            redeemed[campaign].add(household)
        else:
            others += 1
    return redeemed, others


def figure(ask: Ask, code: str, **more: Any) -> int:
    """Return a figure over three years, or over the days given; nothing happened is 0."""
    rows = ask(KPI, {"code": code, **YEARS, **more})["kpi"]["rows"]
    return int(rows[0]["value"]) if rows else 0


def campaign_figures(ask: Ask) -> list[dict[str, Any]]:
    """Return the funnel of every campaign, by its number in the file."""
    found = []
    for campaign in ask(CAMPAIGNS, {})["campaigns"]["nodes"]:
        first = local_day(campaign["startsAt"])
        last = local_day(campaign["endsAt"]) - timedelta(days=1)
        of = {"campaign": campaign["id"]}
        found.append(
            {
                "id": campaign["id"],
                "campaign_id": campaign["name"].split()[1],
                "campaign_type": campaign["name"].partition("(")[2].rstrip(")"),
                "start_date": str(first),
                "end_date": str(last),
                "targeted": figure(ask, "P003", **of),
                "redemptions": figure(ask, "P004", **of),
                "redeeming_households": figure(ask, "P005", **of),
                "redemptions_in_its_days": figure(ask, "P004", **{**of, "from": str(first), "to": str(last)}),
            }
        )
    return sorted(found, key=lambda each: int(each["campaign_id"]))


def overall_figures(ask: Ask) -> dict[str, int]:
    """Return the figures of all campaigns together: each household counts once."""
    return {
        "targeted_households": figure(ask, "P003"),
        "redemptions": figure(ask, "P004"),
        "redeeming_households": figure(ask, "P005"),
    }


def local_day(moment: str) -> date:
    return datetime.fromisoformat(moment).astimezone(ZoneInfo(TIME_ZONE)).date()


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as text:
        return list(csv.DictReader(text))


def compare(ask: Ask, gold: Path) -> tuple[int, list[str]]:
    """Return how many figures are met, and a line for each that differs."""
    met, differing = 0, []

    def is_met(name: str, ours: Any, theirs: str) -> None:
        nonlocal met
        if str(ours) == theirs:
            met += 1
        else:
            differing.append(f"{name}: {ours} here, {theirs} there")

    found = campaign_figures(ask)
    redeemers, untargeted = targeted_redeemers(ask)
    by_number = {each["campaign_id"]: each for each in found}
    for row in read(gold / "cj_campaign_funnel.csv"):
        ours = by_number[row["campaign_id"]]
        for column in (
            "campaign_type", "start_date", "end_date", "targeted", "redemptions", "redeeming_households",
        ):  # fmt: skip
            is_met(f"campaign {row['campaign_id']} {column}", ours[column], row[column])
        outside = ours["redemptions"] - ours["redemptions_in_its_days"]
        is_met(f"campaign {row['campaign_id']} redemptions_outside_dates", outside, row["redemptions_outside_dates"])
        days = (date.fromisoformat(ours["end_date"]) - date.fromisoformat(ours["start_date"])).days + 1
        is_met(f"campaign {row['campaign_id']} days", days, row["days"])
        own = len(redeemers[str(key_of(ours["id"], "Campaign"))])
        is_met(f"campaign {row['campaign_id']} targeted_redeemers", own, row["targeted_redeemers"])
    [summary] = read(gold / "cj_summary.csv")
    is_met("campaigns", len(found), summary["campaigns"])
    is_met("targeted_rows", sum(each["targeted"] for each in found), summary["targeted_rows"])
    is_met("redemptions_by_untargeted", untargeted, summary["redemptions_by_untargeted"])
    for column, ours in overall_figures(ask).items():
        is_met(column, ours, summary[column])
    return met, differing


def main(folder: Path, gold: Path) -> int:
    with tempfile.TemporaryDirectory() as data:
        settings = Settings(_env_file=None, data_dir=Path(data), port=0)
        with Database.open(settings) as database:
            migrate(database)
            writer = Writer(database, settings)
            writer.start()
            print("\n".join(import_complete_journey(writer, folder).lines()))
            again = import_complete_journey(writer, folder)
            print(f"a second time: {again.added} commands added")
            writer.stop()
            Projector(database).deploy()
            token = create_token(database, "gold", Role.OWNER)[1]
            server = uvicorn.Server(uvicorn.Config(create_app(settings), host="127.0.0.1", port=0, log_level="error"))
            thread = threading.Thread(target=server.run, daemon=True)
            thread.start()
            while not server.started:
                time.sleep(0.05)
            url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            with httpx.Client(base_url=url, timeout=60, headers={"authorization": f"Bearer {token}"}) as client:
                while client.get("/readyz").status_code != 200:
                    time.sleep(0.1)

                def ask(query: str, variables: dict[str, Any]) -> Any:
                    body = client.post("/graphql", json={"query": query, "variables": variables}).json()
                    if "errors" in body:
                        raise SystemExit(body["errors"])
                    return body["data"]

                met, differing = compare(ask, gold)
            server.should_exit = True
            thread.join()
    print("\n".join([*differing, f"{met} figures met, {len(differing)} differ"]))
    return 1 if differing or again.added else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))

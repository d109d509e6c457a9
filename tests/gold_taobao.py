"""Import a file of Taobao user behaviour and compare what GraphQL answers with gold figures of another program.

python tests/gold_taobao.py FILE GOLD

FILE is UserBehavior_....csv(.gz); GOLD a folder with tb_daily.csv, tb_hourly.csv and tb_summary.csv. The gold figures
are those of the days in tb_daily.csv. Leaves with status 1 when any figure differs.

Not compared, because nothing of it is on record once the file is booked as reports of traffic and orders:
- uv and conversion of all days: visitors of days are never added, and no report covers all of them (K002 is null then);
- active: who only looked is counted in reports, not known by name (K032 knows who ordered);
- one_pv, bounce_pv: visits with one page and something besides; reports know visits of one page and nothing else;
- carted_pairs, bought_same_day, bought_later: which person put which article into the cart;
- tb_sessions30: sessions by gaps of half an hour; a visit here is a person's day, as in tb_daily;
- rows, users, items, categories, duplicate rows: facts of the file.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import threading
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from opscore.app import create_app
from opscore.database import Database
from opscore.domain.command import Role
from opscore.imports.taobao_behaviour import import_taobao_behaviour
from opscore.migrations import migrate
from opscore.projector import Projector
from opscore.settings import Settings
from opscore.tokens import create_token
from opscore.writer import Writer

KPI = """
query ($code: String!, $from: Date!, $to: Date!, $grain: KpiGrain!) {
  kpi(code: $code, fromDay: $from, toDay: $to, grain: $grain) {
    rows { startsOn hour value numerator denominator }
  }
}
"""


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as text:
        return list(csv.DictReader(text))


class Gold:
    """Compares figure by figure."""

    def __init__(self) -> None:
        self.met = self.differing = 0

    def is_met(self, name: str, ours: Any, theirs: str) -> None:
        if ours is not None and Decimal(ours) == Decimal(theirs):
            self.met += 1
        else:
            self.differing += 1
            print(f"  {name}: {ours} here, {theirs} there")


def compare(client: httpx.Client, folder: Path) -> Gold:
    """Ask for the figures of the gold tables and compare them."""
    days, gold = read(folder / "tb_daily.csv"), Gold()
    window = {"from": days[0]["date"], "to": days[-1]["date"]}

    def ask(code: str, grain: str) -> list[dict[str, Any]]:
        answer = client.post("/graphql", json={"query": KPI, "variables": {"code": code, "grain": grain, **window}})
        body = answer.json()
        if "errors" in body:
            raise SystemExit(body["errors"])
        rows: list[dict[str, Any]] = body["data"]["kpi"]["rows"]
        return rows

    def by_day(code: str) -> dict[str, dict[str, Any]]:
        return {row["startsOn"]: row for row in ask(code, "DAY")}

    codes = ("K001", "K002", "K019", "K012", "K004", "K008", "P007")
    views, visitors, orders, conversion, bounce, liked, carts = map(by_day, codes)
    for day in days:
        at = day["date"]
        for column, found in (
            ("pv", views[at]["value"]), ("uv", visitors[at]["value"]), ("buy", orders[at]["value"]),
            ("buyers", conversion[at]["numerator"]), ("conversion", conversion[at]["value"]),
            ("user_days_with_pv", bounce[at]["denominator"]), ("bounced", bounce[at]["numerator"]),
            ("fav", liked[at]["numerator"]), ("cart", carts[at]["value"]),
        ):  # fmt: skip
            gold.is_met(f"tb_daily {at} {column}", found, day[column])
    hours: dict[str, dict[int, Decimal]] = {"pv": defaultdict(Decimal), "buy": defaultdict(Decimal)}
    for column, code in (("pv", "K001"), ("buy", "K019")):
        for row in ask(code, "HOUR"):
            hours[column][row["hour"]] += Decimal(row["value"])
    for hour in read(folder / "tb_hourly.csv"):
        for column, found_at in hours.items():
            gold.is_met(f"tb_hourly {hour['hour']} {column}", found_at[int(hour["hour"])], hour[column])
    [summary] = read(folder / "tb_summary.csv")
    [conversion_of_all], [bounce_of_all], [again] = ask("K012", "TOTAL"), ask("K004", "TOTAL"), ask("K034", "TOTAL")
    [liked_of_all], [of_two] = ask("K008", "TOTAL"), ask("K013", "TOTAL")
    for column, found in (
        ("pv", ask("K001", "TOTAL")[0]["value"]), ("buy", ask("K019", "TOTAL")[0]["value"]),
        ("buyers", conversion_of_all["numerator"]), ("bounced", bounce_of_all["numerator"]),
        ("user_days_with_pv", bounce_of_all["denominator"]), ("bounce", bounce_of_all["value"]),
        ("cart", ask("P007", "TOTAL")[0]["value"]), ("fav", liked_of_all["numerator"]),
        ("buyers_2plus_buy_rows", of_two["numerator"]),
    ):  # fmt: skip
        gold.is_met(f"tb_summary {column}", found, summary[column])
    gold.is_met("tb_summary buyers_on_2plus_days", again["numerator"], summary["buyers_on_2plus_days"])
    return gold


def main(file: Path, folder: Path) -> int:
    with tempfile.TemporaryDirectory() as data:
        settings = Settings(_env_file=None, data_dir=Path(data), port=0)
        with Database.open(settings) as database:
            migrate(database)
            writer = Writer(database, settings)
            writer.start()
            print("\n".join(import_taobao_behaviour(writer, file).lines()))
            again = import_taobao_behaviour(writer, file)
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
                gold = compare(client, folder)
            server.should_exit = True
            thread.join()
    print(f"{gold.met} figures met, {gold.differing} differ")
    return 1 if gold.differing or again.added else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))

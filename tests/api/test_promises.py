"""The SDL of the last release: what is served breaks nothing of it, and whatever would break a client is found."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from opscore import resources
from opscore.api.promises import REMEDY, PromiseBroken, broken, promised_path, release, surprising
from opscore.api.schema import export_schema
from opscore.cli import app

NOW = export_schema()

SHOP = '''
"""Who may ask."""
directive @access(roles: [Role!]!) on FIELD_DEFINITION
enum Role { OWNER BUYER }
enum Status { PLACED PAID SHIPPED }
interface Node { id: ID! }
type Order implements Node {
  id: ID! status: Status! note: String total(net: Boolean): Int! @access(roles: [OWNER, BUYER])
}
input Lines { count: Int!, note: String = null }
input Offer @oneOf { percent: Int, amount: Int }
type Query { order(id: ID!): Order, orders(first: Int = 10): [Order!]!, node(id: ID!): Node }
type Mutation { placeOrder(lines: Lines!, offer: Offer): Order }
type Subscription { placed: Order! @access(roles: [OWNER]) }
'''


_FROM_ORDER = NOW[NOW.index("\ntype Order implements") :]
WITHOUT_PLACED_AT = NOW.replace(
    _FROM_ORDER, re.sub(r'  """[^"]+"""\n  placedAt: DateTime!\n\n', "", _FROM_ORDER, count=1)
)
"""Our own SDL with a field of Order gone."""

BREAKS = [
    (" note: String total", " total", "Order.note"),
    ("status: Status!", "status: Status", "Order.status"),
    ("): Int! @access", "): String! @access", "Order.total"),
    ("PAID SHIPPED", "PAID", "SHIPPED"),
    ("count: Int!,", "count: Int!, reason: String!,", "Lines.reason"),
    ("note: String = null", "note: String!", "Lines.note"),
    ("count: Int!, ", "", "Lines.count"),
    ("orders(first: Int = 10)", "orders(first: Int!)", "Query.orders(first:)"),
    ("order(id: ID!)", "order(id: ID!, at: Int!)", "Query.order(at:)"),
    ("total(net: Boolean)", "total", "Order.total(net:)"),
    ("type Order implements Node ", "type Order ", "Node"),
    ("[OWNER, BUYER]", "[OWNER]", "Order.total may no longer be asked as BUYER"),
    (
        "note: String total",
        "note: String @access(roles: [OWNER]) total",
        "Order.note may no longer be asked by all",
    ),
    ("Offer @oneOf", "Offer", "Offer is no longer"),
    ("input Lines {", "input Lines @oneOf {", "Lines became"),
    ("type Subscription { placed: Order! @access(roles: [OWNER]) }", "", "Subscription"),
]
"""What stands in SHOP, what it becomes, and what has to be named for it."""
PASSES = [
    (" note: String total", " note: String more: Int total"),
    ("PAID SHIPPED", "PAID SHIPPED LOST"),
    ("count: Int!,", "count: Int!, reason: String, times: Int! = 1,"),
    ("note: String total", "note: String! total"),
    ("note: String total", 'note: String @deprecated(reason: "See remark.") total'),
    ("count: Int!", "count: Int"),
    ("order(id: ID!)", "order(id: ID!, at: Int)"),
    ("placed: Order! @access(roles: [OWNER])", "placed: Order! @access(roles: [OWNER, BUYER])"),
    ("placed: Order! @access(roles: [OWNER])", "placed: Order!"),
    ("type Query {", "type Extra { id: ID! } type Query { extra: Extra @access(roles: [OWNER]),"),
    ("Who may ask.", "Who may ask this."),
]
"""Likewise, of what breaks nobody."""


def test_what_is_served_breaks_no_promise_of_the_last_release() -> None:
    found = broken(promised_path().read_text(encoding="utf-8"), NOW)

    assert not found, "\n".join([*found, REMEDY])


@pytest.mark.parametrize(("was", "becomes", "named"), BREAKS)
def test_what_breaks_a_client_is_found(was: str, becomes: str, named: str) -> None:
    assert was in SHOP
    [found] = broken(SHOP, SHOP.replace(was, becomes))

    assert named in found


@pytest.mark.parametrize(("was", "becomes"), PASSES)
def test_what_is_added_passes(was: str, becomes: str) -> None:
    assert was in SHOP
    assert broken(SHOP, SHOP.replace(was, becomes)) == []


def test_what_may_surprise_a_client_is_said_and_is_no_fault() -> None:
    more = SHOP.replace("PAID SHIPPED", "PAID SHIPPED LOST").replace("Int = 10", "Int = 20")

    assert broken(SHOP, more) == []
    assert len(surprising(SHOP, more)) == 2


def test_a_field_that_goes_from_the_real_schema_is_missed() -> None:
    [found] = broken(NOW, WITHOUT_PLACED_AT)
    assert "Order.placedAt" in found
    assert broken(NOW, NOW) == []


def test_a_release_that_breaks_the_one_before_has_to_say_so(tmp_path: Path) -> None:
    path, less = tmp_path / "released" / "shop.graphql", SHOP.replace(" note: String total", " total")

    assert release(path, SHOP) == []
    with pytest.raises(PromiseBroken, match=r"Order\.note"):
        release(path, less)
    assert path.read_text(encoding="utf-8") == SHOP
    assert len(release(path, less, breaking=True)) == 1
    assert path.read_text(encoding="utf-8") == less
    assert release(path, SHOP) == [] and path.read_text(encoding="utf-8") == SHOP


def test_the_words_for_it_check_and_renew_what_was_promised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path(shutil.copytree(resources.path("schema"), tmp_path / "schema"))
    where = resources.path
    monkeypatch.setattr(resources, "path", lambda name: own if name == "schema" else where(name))
    path = own / "released" / "opscore.graphql"
    path.write_text(f"{NOW}\ntype Promised {{ too: Int }}\n", encoding="utf-8")

    def opscore(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["schema", *words])
        return done.exit_code, " ".join(done.output.split())

    code, said = opscore("export", "--check")
    assert code == 1 and "breaks clients of the last release: " in said and "Promised" in said and REMEDY in said
    code, said = opscore("release", "--breaking")
    assert code == 0 and "Promised" in said
    assert path.read_text(encoding="utf-8") == NOW

"""One set of queries: DuckDB over journals, PostgreSQL and ClickHouse over what was shipped of them answer alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from tests import fleet_servers
from tests.fleet_world import DAY, HOUR, NOW, NOW_MS, Journals

from agent_studio import clock
from agent_studio.cost import book, periods
from agent_studio.cost.report import DIMENSIONS, report
from agent_studio.environment.detect import Environment
from agent_studio.environment.sharing import sharing
from agent_studio.errors import UsageError
from agent_studio.fleet import source
from agent_studio.fleet.address import address
from agent_studio.fleet.engines.opening import opened
from agent_studio.monitor import metrics, spend, usage
from agent_studio.monitor.summary import Window
from agent_studio.monitor.times import times
from agent_studio.release.burnin.observed import observe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_studio.environment.context import Context
    from agent_studio.environment.shared_records import SharedRecords

STAGING, PRODUCTION = Environment.STAGING, Environment.PRODUCTION
VARIABLES = {"AGENT_STUDIO_FLEET_PASSWORD": fleet_servers.PASSWORD}
WINDOWS = {hours: Window(NOW_MS + 1 - round(hours * HOUR), NOW_MS + 1) for hours in (0.2, 24, 100)}
OWN_PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "hook_histogram": [{"hook": "lint"}, {"hook": "it's \"quoted\" %s {x} $y"}],
    "hook_history": [{"hook": "ünïcode 🎉"}],
    "session_timeline": [{"session_id": "s1"}, {"session_id": "ß"}, {"session_id": "nobody's \\ '"}],
}  # fmt: skip


class Pair:
    """A project's journals, and an engine that holds what was shipped of them beside another project's records."""

    def __init__(self, journals: Journals, shared: SharedRecords) -> None:
        self.journals, self.shared = journals, shared

    def contexts(self, environment: Environment = STAGING) -> tuple[Context, Context]:
        """The same environment, read from journals and from the engine."""
        own = self.journals.context(environment)
        return own, own._replace(shared=self.shared)


@pytest.fixture(scope="module", autouse=True)
def _now() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: NOW)
        yield


@pytest.fixture(scope="module", params=["postgresql", "clickhouse"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _now: None) -> Iterator[Pair]:
    is_server = request.param == "postgresql"
    place = fleet_servers.postgresql_server().database() if is_server else fleet_servers.chdb_address()
    folder = tmp_path_factory.mktemp(request.param)
    journals, others = Journals(folder / "bookshop"), Journals(folder / "another")
    for one, seed in ((journals, 1), (others, 3)):
        for environment in (STAGING, PRODUCTION):
            one.fill(environment, seed + (environment is PRODUCTION))
    context = journals.context(STAGING, f"fleet.engine={place}")
    with opened(address(context.config, source.KEY, VARIABLES), "bookshop") as engine:
        engine.init(90)
    for grown in (0, 7):
        for one, seed in ((journals, 1), (others, 3)):
            for environment in (STAGING, PRODUCTION):
                if grown:
                    one.spend(environment, seed + (environment is PRODUCTION), grown=grown)
                one.ship(environment, place)
    with source.opened(context, VARIABLES) as shared:
        yield Pair(journals, shared)


_KNOWN: dict[str, list[dict[str, Any]]] = {}


def _rows_of_journals(own: Context, query: str, window: Window, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """What the journals say, asked once: both pairs' are the same."""
    key = f"{own.environment} {query} {window} {parameters}"
    if key not in _KNOWN:
        _KNOWN[key] = metrics.rows(own, query, window, **parameters)
    return _KNOWN[key]


def same(a: Any, b: Any) -> bool:
    """Whether two answers are alike, sums of fractions to a billionth."""
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[name], b[name]) for name in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b)


@pytest.mark.parametrize("query", sorted(metrics.queries()))
def test_every_query_answers_alike(pair: Pair, query: str) -> None:
    rows = 0
    for environment in (STAGING, PRODUCTION):
        own, shared = pair.contexts(environment)
        for window in WINDOWS.values():
            for parameters in OWN_PARAMETERS.get(query, [{}]):
                expected = _rows_of_journals(own, query, window, parameters)
                found = metrics.rows(shared, query, window, **parameters)
                assert same(expected, found), [pair for pair in zip(expected, found, strict=False) if not same(*pair)][
                    :1
                ]
                rows += len(expected)
    assert rows


@pytest.mark.parametrize("environment", [STAGING, PRODUCTION])
def test_a_summary_is_alike(pair: Pair, environment: Environment) -> None:
    own, shared = pair.contexts(environment)
    for window in WINDOWS.values():
        expected, found = metrics.summary(own, window, engine="sql"), metrics.summary(shared, window)
        for name in expected._fields:
            assert same(getattr(expected, name), getattr(found, name)), name
        assert found.damaged or window is WINDOWS[0.2]
        if window.hours > metrics.PLAIN_HOURS:  # of shorter ones durations are not rounded
            assert times(own, window) == times(shared, window)


def test_a_stretch_without_records_tells_of_the_newest_before_it(pair: Pair) -> None:
    own, shared = pair.contexts()
    window = Window(NOW_MS + 1, NOW_MS + 2)
    expected = metrics.summary(own, window, engine="sql")
    assert metrics.summary(shared, window).newest_ms == expected.newest_ms == NOW_MS


@pytest.mark.parametrize("by", [(), *((name,) for name in DIMENSIONS), ("day", "model"), ("block", "agent", "session")])
def test_a_cost_report_is_alike_by_every_dimension(pair: Pair, by: tuple[str, ...]) -> None:
    own, shared = pair.contexts()
    where, only = periods.zone("Europe/Berlin"), {"environment": "staging"}
    names = sorted({name for name in by if not DIMENSIONS[name].is_time} | {"environment"})
    for since_ms, until_ms in ((None, None), (NOW_MS - DAY - 777, NOW_MS - 5)):
        stretch = (0, None) if "block" in by else (since_ms or 0, until_ms)
        with (
            book.opened(next(iter(sharing(own).values()))) as held,
            usage.opened(shared, names, *stretch) as table,
        ):
            assert table is not None
            expected = report(held.table, by, where, since_ms=since_ms, until_ms=until_ms, only=only)
            found = report(table, by, where, since_ms=since_ms, until_ms=until_ms, only=only)
            assert expected.data() == found.data()
            assert found.total.responses


def test_budgets_stand_alike(pair: Pair) -> None:
    expected, found = ([one.to_json() for one in spend.standing(context)] for context in pair.contexts())
    for one in (*expected, *found):
        del one["forecast"]  # rates of a shared engine begin with a quarter of an hour
    assert expected == found
    assert any(one["used"] for one in found)


def test_what_was_observed_is_alike_but_for_what_no_fleet_can_tell(pair: Pair) -> None:
    own, shared = pair.contexts()
    expected = observe(own, NOW_MS - 4 * DAY, NOW_MS, candidate=None)
    found = observe(shared, NOW_MS - 4 * DAY, NOW_MS, candidate=None)
    assert found.backward is None
    for name in expected._fields:
        if name != "backward":
            assert same(getattr(expected, name), getattr(found, name)), name
    assert found.sessions
    assert found.moments
    assert found.damaged


def test_a_project_sees_its_own_records_alone(pair: Pair) -> None:
    _, shared = pair.contexts()
    window = WINDOWS[100]
    calls = sum(one.calls for one in metrics.summary(shared, window).hooks)
    ((count,),) = pair.shared.fetch("SELECT count(*) FROM agent_studio.hooks", {}).rows
    assert 0 < calls < count / 2


def test_an_unknown_query_is_refused_before_the_engine_is_asked(pair: Pair) -> None:
    _, shared = pair.contexts()
    with pytest.raises(UsageError, match="unknown query 'hook'"):
        metrics.rows(shared, "hook", WINDOWS[24])

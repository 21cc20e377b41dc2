"""The few things that engines write differently, so that one file of SQL runs on all of them.

A query says `{quantile:duration_ms|0.95}`; everything else in it is SQL that the engines share. Values are never
written into a query: they are bound, as `$name`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_PARAMETER = re.compile(r"\$([a-z_]+)")
VARYING = r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|(/[^ :,;()]+)+|\b[0-9a-fA-F]{12,}\b|[0-9]+([.][0-9]+)?"
"""What differs from one message to the next: identifiers, paths, numbers."""


class Dialect(NamedTuple):
    """How an engine writes what a query leaves to it; `{0}`, `{1}` are what it says behind the colon."""

    quantile: str
    """A percentile by linear interpolation: value, share."""
    count_if: str
    """How many rows a condition holds for."""
    latest: str
    """The value of the row with the largest of something: value, what it is the largest of."""
    floor_to: str
    """A moment, down to a whole step: moment, step; both in ms."""
    date: str
    """The UTC day of a moment in ms, `2026-01-31`."""
    series: str
    """A table of one column of numbers from one up to but without another: from, to, step, column."""
    shape: str
    """A message without what differs from one to the next."""
    power: str
    """2 to the power of something."""
    log2: str
    """The logarithm to base 2."""
    parameter: str
    """A bound value: name."""

    def render(self, query: str) -> str:
        """Return a query as the engine takes it."""
        parts = {name: _Part(getattr(self, name)) for name in self._fields if name != "parameter"}
        rendered = query.format_map(parts)
        return _PARAMETER.sub(lambda match: self.parameter.replace("{0}", match[1]), rendered)


class _Part:
    """Fills in a template with what a query says behind the colon."""

    def __init__(self, template: str) -> None:
        self._template = template

    def __format__(self, given: str) -> str:
        text = self._template
        for number, value in enumerate(given.split("|")):
            text = text.replace(f"{{{number}}}", value.strip())
        return text


DUCKDB = Dialect(
    quantile="quantile_cont({0}, {1})",
    count_if="count(*) FILTER (WHERE {0})",
    latest="arg_max({0}, {1})",
    floor_to="({0} - {0} % {1})",
    date="strftime(epoch_ms({0}), '%Y-%m-%d')",
    series="range({0}, {1}, {2}) AS numbers({3})",
    shape=f"regexp_replace({{0}}, '{VARYING}', '#', 'g')",
    power="pow(2, {0})",
    log2="log2({0})",
    parameter="${0}",
)
POSTGRESQL = Dialect(
    quantile="percentile_cont({1}) WITHIN GROUP (ORDER BY {0})",
    count_if="count(*) FILTER (WHERE {0})",
    latest="(array_agg({0} ORDER BY {1} DESC) FILTER (WHERE {0} IS NOT NULL))[1]",
    floor_to="({0} - {0} % {1})",
    date="to_char(to_timestamp({0} / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    series="generate_series({0}, {1} - 1, {2}) AS numbers({3})",
    shape=f"regexp_replace({{0}}, '{VARYING}', '#', 'g')",
    power="power(2, {0})",
    log2="(ln({0}) / ln(2))",
    parameter="%({0})s",
)
DIALECTS: Mapping[str, Dialect] = {"duckdb": DUCKDB, "postgresql": POSTGRESQL}

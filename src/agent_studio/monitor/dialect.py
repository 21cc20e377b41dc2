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
_PART = re.compile(r"\{([a-z_0-9]+)(?::([^{}]*))?\}")
_FILLED = re.compile("\0([0-9]+)\0")
VARYING = r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|(/[^ :,;()]+)+|\b[0-9a-fA-F]{12,}\b([.][0-9]+)?|[0-9]+([.][0-9]+)?"
"""What differs from one message to the next: identifiers, paths, numbers.

Of two alternatives that match in one place the first is never the shorter: engines differ in which one they take.
"""
WHOLE = frozenset(("since", "until", "now", "step", "heard_from"))
"""Bound values that are whole numbers; all others are texts."""


class Dialect(NamedTuple):
    """How an engine writes what a query leaves to it; `{0}`, `{1}` are what it says behind the colon."""

    quantile: str
    """A percentile by linear interpolation: value, share."""
    count_if: str
    """How many rows a condition holds for."""
    latest: str
    """The value of the row with the largest of something, the largest one of several: value, what it is largest of."""
    floor_to: str
    """A whole number, down to a whole step: number, step."""
    date: str
    """The UTC day of a moment in ms, `2026-01-31`."""
    series: str
    """A table of one column of numbers from one up to but without another: from, to, step, column."""
    shape: str
    """A message without what differs from one to the next."""
    head: str
    """The first characters of a text: text, how many."""
    digest: str
    """A short digest of a text."""
    separator: str
    """A character that is in no name."""
    power: str
    """2 to the power of something."""
    log2: str
    """The logarithm to base 2."""
    nullable: str
    """A value of which there may be none."""
    once: str
    """What follows the name of a shared table, so that each row is read once."""
    settings: str
    """What ends a query."""
    parameter: str
    """A bound value: name, type."""
    whole: str
    """The type of a whole number."""
    text: str
    """The type of a text."""

    def render(self, query: str) -> str:
        """Return a query as the engine takes it."""
        filled: list[str] = []

        def fill(match: re.Match[str]) -> str:
            filled.append(_filled(getattr(self, match[1]), match[2] or ""))
            return f"\0{len(filled) - 1}\0"

        count = 1
        while count:  # from the innermost out
            query, count = _PART.subn(fill, query)
        while "\0" in query:
            query = _FILLED.sub(lambda match: filled[int(match[1])], query)
        return _PARAMETER.sub(self._parameter, query) + self.settings

    def _parameter(self, match: re.Match[str]) -> str:
        form = self.whole if match[1] in WHOLE else self.text
        return self.parameter.replace("{0}", match[1]).replace("{1}", form)


def _filled(template: str, given: str) -> str:
    """Return a template with what a query says behind the colon."""
    for number, value in enumerate(given.split("|")):
        template = template.replace(f"{{{number}}}", value.strip())
    return template


DUCKDB = Dialect(
    quantile="quantile_cont({0}, {1})",
    count_if="count(*) FILTER (WHERE {0})",
    latest="arg_max({0}, ({1}, {0}))",
    floor_to="({0} - {0} % {1})",
    date="strftime(epoch_ms({0}), '%Y-%m-%d')",
    series="range({0}, {1}, {2}) AS numbers({3})",
    shape=f"regexp_replace({{0}}, '{VARYING}', '#', 'g')",
    head="substr({0}, 1, {1})",
    digest="md5({0})",
    separator="chr(31)",
    power="pow(2, {0})",
    log2="log2({0})",
    nullable="{0}",
    once="",
    settings="",
    parameter="${0}",
    whole="",
    text="",
)
POSTGRESQL = DUCKDB._replace(
    quantile="percentile_cont({1}) WITHIN GROUP (ORDER BY {0})",
    latest="(array_agg({0} ORDER BY {1} DESC, {0} DESC) FILTER (WHERE {0} IS NOT NULL))[1]",
    floor_to="({0} - mod({0}, {1}))",
    date="to_char(to_timestamp({0} / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    series="generate_series({0}, {1} - 1, {2}) AS numbers({3})",
    shape="regexp_replace({0}, '" + VARYING.replace(r"\b[", r"(?<![0-9A-Za-z_])[").replace(
        r"\b", r"(?![0-9A-Za-z_])"
    ) + "', '#', 'g')",
    power="power(CAST(2 AS DOUBLE PRECISION), {0})",
    log2="(ln({0}) / ln(CAST(2 AS DOUBLE PRECISION)))",
    parameter="%({0})s",
)  # fmt: skip
"""A word ends for it where any script's does: so its ends are spelled out. `%` is not for its driver."""
CLICKHOUSE = DUCKDB._replace(
    quantile="quantileExactInclusive({1})({0})",
    count_if="countIf({0})",
    latest="argMax({0}, ({1}, {0}))",
    date="formatDateTime(fromUnixTimestamp64Milli({0}, 'UTC'), '%F')",
    series="(SELECT {0} + number * {2} AS {3} FROM numbers(toUInt64(intDiv({1} - ({0}) + {2} - 1, {2})))) AS numbers",
    shape="replaceRegexpAll({0}, '" + VARYING.replace("\\", "\\\\") + "', '#')",
    head="substringUTF8({0}, 1, {1})",
    digest="lower(hex(MD5({0})))",
    separator="char(31)",
    nullable="toNullable({0})",
    once=" FINAL",
    settings=(
        " SETTINGS join_use_nulls = 1, cast_keep_nullable = 1, aggregate_functions_null_for_empty = 1, "
        "prefer_column_name_to_alias = 1, do_not_merge_across_partitions_select_final = 1, "
        "optimize_move_to_prewhere_if_final = 1"
    ),
    parameter="{{0}:{1}}",
    whole="Int64",
    text="String",
)
"""Its settings make of nothing a null, as the others do. Copies of a row are equal in all they hold, and of one day."""
DIALECTS: Mapping[str, Dialect] = {"duckdb": DUCKDB, "postgresql": POSTGRESQL, "clickhouse": CLICKHOUSE}

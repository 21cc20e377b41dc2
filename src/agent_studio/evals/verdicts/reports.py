"""A comparison as a file for others: Markdown for a pull request, JUnit XML for continuous integration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from agent_studio.evals.runs.header import AGAINST, CANDIDATE
from agent_studio.release.gate_report import cell, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SIGNS = {"BETTER": "✅", "WORSE": "❌", "NO_DIFFERENCE": "☑️", "INSUFFICIENT": "⚠️"}
_TAGS = {"WORSE": "failure", "INSUFFICIENT": "error"}
WORDS = {"NO_DIFFERENCE": "NO DIFFERENCE SHOWN"}
_FIGURES = (("costUsd", "cost, USD", 4), ("durationMs", "time, ms", 0), ("tokens", "tokens", 0), ("turns", "turns", 1))


def figures(data: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield cost, time, tokens and turns an attempt as rows: what, candidate, against, difference with its interval."""
    for name, shown, digits in _FIGURES:
        one = data[name]
        if one["candidate"] is None:
            yield shown, "not known", "not known", ""
            continue
        own, other = one["candidate"], one["against"]
        more = "" if one["low"] is None else f" ({one['low']:+,.{digits}f} to {one['high']:+,.{digits}f})"
        yield shown, f"{own:,.{digits}f}", f"{other:,.{digits}f}", f"{own - other:+,.{digits}f}{more}"


def rate(data: Mapping[str, Any], side: str) -> str:
    """Return a side's pass rate with its interval."""
    found, interval = data["passRate"][side], data["passRate"]["intervals"][side]
    return "-" if found is None else f"{found:.0%} ({interval[0]:.0%} to {interval[1]:.0%})"


def difference(data: Mapping[str, Any]) -> str:
    """Return the difference of the pass rates with its interval."""
    found = data["passRate"]
    if found["difference"] is None:
        return "-"
    return f"{found['difference']:+.0%} ({found['low']:+.0%} to {found['high']:+.0%})"


def needed(data: Mapping[str, Any]) -> str:
    """Return in words what would settle it; empty when it is settled."""
    if data["verdict"] != "INSUFFICIENT":
        return ""
    if data["reason"]:
        return str(data["reason"])
    more = data["needed"]
    if more is None:
        return "no number of attempts that could be made would settle it, if they go on like this"
    return f"about {more} more pairs of attempts would settle it, if they go on like this"


def markdown(data: Mapping[str, Any]) -> bytes:
    """Return a table for a pull request."""
    lines = [
        f"### Evals: {_SIGNS[data['verdict']]} {WORDS.get(data['verdict'], data['verdict'])}",
        "",
        (f"Candidate `{data['candidate'][:12]}` against `{str(data['against'])[:12]}`, "
        f"{data['pairs']['won'] + data['pairs']['lost'] + data['pairs']['same']} pairs of attempts"),
        "",
        "| | candidate | against | difference |",
        "| --- | --- | --- | --- |",
        f"| pass rate | {rate(data, CANDIDATE)} | {rate(data, AGAINST)} | {difference(data)} |",
        *(f"| {' | '.join(row)} |" for row in figures(data)),
        "",
        "| task | tags | candidate | against | flaky |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {cell(one['id'])} | {cell(', '.join(one['tags']))} | {share(one, CANDIDATE)} | "
            f"{share(one, AGAINST)} | {'yes' if one['flaky'] else ''} |"
            for one in data["tasks"]
        ),
        "",
        *([f"{needed(data)}  "] if needed(data) else []),
        *(f"{cell(one['id'])}: {cell(text)}  " for one in data["tasks"] for text in one["failed"][CANDIDATE][:2]),
    ]  # fmt: skip
    return "".join(f"{line}\n" for line in lines).encode()


def share(task: Mapping[str, Any], side: str) -> str:
    """Return how many of a task's attempts passed."""
    return f"{task['passed'][side]}/{task['made'][side]}"


def junit(data: Mapping[str, Any]) -> bytes:
    """Return one test case a task, red where the candidate passes less often, and one for the verdict."""
    suite = ET.Element("testsuite", name=f"evals.{data['candidate'][:12]}", skipped="0", time="0")
    whole = ET.SubElement(suite, "testcase", name="no-regression", classname="evals", time="0")
    _told(whole, _TAGS.get(data["verdict"]), f"{data['verdict']}: {difference(data)} {needed(data)}")
    for one in data["tasks"]:
        case = ET.SubElement(suite, "testcase", name=one["id"], classname="evals.task", time="0")
        lost = one["passed"][CANDIDATE] * one["made"][AGAINST] < one["passed"][AGAINST] * one["made"][CANDIDATE]
        why = "; ".join(one["failed"][CANDIDATE][:3])
        _told(case, "failure" if lost else None, f"{share(one, CANDIDATE)}, against {share(one, AGAINST)}. {why}")
    cases = list(suite)
    for tag, name in (("failure", "failures"), ("error", "errors")):
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("tests", str(len(cases)))
    written: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _told(case: ET.Element, tag: str | None, text: str) -> None:
    if tag is None:
        ET.SubElement(case, "system-out").text = plain(text)
    else:
        ET.SubElement(case, tag, message=plain(text)[:500], type=tag)

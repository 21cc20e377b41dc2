"""What the gate says, as a file for others: JUnit XML for continuous integration, Markdown for a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from agent_studio.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

_TAGS = {"FAIL": "failure", "INSUFFICIENT": "error"}
_SIGNS = {"PASS": "✅", "WAIVED": "☑️", "FAIL": "❌", "INSUFFICIENT": "⚠️"}
_ESCAPED = str.maketrans({one: f"\\{one}" for one in "\\|`*_[]<>#@~"})


def junit(data: Mapping[str, Any]) -> bytes:
    """Return one test case a requirement of what `gate --json` says; all but PASS and WAIVED are red."""
    requirements = data["requirements"]
    counts = {tag: sum(_TAGS.get(one["verdict"]) == tag for one in requirements) for tag in _TAGS.values()}
    suite = ET.Element(
        "testsuite", name=f"gate.{data['candidate'][:12]}", tests=str(len(requirements)),
        failures=str(counts["failure"]), errors=str(counts["error"]), skipped="0", time="0",
    )  # fmt: skip
    for one in requirements:
        case = ET.SubElement(suite, "testcase", name=one["name"], classname="gate", time="0")
        told = plain(f"{one['verdict']}: {one['reason']}")
        if tag := _TAGS.get(one["verdict"]):
            ET.SubElement(case, tag, message=told, type=one["verdict"])
        else:
            ET.SubElement(case, "system-out").text = told
    written: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def markdown(data: Mapping[str, Any]) -> bytes:
    """Return a table of what `gate --json` says; no text in it acts as markup or calls anybody."""
    lines = [
        f"### Gate: {data['verdict']}",
        "",
        f"Candidate `{data['candidate']}`{_made(data)}" if data["candidate"] else "No candidate could be made",
        "",
        "| | requirement | verdict | reason |",
        "| --- | --- | --- | --- |",
        *(
            f"| {_SIGNS[one['verdict']]} | {cell(one['name'])} | {one['verdict']} | {cell(one['reason'])} |"
            for one in data["requirements"]
        ),
        "",
        *(f"{cell(line)}  " for line in (*data["inForce"], *data["then"])),
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _made(data: Mapping[str, Any]) -> str:
    at = f", commit `{data['commit'][:12]}`" if data.get("commit") else ""
    return at + (f", by {cell(data['author'])}" if data.get("author") else "")


def cell(text: str) -> str:
    """Return a text as a table of Markdown has it."""
    return plain(text).translate(_ESCAPED)


def plain(text: str) -> str:
    """Return a text in one line, without a secret."""
    return redact("".join(one if one.isprintable() else " " for one in text))

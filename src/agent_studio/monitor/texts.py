"""Texts that come from records, made fit to be kept, sent and shown anywhere."""

from __future__ import annotations


def clean(text: str, most: int) -> str:
    """Return a text without secrets and without what could act on a terminal or a page, cut to a length."""
    from agent_studio.redaction import redact  # noqa: PLC0415 - compiled only when something is kept

    plain = "".join(character if character.isprintable() else " " for character in redact(text))
    return plain if len(plain) <= most else plain[: most - 1] + "…"

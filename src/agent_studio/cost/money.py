"""Amounts of money: whole numbers of pico-USD (10**-12) inside, decimal text in records, never a float on the way."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

PICO = 1_000_000_000_000
MOST_PICO_USD = 9 * 10**18
"""Nine million USD: more than any response costs, and what an SQLite integer holds."""
_TEXT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,12}))?")


def usd_text(pico_usd: int) -> str:
    """Return an amount as exact decimal text, without an exponent or zeros at its end: `0.115692`."""
    sign = "-" if pico_usd < 0 else ""
    whole, rest = divmod(abs(pico_usd), PICO)
    return f"{sign}{whole}.{rest:012d}".rstrip("0").rstrip(".")


def pico_of(text: str) -> int | None:
    """Return what a decimal text says, in pico-USD, or None when it is none of ours or more than `MOST_PICO_USD`."""
    match = _TEXT.fullmatch(text)
    found = -1 if match is None else int(match[1]) * PICO + int((match[2] or "").ljust(12, "0"))
    return found if 0 <= found <= MOST_PICO_USD else None


def usd_of(text: str | None) -> Decimal | None:
    """Return what a text says in USD, None for no text and for what is no amount from 0 up."""
    try:
        value = Decimal(text) if text is not None else None
    except InvalidOperation:
        return None
    return value if value is not None and value.is_finite() and value >= 0 else None

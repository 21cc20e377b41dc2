"""Rounding, vouchers and the tax contained in a price.

Amounts are Decimal pounds. Each cart line is rounded once, half up, and totals are sums of rounded
lines, so that an invoice always adds up. Prices include tax.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

from bookshop.cart import Cart
from bookshop.catalogue import Catalogue, Format

PENNY = Decimal("0.01")
ZERO = Decimal("0.00")
TAX_RATES: dict[Format, Decimal] = {
    "print": ZERO,
    "ebook": ZERO,
    "audio": Decimal("0.20"),
}


@dataclass(frozen=True)
class Quote:
    """The price of a cart: total is goods minus discount, and tax is contained in total."""

    goods: Decimal
    discount: Decimal
    tax: Decimal
    total: Decimal


def round_money(amount: Decimal) -> Decimal:
    """Round to whole pennies, half a penny away from zero."""
    return amount.quantize(PENNY, rounding=ROUND_HALF_UP)


def allocate(amount: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Split whole pennies in proportion to weights so that the parts sum to amount exactly.

    Left-over pennies go to the largest remainders, earlier parts first on a tie. Raises ValueError
    if the weights do not sum to more than zero.
    """
    whole = sum(weights, ZERO)
    if whole <= 0:
        raise ValueError("weights must sum to more than zero")
    exact = [amount * weight / whole for weight in weights]
    parts = [share.quantize(PENNY, rounding=ROUND_DOWN) for share in exact]
    left_over = int((amount - sum(parts, ZERO)) / PENNY)
    order = sorted(range(len(parts)), key=lambda i: exact[i] - parts[i], reverse=True)
    for i in order[:left_over]:
        parts[i] += PENNY
    return parts


def quote(cart: Cart, catalogue: Catalogue, voucher: Decimal = ZERO) -> Quote:
    """Price a cart. A voucher is a fixed amount and never takes the total below zero."""
    if voucher < 0:
        raise ValueError("a voucher must not be negative")
    books = [(catalogue.get(isbn), quantity) for isbn, quantity in cart]
    lines = [round_money(book.price * quantity) for book, quantity in books]
    goods = sum(lines, ZERO)
    discount = min(round_money(voucher), goods)
    shares = allocate(discount, lines) if discount else [ZERO] * len(lines)
    tax = ZERO
    for (book, _), line, share in zip(books, lines, shares, strict=True):
        rate = TAX_RATES[book.format]
        tax += round_money((line - share) * rate / (1 + rate))
    return Quote(goods=goods, discount=discount, tax=tax, total=goods - discount)

from decimal import Decimal

from conftest import LANTERN, QUIET, TIDES

from bookshop.cart import Cart
from bookshop.catalogue import Catalogue
from bookshop.pricing import allocate, quote, round_money


def test_half_a_penny_rounds_away_from_zero() -> None:
    assert round_money(Decimal("2.675")) == Decimal("2.68")
    assert round_money(Decimal("-2.675")) == Decimal("-2.68")


def test_allocation_sums_exactly() -> None:
    parts = allocate(Decimal("10.00"), [Decimal(1), Decimal(1), Decimal(1)])
    assert parts == [Decimal("3.34"), Decimal("3.33"), Decimal("3.33")]


def test_quote_shows_tax_contained_in_audiobooks_only(catalogue: Catalogue) -> None:
    cart = Cart()
    cart.add(TIDES)
    cart.add(QUIET)
    result = quote(cart, catalogue)
    assert result.total == Decimal("27.99")
    assert result.tax == Decimal("2.50")


def test_voucher_never_takes_the_total_below_zero(catalogue: Catalogue) -> None:
    cart = Cart()
    cart.add(LANTERN)
    result = quote(cart, catalogue, voucher=Decimal("20.00"))
    assert (result.discount, result.total) == (Decimal("8.50"), Decimal("0.00"))

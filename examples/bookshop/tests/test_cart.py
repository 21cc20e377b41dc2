import pytest
from conftest import TIDES

from bookshop.cart import MAX_PER_TITLE, Cart, CartError


def test_adding_twice_sums_the_quantity() -> None:
    cart = Cart()
    cart.add(TIDES)
    cart.add(TIDES, 2)
    assert list(cart) == [(TIDES, 3)]
    assert len(cart) == 3


def test_limit_per_title_leaves_the_cart_unchanged() -> None:
    cart = Cart()
    cart.add(TIDES, MAX_PER_TITLE)
    with pytest.raises(CartError):
        cart.add(TIDES)
    assert len(cart) == MAX_PER_TITLE

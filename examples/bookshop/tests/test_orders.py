import pytest
from conftest import LANTERN, TIDES

from bookshop.cart import Cart
from bookshop.catalogue import Catalogue, OutOfStock
from bookshop.orders import InvalidTransition, Status, cancel, place_order


def test_placing_reserves_stock_and_cancelling_returns_it(catalogue: Catalogue) -> None:
    cart = Cart()
    cart.add(TIDES, 3)
    order = place_order("B-1001", cart, catalogue)
    assert len(cart) == 0
    assert not catalogue.in_stock(TIDES, 1)
    cancel(order, catalogue)
    assert catalogue.in_stock(TIDES, 3)


def test_a_short_title_reserves_nothing(catalogue: Catalogue) -> None:
    cart = Cart()
    cart.add(TIDES, 2)
    cart.add(LANTERN, 2)
    with pytest.raises(OutOfStock, match=LANTERN):
        place_order("B-1002", cart, catalogue)
    assert catalogue.in_stock(TIDES, 3)


def test_a_shipped_order_cannot_be_cancelled(catalogue: Catalogue) -> None:
    cart = Cart()
    cart.add(LANTERN)
    order = place_order("B-1003", cart, catalogue)
    order.move_to(Status.PAID)
    order.move_to(Status.SHIPPED)
    with pytest.raises(InvalidTransition):
        cancel(order, catalogue)

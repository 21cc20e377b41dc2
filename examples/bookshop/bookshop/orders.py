"""Placing an order and moving it through its life."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from bookshop.cart import Cart, CartError
from bookshop.catalogue import Catalogue, OutOfStock
from bookshop.pricing import ZERO, Quote, quote


class Status(StrEnum):
    """Where an order stands."""

    PLACED = "placed"
    PAID = "paid"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


# A status without an entry is final.
NEXT: dict[Status, frozenset[Status]] = {
    Status.PLACED: frozenset({Status.PAID, Status.CANCELLED}),
    Status.PAID: frozenset({Status.SHIPPED, Status.REFUNDED}),
    Status.SHIPPED: frozenset({Status.REFUNDED}),
}


class InvalidTransition(Exception):
    """The order cannot go from its present status to the requested one."""


@dataclass
class Order:
    """A placed order. The quote is fixed when the order is placed."""

    number: str
    lines: tuple[tuple[str, int], ...]
    quote: Quote
    history: list[Status] = field(default_factory=lambda: [Status.PLACED])

    @property
    def status(self) -> Status:
        """The latest entry of the history."""
        return self.history[-1]

    def move_to(self, status: Status) -> None:
        """Change the status or raise InvalidTransition."""
        if status not in NEXT.get(self.status, frozenset()):
            raise InvalidTransition(f"order {self.number}: {self.status} to {status}")
        self.history.append(status)


def place_order(number: str, cart: Cart, catalogue: Catalogue, voucher: Decimal = ZERO) -> Order:
    """Reserve stock for every line, empty the cart and return the order.

    Raises CartError for an empty cart and OutOfStock, with nothing reserved, if any title is short.
    """
    if not len(cart):
        raise CartError("the cart is empty")
    short = [isbn for isbn, copies in cart if not catalogue.in_stock(isbn, copies)]
    if short:
        raise OutOfStock(", ".join(short))
    order = Order(number, tuple(cart), quote(cart, catalogue, voucher))
    for isbn, copies in order.lines:
        catalogue.change_stock(isbn, -copies)
    cart.clear()
    return order


def cancel(order: Order, catalogue: Catalogue) -> None:
    """Cancel an unpaid order and return its copies to stock."""
    order.move_to(Status.CANCELLED)
    for isbn, copies in order.lines:
        catalogue.change_stock(isbn, copies)

"""A small catalogue that the tests share. The books are invented."""

from decimal import Decimal

import pytest

from bookshop.catalogue import Book, Catalogue

TIDES = "9780000000019"
LANTERN = "9780000000026"
QUIET = "9780000000033"


@pytest.fixture
def catalogue() -> Catalogue:
    shop = Catalogue()
    shop.add(Book(TIDES, "A Table of Tides", "Ines Farrow", Decimal("12.99")), copies=3)
    shop.add(Book(LANTERN, "The Lantern Census", "Tomas Oake", Decimal("8.50")), copies=1)
    shop.add(Book(QUIET, "Quiet Machines", "Ines Farrow", Decimal("15.00"), "audio"))
    return shop

from decimal import Decimal

import pytest
from conftest import LANTERN, QUIET, TIDES

from bookshop.catalogue import Book, Catalogue, OutOfStock, UnknownBook, is_isbn13


def test_isbn_check_digit() -> None:
    assert is_isbn13(TIDES)
    assert not is_isbn13("9780000000018")
    assert not is_isbn13("978000000001")


def test_rejects_a_bad_isbn() -> None:
    with pytest.raises(ValueError, match="not an ISBN-13"):
        Catalogue().add(Book("123", "Short", "Nobody", Decimal("1.00")))


def test_search_ignores_case_and_sorts_by_title(catalogue: Catalogue) -> None:
    assert [book.isbn for book in catalogue.search("FARROW")] == [TIDES, QUIET]


def test_pages_continue_after_the_last_isbn_seen(catalogue: Catalogue) -> None:
    first = catalogue.page(limit=2)
    assert [book.isbn for book in first] == [TIDES, LANTERN]
    assert [book.isbn for book in catalogue.page(after=first[-1].isbn, limit=2)] == [QUIET]


def test_stock_never_goes_below_zero(catalogue: Catalogue) -> None:
    with pytest.raises(OutOfStock, match="1 left, 2 wanted"):
        catalogue.change_stock(LANTERN, -2)
    assert catalogue.in_stock(LANTERN, 1)


def test_unknown_book(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownBook):
        catalogue.get("9780000000040")

"""Books on sale and how many copies are left."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Format = Literal["print", "ebook", "audio"]


class UnknownBook(LookupError):
    """No book in the catalogue has the given ISBN."""


class OutOfStock(Exception):
    """Fewer copies are left than were asked for."""


def is_isbn13(text: str) -> bool:
    """Tell whether text is thirteen digits with a correct check digit."""
    digits = len(text) == 13 and text.isascii() and text.isdigit()
    return digits and (sum(map(int, text[::2])) + 3 * sum(map(int, text[1::2]))) % 10 == 0


@dataclass(frozen=True)
class Book:
    """One edition of a title. The price is in pounds and includes tax."""

    isbn: str
    title: str
    author: str
    price: Decimal
    format: Format = "print"


class Catalogue:
    """All books on sale, keyed by ISBN. Only printed books have a stock level."""

    def __init__(self) -> None:
        self._books: dict[str, Book] = {}
        self._stock: dict[str, int] = {}

    def add(self, book: Book, copies: int = 0) -> None:
        """Put a book on sale. Raises ValueError for a bad ISBN or a negative price or count."""
        if not is_isbn13(book.isbn):
            raise ValueError(f"not an ISBN-13: {book.isbn!r}")
        if book.price < 0 or copies < 0:
            raise ValueError("price and copies must not be negative")
        self._books[book.isbn] = book
        if book.format == "print":
            self._stock[book.isbn] = copies

    def get(self, isbn: str) -> Book:
        """Return the book with this ISBN or raise UnknownBook."""
        if isbn not in self._books:
            raise UnknownBook(isbn)
        return self._books[isbn]

    def search(self, text: str) -> list[Book]:
        """Return books whose title or author contains text, ignoring case, by title."""
        wanted = text.casefold()
        hits = [b for b in self._books.values() if wanted in f"{b.title}\n{b.author}".casefold()]
        return sorted(hits, key=lambda book: book.title)

    def page(self, after: str = "", limit: int = 20) -> list[Book]:
        """Return up to limit books whose ISBN sorts after the given one."""
        return [self._books[isbn] for isbn in sorted(self._books) if isbn > after][:limit]

    def in_stock(self, isbn: str, copies: int) -> bool:
        """Tell whether this many copies can be sold; a download never runs out."""
        return self.get(isbn).format != "print" or self._stock[isbn] >= copies

    def change_stock(self, isbn: str, copies: int) -> None:
        """Add copies, or remove them if negative. Raises OutOfStock rather than go below zero."""
        if not self.in_stock(isbn, -copies):
            raise OutOfStock(f"{isbn}: {self._stock[isbn]} left, {-copies} wanted")
        if isbn in self._stock:
            self._stock[isbn] += copies

"""What a customer has chosen and not yet ordered."""

from __future__ import annotations

from collections.abc import Iterator

MAX_PER_TITLE = 20


class CartError(ValueError):
    """The requested change would leave the cart in a state that cannot be ordered."""


class Cart:
    """Quantities by ISBN, in the order in which the titles were first added."""

    def __init__(self) -> None:
        self._quantities: dict[str, int] = {}

    def add(self, isbn: str, quantity: int = 1) -> None:
        """Add copies of a title. Raises CartError above the limit or for a quantity below 1."""
        if quantity < 1:
            raise CartError(f"quantity must be at least 1, not {quantity}")
        self.set_quantity(isbn, self._quantities.get(isbn, 0) + quantity)

    def set_quantity(self, isbn: str, quantity: int) -> None:
        """Set the number of copies; zero removes the title. Raises CartError out of range."""
        if not 0 <= quantity <= MAX_PER_TITLE:
            raise CartError(f"quantity must be between 0 and {MAX_PER_TITLE}, not {quantity}")
        if quantity:
            self._quantities[isbn] = quantity
        else:
            self._quantities.pop(isbn, None)

    def clear(self) -> None:
        """Remove every title."""
        self._quantities.clear()

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self._quantities.items())

    def __len__(self) -> int:
        return sum(self._quantities.values())

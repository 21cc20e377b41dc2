"""The money of a run: what attempts may cost at worst is set aside before they begin, so the limit is never passed."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NOTHING = Decimal(0)


class Budget:
    """A limit, what was spent, and what is set aside; threads may share it."""

    def __init__(self, limit_usd: Decimal, spent: Iterable[Decimal] = ()) -> None:
        self.limit_usd = limit_usd
        self.spent_usd = sum(spent, _NOTHING)
        self.reserved_usd = _NOTHING
        self.overruns: list[str] = []
        """Attempts that cost more than was set aside for them."""
        self._lock = threading.Lock()

    def reserve(self, worst_usd: Decimal) -> bool:
        """Set money aside; return whether there is enough."""
        with self._lock:
            if self.spent_usd + self.reserved_usd + worst_usd > self.limit_usd:
                return False
            self.reserved_usd += worst_usd
            return True

    def settle(self, name: str, worst_usd: Decimal, spent_usd: Decimal | None) -> None:
        """Give back what was not spent; a cost that is not known counts at its worst."""
        with self._lock:
            self.reserved_usd -= worst_usd
            self.spent_usd += worst_usd if spent_usd is None else spent_usd
            if spent_usd is not None and spent_usd > worst_usd:
                self.overruns.append(name)

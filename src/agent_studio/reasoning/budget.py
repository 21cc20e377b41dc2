"""What a session may spend: the worst case is set aside before a call, what it really cost is settled after it."""

from __future__ import annotations

import threading
from decimal import Decimal

from agent_studio.errors import AgentStudioError

_NOTHING = Decimal(0)


class BudgetError(AgentStudioError):
    """A model was not asked: the call could pass the limit, or has no known price."""

    code = "budget"


class Budget:
    """A limit in USD under which calls run side by side; threads may share it.

    What is spent and what is set aside never pass the limit together, unless a provider bills more than the worst case:
    then that is taken as spent, and every later call that costs anything is refused.
    """

    def __init__(self, limit_usd: Decimal | None) -> None:
        """None is no limit."""
        self.limit_usd = limit_usd
        self._spent = self._reserved = _NOTHING
        self._lock = threading.Lock()

    @property
    def spent_usd(self) -> Decimal:
        """What calls cost, those whose cost is not known for certain at their worst."""
        return self._spent

    @property
    def reserved_usd(self) -> Decimal:
        """What is set aside for calls that are under way."""
        return self._reserved

    def reserve(self, worst_usd: Decimal) -> None:
        """Set the worst case of a call aside; raise `BudgetError`, then nothing is."""
        with self._lock:
            taken = self._spent + self._reserved
            if worst_usd and self.limit_usd is not None and taken + worst_usd > self.limit_usd:
                raise BudgetError(
                    f"the limit is {_shown(self.limit_usd)} USD, {_shown(self._spent)} is spent and "
                    f"{_shown(self._reserved)} set aside: this call may cost {_shown(worst_usd)}",
                    hint="raise the limit, choose a cheaper model, or ask for less",
                )
            self._reserved += worst_usd

    def may_fit(self, worst_usd: Decimal) -> bool:
        """Tell whether a call that was refused may be made once calls that are under way cost less than set aside."""
        with self._lock:
            return self.limit_usd is not None and bool(self._reserved) and self._spent + worst_usd <= self.limit_usd

    def settle(self, worst_usd: Decimal, spent_usd: Decimal) -> None:
        """Give back what was set aside for a call and count what it cost."""
        with self._lock:
            self._reserved -= worst_usd
            self._spent += spent_usd

    def already(self, spent_usd: Decimal) -> None:
        """Count what an earlier part of the session spent."""
        self.settle(_NOTHING, spent_usd)


def _shown(usd: Decimal) -> str:
    return f"{usd:.6f}".rstrip("0").rstrip(".")

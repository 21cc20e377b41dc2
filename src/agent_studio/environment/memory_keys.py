"""The configuration keys of memory, as rows for the table of all keys."""

from __future__ import annotations

MEMORY_KEYS: tuple[tuple[str, bool | int, str, int | None, int | None], ...] = (
    ("rotation.decisionDays", 60, "Days after which decisions leave a file that is too long.", 1, 36_500),
    ("rotation.resolvedDays", 7, "Days after which settled issues do.", 1, 36_500),
    ("rotation.otherDays", 60, "Days after which the oldest notes of other kinds do.", 1, 36_500),
    ("rotation.maxLines", 1_500, "Lines from which on a file is too long.", 50, 1_000_000),
    ("rotation.automatic", True, "Rotate when sessions are summed up, not only when asked to.", None, None),
    ("sessions", True, "Keep what each session did in memory/sessions/.", None, None),
    ("context.enabled", False, "Give agents the memory that fits when a session starts: a hook.", None, None),
    ("context.maxTokens", 1_500, "Tokens that memory may take at the start of a session.", 100, 50_000),
    ("guard", False, "Keep agents from other agents' sidecars: a hook.", None, None),
)
"""Name after `memory.`, default, what it is for, least, most; true and false have no limits."""

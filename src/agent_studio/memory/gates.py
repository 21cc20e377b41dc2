"""What a note must pass before it is kept: it says something, holds no secret, and was not said before."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.errors import AgentStudioError, ExitCode
from agent_studio.memory import credentials, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ALIKE = 0.8
"""Of the words of two notes together, those that both have: from here on they say the same."""
_INSIDE = 0.95
"""Of the words of a new note, those that another one has: from here on it adds nothing."""
_FEWEST = 4
"""Words below which only the same text is the same note."""
_LEAST_LETTERS = 3
FENCE = "agent-studio-notes"
"""How the marks around notes begin that models are shown; a text that has it was recalled, not learned."""
_RECALLED = re.compile(rf"</?{FENCE}-|\[[nsm]-[0-9a-f]{{8,16}}(?:[ ,\]])")


class RefusedError(AgentStudioError):
    """A note that is not kept; nothing was written."""

    code = "refused"
    exit_code = ExitCode.USAGE


class KnownError(RefusedError):
    """The note is there already."""

    code = "known"
    exit_code = ExitCode.FAILED

    def __init__(self, known: str, shown: str, *, is_same: bool) -> None:
        word = "the same" if is_same else "nearly the same"
        super().__init__(
            f"{known} says {word}: {shown}", hint=f"change what is there, or say what differs from {known}"
        )
        self.known = known
        """The id of the note that is there."""


class Kept(NamedTuple):
    """A note that is there, as far as a new one is compared with it."""

    id: str
    text: str


def check_text(text: str, *, limit_bytes: int) -> str:
    """Return a text as it may be kept; raise `RefusedError` for one that may not."""
    cleaned = cleaned_text(text)
    if sum(letter.isalnum() for letter in cleaned) < _LEAST_LETTERS:
        raise RefusedError("a note needs words", hint="say what was learned, in a sentence")
    size = len(cleaned.encode("utf-8", "replace"))
    if size > limit_bytes:
        raise RefusedError(
            f"a note has at most {limit_bytes:,} bytes, this one {size:,}", hint="keep what matters, or make two notes"
        )
    check_secrets(cleaned)
    if _RECALLED.search(cleaned):
        raise RefusedError(
            "this text was recalled from memory: it is there already", hint="write only what is new, in your own words"
        )
    return cleaned


def cleaned_text(text: str) -> str:
    """Return a text without what cannot be seen or kept: control characters, halves of characters, outer space."""
    whole = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode("utf-8")
    kept = "".join(one for one in whole if one in "\n\t" or not (ord(one) < 32 or 127 <= ord(one) < 160))  # noqa: PLR2004
    return "\n".join(line.rstrip() for line in kept.split("\n")).strip()


def check_secrets(text: str) -> None:
    """Raise `RefusedError` for a text that holds a credential."""
    from agent_studio.redaction import find_secrets  # noqa: PLC0415 - compiled only where something is written

    seen = credentials.unhidden(text)
    found = find_secrets(text) or find_secrets(seen)
    kinds = ", ".join(sorted({one.kind for one in found})) or credentials.named(seen)
    if kinds:
        raise RefusedError(f"this text holds a secret ({kinds})", hint="say where the secret is kept, not what it is")


def refuse_known(text: str, kept: Iterable[Kept]) -> None:
    """Raise `KnownError` where one of the notes says the same; `kept` are those that share words with the text."""
    own, print_ = words.content(text), words.fingerprint(text)
    for one in kept:
        if words.fingerprint(one.text) == print_:
            raise KnownError(one.id, _shown(one.text), is_same=True)
        if says_same(own, words.content(one.text)):
            raise KnownError(one.id, _shown(one.text), is_same=False)


def says_same(new: Sequence[str], old: Sequence[str]) -> bool:
    """Tell whether a note adds nothing to another, by the words of both, in their order.

    One that leaves details out adds nothing; one that leaves a negation out says the opposite, and one in which two
    words have changed places may say something else.
    """
    if len(new) < _FEWEST or len(set(new) & set(old)) < _ALIKE * len(set(new)):
        return False
    import difflib  # noqa: PLC0415 - few notes come this far

    blocks = difflib.SequenceMatcher(None, new, old, autojunk=False).get_matching_blocks()
    both = sum(block.size for block in blocks)
    in_new = {at for block in blocks for at in range(block.a, block.a + block.size)}
    in_old = {at for block in blocks for at in range(block.b, block.b + block.size)}
    more = [word for at, word in enumerate(new) if at not in in_new]
    less = [word for at, word in enumerate(old) if at not in in_old]
    if words.turns(more) or (more and less):  # a word in the place of another: of what is told, or what is done
        return False
    if both >= _INSIDE * len(new):
        return not words.denies(less)
    return both >= _ALIKE * (len(new) + len(old) - both) and not words.turns(less)


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:79]}…"  # noqa: PLR2004 - a line's worth

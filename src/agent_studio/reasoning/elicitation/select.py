"""Which methods fit a request or a draft: a score from 0 to 1 for each, the same for the same words.

A cue is a row of words, each with others that may stand for it (`what|how could|might fail`), found as stems in that
order with at most two words between them. Cues count as independent hints, `1 - (1 - a)(1 - b)`, each word of a request
for one cue of a method only. Of a long draft, headings and beginning are looked at, and its kind. A short order to do
something (run, rename, print) says little for any method.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache, lru_cache
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from agent_studio.knowledge import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agent_studio.reasoning.elicitation.methods import Method

READ_CHARACTERS = 20_000
"""How much of a long text is looked at, from its beginning."""
WEIGHTS: Mapping[str, float] = {"strong": 0.72, "medium": 0.46, "weak": 0.2}
_PASSAGE_WORDS = 80
"""Hints count together only where they stand so near to each other."""
_PASSAGES_OF_A_REQUEST = 4
"""A text of more passages is a draft."""
_GAP = 2
_KIND_WORDS: Mapping[str, str] = {
    "architecture": "architecture component module interface service dependency database schema deployment scaling",
    "security": "security permission authentication authorization token credential encryption attack secret audit",
    "strategy": "strategy market competitor revenue customer roadmap vision budget investment growth pricing",
    "specification": "specification requirement shall acceptance criterion scope definition normative interface field",
}
_KIND_LEAST, _KIND_WEIGHT = 4, 0.72
"""Different words of a kind that make a text one of it, as its own name does, and what that says for its methods."""
_ORDERS = frozenset(
    """fix rename run print show open bump add remove delete format sort convert translate merge copy send close install
    update upload restart list turn insert replace increase decrease attach give remind create set change commit
    move download start stop log make implement generate put book scaffold extract draw call summarise summarize wire
    enable disable shorten use write refactor build deploy push rebase revert type mock pin""".split()  # noqa: SIM905 - a list of texts would be 50 lines
)
_POLITE = frozenset(
    """please can could would will you mind i we want need to lets let us should now just think that id like a the also
    then and kindly""".split()  # noqa: SIM905 - as above
)
"""What an order may begin with."""
_LOOKED_UP = ("how do i ", "how can i ", "how to ", "is there a ")
"""How questions begin whose answer is looked up."""
_FRAME = frozenset(
    """would could should might may ought will ever plan design proposal idea strategy decide decision worry nervous
    suspect doubt fair assume estimate forecast risk consequence argument opinion review critique anything nobody
    everybody sound ready enough too consider believe expect promise sure honest wrong goal agree think""".split()  # noqa: SIM905 - as above
)
"""Words of somebody who weighs something up: beside them, one hint of medium strength is enough."""
_FRAME_WEIGHT = 0.46
_NAMED = 0.95
"""The score of a method whose own name is in the request, in an order, too."""
_ORDINARY = frozenset(
    """inversion invert cascade subtraction decomposition analogy analogical sensitivity assumptions stakeholders
    simplify fundamentals debiasing""".split()  # noqa: SIM905 - as above
)
"""Names that are everyday words, and name no method by themselves."""
_ORDER_WORDS = 14
_ORDER_FACTOR = 0.8


class Fit(NamedTuple):
    """How well a method fits."""

    method: Method
    score: float
    """0 to 1."""
    because: tuple[str, ...]
    """The cues that were found, and the kind of the text where that counted."""


def select(text: str, methods: Iterable[Method], *, least: float, limit: int) -> list[Fit]:
    """Return the methods that fit from a score up, the best first; none where none fits."""
    passages = _passages(text[:READ_CHARACTERS])
    kinds = _kinds(passages)
    if len(passages) > _PASSAGES_OF_A_REQUEST:
        passages = _passages(_about(text[:READ_CHARACTERS]))
    scored = (_fit(method, passages, kinds) for method in methods)
    fitting = [fit for fit in scored if fit.score >= least and fit.score > 0]
    return sorted(fitting, key=lambda fit: (-fit.score, fit.method.id))[:limit]


def _about(draft: str) -> str:
    """Return headings and beginning of a long text: among all its words are cues of every method."""
    headings = [line.lstrip("# ") for line in draft.splitlines() if line.startswith("#")]
    return " ".join([*headings, *draft.split()[:_PASSAGE_WORDS]])


def is_read(text: str) -> bool:
    """Tell whether a text has words that cues could be found in: ours are English."""
    return any(word.isascii() and word.isalpha() for word in words.words(text[:READ_CHARACTERS]))


class _Passage(NamedTuple):
    """Some words that stand together, as stems, and where each is."""

    stems: list[str]
    places: Mapping[str, list[int]]
    is_order: bool
    is_weighing: bool


def _passages(text: str) -> list[_Passage]:
    found = [_stem(word) for word in words.words(text.replace("'", ""))]
    step = _PASSAGE_WORDS // 2
    starts = range(0, max(len(found) - step, 1), step)
    order = len(found) <= _ORDER_WORDS and bool(found) and _is_order(text)
    return [_passage(found[at : at + _PASSAGE_WORDS], is_order=order) for at in starts]


def _passage(stems: list[str], *, is_order: bool) -> _Passage:
    places: dict[str, list[int]] = defaultdict(list)
    for at, stem in enumerate(stems):
        places[stem].append(at)
    return _Passage(stems, places, is_order, not is_order and any(stem in places for stem in _stems(_FRAME)))


def _is_order(text: str) -> bool:
    """Tell whether a text asks for something to be done or looked up, however politely."""
    said = words.words(text.replace("'", ""))
    if " ".join(said).startswith(_LOOKED_UP):
        return True
    return next((word for word in said if word not in _POLITE), "") in _ORDERS


def _kinds(passages: Sequence[_Passage]) -> set[str]:
    seen = {stem for passage in passages for stem in passage.stems}
    if any(passage.is_order for passage in passages):
        return set()
    return {
        kind
        for kind, known in _KIND_WORDS.items()
        if _stem(kind) in seen or len(seen & _stems(frozenset(known.split()))) >= _KIND_LEAST
    }


def _fit(method: Method, passages: Sequence[_Passage], kinds: set[str]) -> Fit:
    """Return the score of the passage that says most for a method."""
    kind = next((kind for kind in method.kinds if kind in kinds), None)
    best, because = 0.0, list[str]()
    for passage in passages:
        misses, found = list[float](), list[str]()
        taken = set[int]()
        for strength, weight in WEIGHTS.items():
            for cue in method.cues.get(strength, ()):
                if (at := _found(_compiled(cue), passage)) and not taken.issuperset(at):
                    taken.update(at)
                    misses.append(1 - weight)
                    found.append(cue)
        if passage.is_weighing and any(miss < 1 - WEIGHTS["weak"] for miss in misses):
            misses.append(1 - _FRAME_WEIGHT)
        score = (1 - prod(misses)) * (_ORDER_FACTOR if passage.is_order else 1)
        if name := next((name for name in _names(method) if _found(_compiled(name), passage)), ""):
            score, found = max(score, _NAMED), [f"name: {name}", *found]
        if score > best:
            best, because = score, found
    if kind is not None:
        best, because = 1 - (1 - best) * (1 - _KIND_WEIGHT), [*because, f"kind: {kind}"]
    return Fit(method, round(best, 4), tuple(because))


def _names(method: Method) -> Iterator[str]:
    for name in (method.id, *method.aliases):
        if "-" in name or name not in _ORDINARY:
            yield name.replace("-", " ")


def _found(cue: tuple[frozenset[str], ...], passage: _Passage) -> tuple[int, ...]:
    """Return where the words of a cue stand, in order and near to each other, or nothing."""
    firsts = sorted(at for stem in cue[0] for at in passage.places.get(stem, ()))
    for first in firsts:
        at, where = first, [first]
        for others in cue[1:]:
            near = range(at + 1, min(at + 2 + _GAP, len(passage.stems)))
            found = next((place for place in near if passage.stems[place] in others), None)
            if found is None:
                break
            at = found
            where.append(at)
        else:
            return tuple(where)
    return ()


@cache
def _compiled(cue: str) -> tuple[frozenset[str], ...]:
    return tuple(
        frozenset(_stem(word) for other in place.split("|") for word in words.words(other)) for place in cue.split()
    )


@cache
def _stems(listed: frozenset[str]) -> frozenset[str]:
    return frozenset(_stem(word) for word in listed)


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    return words.stem(word)

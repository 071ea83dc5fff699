"""A long text to cut answers from: no sense, but the words and lengths of real sentences."""

import bisect
import random
from itertools import pairwise
from typing import Final

_SENTENCES: Final = 1200
_OPENINGS: Final = (
    "In practice",
    "By contrast",
    "As a rule",
    "Over time",
    "For this reason",
    "In most cases",
    "At scale",
)
_ADJECTIVES: Final = (
    "small quiet early durable patient ordinary careful distant narrow reliable open busy modest steady familiar "
    "hidden plain recent separate useful"
)
_NOUNS: Final = (
    "river harbour ledger signal garden engine letter bridge market method window archive machine number season "
    "question valley pattern message station library teacher traveller workshop record"
)
_VERBS: Final = (
    "carries follows explains balances changes describes replaces supports measures reaches limits repeats shapes "
    "protects divides joins"
)


class Prose:
    """A text that stays the same for a seed."""

    def __init__(self, seed: int) -> None:
        """Write the text once, so that cutting from it costs nothing."""
        source = random.Random(seed)  # noqa: S311 - repeatable, not secret
        sentences = [_sentence(source) for _ in range(_SENTENCES)]
        self._starts = [0]
        for sentence in sentences:
            self._starts.append(self._starts[-1] + len(sentence) + 1)
        once = " ".join(sentences) + " "
        self._length = len(once)
        self._text = once * 2

    def cut(self, where: int, characters: int) -> str:
        """Give that many characters, from the beginning of the sentence that ``where`` points into."""
        start = self._starts[bisect.bisect_right(self._starts, where % self._length) - 1]
        piece = self._text[start : start + characters]
        while len(piece) < characters:
            piece += self._text[: characters - len(piece)]
        return piece


def _sentence(source: random.Random) -> str:
    nouns = [
        f"the {source.choice(_ADJECTIVES.split())} {noun}"
        for noun in source.sample(_NOUNS.split(), source.randint(2, 4))
    ]
    clauses = [f"{first} {source.choice(_VERBS.split())} {second}" for first, second in pairwise(nouns)]
    sentence = ", and ".join(clauses)
    opening = source.choice((None, None, *_OPENINGS))
    return f"{opening}, {sentence}." if opening else f"{sentence[0].upper()}{sentence[1:]}."

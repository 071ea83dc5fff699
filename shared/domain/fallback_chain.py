"""In which order lanes follow each other, from what is configured for each lane alone."""

from collections.abc import Iterator, Mapping, Sequence

Successors = Mapping[str, Sequence[str]]
"""The lanes that come after a lane, by its name."""


def chain_of(first: str, successors: Successors) -> tuple[str, ...]:
    """Give everything that comes after a lane: its successors in order, each followed by its own chain.

    Each lane once, where it comes first; the lane itself is left out. Ends even where the successors form a loop.
    """
    chain: dict[str, None] = {first: None}
    left = _reversed(first, successors)
    while left:
        lane = left.pop()
        if lane not in chain:
            chain[lane] = None
            left += _reversed(lane, successors)
    return tuple(chain)[1:]


def loop_in(successors: Successors) -> tuple[str, ...] | None:
    """Give a way from a lane back to it, which begins and ends with the same name; None: there is none."""
    free_of_loops: set[str] = set()
    for start in successors:
        way: list[str] = [start]
        branches: list[Iterator[str]] = [iter(successors[start])]
        while way:
            following = next(branches[-1], None)
            if following is None:
                free_of_loops.add(way.pop())
                branches.pop()
            elif following in way:
                return (*way[way.index(following) :], following)
            elif following not in free_of_loops:
                way.append(following)
                branches.append(iter(successors.get(following, ())))
    return None


def _reversed(lane: str, successors: Successors) -> list[str]:
    return list(reversed(successors.get(lane, ())))

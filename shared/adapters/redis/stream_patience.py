"""How long the two ends of an answer's stream wait for each other, and how far one may be ahead."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamPatience:
    """Counted in looks, not in seconds: a process that was held up has not seen another be silent.

    look_s: seconds between looks; at each of them both ends give a sign of life.
    with_writers, with_readers: looks without a sign of it after which one is taken for gone.
    with_clients: looks in which a reader's client takes nothing of what waits for it, after which it is waited for no more.
    with_slow_clients: looks in all, over a whole answer, at which its writer was found waiting for its reader; then it goes on
    alone, because a worker and a message of its broker wait with it.
    window: bytes of pieces that may be on their way and not taken.
    """

    look_s: float = 2.0
    with_writers: int = 3
    with_readers: int = 7
    with_clients: int = 150
    with_slow_clients: int = 150
    window: int = 64 * 1024

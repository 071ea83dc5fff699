"""Counting what was served, so that others can prove what they asked for."""

import hashlib
from collections import Counter, deque
from typing import Any, Final, Literal

Outcome = Literal["served", "refused_429", "failed", "aborted"]

_WINDOW_S: Final = 60.0

MOST_ARRIVALS: Final = 200_000
"""Arrivals that are remembered; older ones are forgotten."""


class MinuteWindow:
    """The calls and tokens admitted in the last 60 seconds, and the most that any 60 seconds saw."""

    def __init__(self) -> None:
        """Start with nothing admitted."""
        self.most_requests = 0
        self.most_tokens = 0
        self._admitted: deque[tuple[float, int]] = deque()
        self._tokens = 0

    def add(self, tokens: int, now: float) -> None:
        """Count one admitted call, with the tokens it really uses."""
        while self._admitted and self._admitted[0][0] <= now - _WINDOW_S:
            self._tokens -= self._admitted.popleft()[1]
        self._admitted.append((now, tokens))
        self._tokens += tokens
        self.most_requests = max(self.most_requests, len(self._admitted))
        self.most_tokens = max(self.most_tokens, self._tokens)


class Tally:
    """What happened to the calls of one key and model, or of all.

    served: answered in full. refused_429: by a limit, or by a fault that looks like one. failed: any other error,
    or a closed connection. aborted: the client hung up. Tokens are those of admitted calls.
    """

    def __init__(self) -> None:
        """Start at nothing."""
        self.served = 0
        self.refused_429 = 0
        self.failed = 0
        self.aborted = 0
        self.in_flight = 0
        self.peak_in_flight = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.window = MinuteWindow()

    def admitted(self, input_tokens: int, output_tokens: int, now: float) -> None:
        """Count the begin of a call."""
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.window.add(input_tokens + output_tokens, now)

    def left(self, outcome: Outcome) -> None:
        """Count the end of an admitted call."""
        self.in_flight -= 1
        match outcome:
            case "served":
                self.served += 1
            case "refused_429":
                self.refused_429 += 1
            case "failed":
                self.failed += 1
            case "aborted":
                self.aborted += 1

    def report(self) -> dict[str, int]:
        """Give everything by name."""
        return {
            "served": self.served,
            "refused_429": self.refused_429,
            "failed": self.failed,
            "aborted": self.aborted,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "most_requests_in_a_minute": self.window.most_requests,
            "most_tokens_in_a_minute": self.window.most_tokens,
        }


class Contents:
    """How often each content was begun (admitted, whatever came of it) and answered in full.

    A content is the last user message, or the input of an embedding, known by its SHA-256.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._begun: Counter[bytes] = Counter()
        self._answered: Counter[bytes] = Counter()

    def begun(self, text: str) -> bytes:
        """Count a begin and give the content's digest."""
        digest = hashlib.sha256(text.encode()).digest()
        self._begun[digest] += 1
        return digest

    def answered(self, digest: bytes) -> None:
        """Count an answer."""
        self._answered[digest] += 1

    def report(self) -> dict[str, Any]:
        """Give both counts by the digest in hexadecimal."""
        return {
            digest.hex(): {"begun": begun, "answered": self._answered[digest]} for digest, begun in self._begun.items()
        }


class Arrivals:
    """When each call came, whatever came of it: the latest ``MOST_ARRIVALS``, oldest first."""

    def __init__(self) -> None:
        """Start with none."""
        self._calls: deque[tuple[float, str, bytes]] = deque(maxlen=MOST_ARRIVALS)

    def add(self, now: float, model: str, text: str) -> None:
        """Note one, which asked ``model`` about ``text``. ``now``: seconds of this machine's monotonic clock."""
        self._calls.append((now, model, hashlib.sha256(text.encode()).digest()))

    def report(self) -> list[Any]:
        """Give the moment, the model and the content's digest in hexadecimal of each."""
        return [(at, model, digest.hex()) for at, model, digest in self._calls]

"""How a simulated provider behaves."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that can be set before the start.

    port: 0 takes a free one.
    rpm, tpm, max_parallel: requests a minute, tokens a minute and calls at once, of each key and model; None: no limit.
    burst_s: seconds' worth of the minute limits that may be used at once. Real providers count in such short slices.
    latency_s: seconds an answer takes, drawn evenly between the two.
    error_rate, hang_rate, disconnect_rate: shares of the admitted calls that get a 500, no answer, a closed connection.
    seed: of the answers and of everything drawn. The same seed and request give the same answer, to the byte.
    rate_limit_headers: whether answers carry ``x-ratelimit-*`` and refusals ``retry-after``.
    output_tokens: the shortest and the longest answer, when the request sets no lower limit.
    context_tokens: the longest prompt and answer together.
    api_keys: the keys that are accepted; empty: any, and none.
    models: the models that exist; empty: every name does.
    """

    host: str = "127.0.0.1"
    port: int = 0
    rpm: int | None = None
    tpm: int | None = None
    max_parallel: int | None = None
    burst_s: float = 1.0
    latency_s: tuple[float, float] = (0.0, 0.0)
    error_rate: float = 0.0
    hang_rate: float = 0.0
    disconnect_rate: float = 0.0
    seed: int = 0
    rate_limit_headers: bool = True
    output_tokens: tuple[int, int] = (20, 200)
    context_tokens: int = 128_000
    api_keys: frozenset[str] = frozenset()
    models: tuple[str, ...] = ()

"""What the demo tells at its end."""

from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_REUSED: Final = frozenset({"hit", "semantic_hit", "coalesced"})
_SAMPLES: Final = 3
_SAMPLE_LENGTH: Final = 160


@dataclass(slots=True)
class Tally:
    """What came back. Costs in US dollars; tokens as the provider counted them.

    repeats: the custom_id of each request that repeats another, and of that other.
    reused: those that were answered without a call, whichever of the two came first to a worker.
    paid: what the answer to each question cost when it was made, by the custom_id that asked it first.
    """

    repeats: Mapping[str, str]
    succeeded: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    reused: list[str] = field(default_factory=list)
    paid: dict[str, float] = field(default_factory=dict)
    samples: dict[str, str] = field(default_factory=dict)

    def add(self, job: Mapping[str, Any]) -> None:
        """Count a finished job."""
        custom_id = job["metadata"]["custom_id"]
        if job["status"] != "succeeded":
            self.failed += 1
            return
        self.succeeded += 1
        usage = job["usage"] or {}
        self.input_tokens += usage.get("input_tokens", 0)
        self.output_tokens += usage.get("output_tokens", 0)
        cost = job["cost_usd"] or 0.0
        self.cost_usd += cost
        if job["cache"] in _REUSED:
            self.reused.append(custom_id)
        else:
            self.paid[self._question(custom_id)] = cost
        if len(self.samples) < _SAMPLES and custom_id not in self.repeats:
            self.samples[custom_id] = _text(job["response"])

    @property
    def saved_usd(self) -> float:
        """What the reused answers cost when they were made."""
        return sum(self.paid.get(self._question(custom_id), 0.0) for custom_id in self.reused)

    def _question(self, custom_id: str) -> str:
        return self.repeats.get(custom_id, custom_id)


async def tally(jobs: AsyncIterable[Mapping[str, Any]], repeats: Mapping[str, str]) -> Tally:
    """Count finished jobs."""
    counted = Tally(repeats)
    async for job in jobs:
        counted.add(job)
    return counted


@dataclass(frozen=True, slots=True)
class Summary:
    """The demo in numbers. ``limit_rpm``: the provider's; ``refused_429``: as the provider counted."""

    requests: int
    succeeded: int
    failed: int
    seconds: float
    limit_rpm: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    repeats: int
    from_cache: int
    saved_usd: float
    provider_calls: int
    refused_429: int

    def rows(self) -> list[tuple[str, str]]:
        """Give the summary as people read it."""
        return [
            ("requests", f"{self.requests:,}"),
            ("succeeded", f"{self.succeeded:,}"),
            ("failed", f"{self.failed:,}"),
            ("time", f"{self.seconds:.1f} s"),
            ("speed", f"{self.requests / self.seconds:.1f} requests/s"),
            ("the provider's limit", f"{self.limit_rpm / 60:.1f} calls/s ({self.limit_rpm:,} rpm)"),
            ("tokens", f"{self.input_tokens:,} in, {self.output_tokens:,} out"),
            ("cost", f"${self.cost_usd:.6f}"),
            ("repeats answered from the cache", f"{self.from_cache:,} of {self.repeats:,}"),
            ("saved by the cache", f"${self.saved_usd:.6f}"),
            ("calls the provider answered", f"{self.provider_calls:,}"),
            ("calls it refused (429)", f"{self.refused_429:,}"),
        ]


def _text(response: Mapping[str, Any]) -> str:
    content = str(response["choices"][0]["message"]["content"])
    return content if len(content) <= _SAMPLE_LENGTH else content[: _SAMPLE_LENGTH - 1] + "…"

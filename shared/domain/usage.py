"""What a call used and what that costs."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them. ``cached_input_tokens`` are among the ``input_tokens``."""

    input_tokens: int
    output_tokens: int = 0
    cached_input_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


NOTHING = Usage(0)
"""What an answer from a cache uses."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per token. Without a price of its own a cached input token costs as any other."""

    input_per_token: Decimal
    output_per_token: Decimal
    cached_input_per_token: Decimal | None = None

    def cost(self, usage: Usage) -> Decimal:
        """Give the cost of a call in US dollars, exactly."""
        cached_rate = self.input_per_token if self.cached_input_per_token is None else self.cached_input_per_token
        fresh_input = usage.input_tokens - usage.cached_input_tokens
        return (
            fresh_input * self.input_per_token
            + usage.cached_input_tokens * cached_rate
            + usage.output_tokens * self.output_per_token
        )

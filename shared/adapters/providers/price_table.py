"""LiteLLM's price table, read from its package data; LiteLLM itself is not imported."""

import importlib.util
import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from shared.domain.usage import Price

_FILE_NAME: Final = "model_prices_and_context_window_backup.json"


class PriceTable:
    """List prices of thousands of models, in US dollars per token. The file is read at the first question.

    Surcharges for very long prompts, images or sound are not taken from it.
    """

    def price(self, model: str) -> Price | None:
        """Give the price of a model by LiteLLM's name, or None if the table does not know it.

        A name with a provider's prefix is also looked for without it, but only that provider's entry counts: a
        model of one's own does not get the price of a famous one with the same name.
        """
        entry = self._entries.get(model)
        if entry is None:
            provider, _, name = model.partition("/")
            entry = self._entries.get(name)
            if entry is None or not str(entry.get("litellm_provider", "")).startswith(provider):
                return None
        return _price(entry)

    @cached_property
    def _entries(self) -> Mapping[str, Mapping[str, Any]]:
        package = importlib.util.find_spec("litellm")
        if package is None or package.origin is None:
            return {}
        text = Path(package.origin).with_name(_FILE_NAME).read_text(encoding="utf-8")
        entries: dict[str, dict[str, Any]] = json.loads(text, parse_float=Decimal, parse_int=Decimal)
        entries.pop("sample_spec", None)  # explains the fields
        return entries


def _price(entry: Mapping[str, Any]) -> Price | None:
    per_input = entry.get("input_cost_per_token")
    per_output = entry.get("output_cost_per_token")
    per_cached = entry.get("cache_read_input_token_cost")
    if per_output is None and entry.get("mode") == "embedding":
        per_output = Decimal(0)
    if not isinstance(per_input, Decimal) or not isinstance(per_output, Decimal):
        return None
    return Price(per_input, per_output, per_cached if isinstance(per_cached, Decimal) else None)

"""Tokens are taken as the provider counted them, and priced exactly or not at all."""

import subprocess
import sys
from decimal import Decimal

import pytest

from shared.adapters.providers.model_names import without_prefix
from shared.adapters.providers.price_table import PriceTable
from shared.adapters.providers.usage import read_usage
from shared.domain.usage import Usage


@pytest.mark.parametrize(
    ("counted", "usage"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}, Usage(9, 3)),
        ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}, Usage(9, 3, 4)),
        ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": None}, Usage(9, 3)),
        ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_cache_hit_tokens": 4}, Usage(9, 3, 4)),
        ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 99}}, Usage(9, 3, 9)),
        ({"prompt_tokens": 9, "total_tokens": 9}, Usage(9)),
        ({"prompt_tokens": "9"}, None),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": True}, None),
        ({}, None),
        (None, None),
        ("many", None),
    ],
)
def test_usage_is_what_the_provider_counted_and_never_a_guess(counted: object, usage: Usage | None) -> None:
    assert read_usage({"usage": counted}) == usage
    assert read_usage({}) is None


@pytest.mark.parametrize(
    ("model", "own_name"),
    [
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("hosted_vllm/meta-llama/Llama-3", "meta-llama/Llama-3"),
        ("meta-llama/Llama-3", "meta-llama/Llama-3"),
        ("openai/", "openai/"),
    ],
)
def test_only_the_prefix_of_a_provider_is_taken_from_a_models_name(model: str, own_name: str) -> None:
    assert without_prefix(model) == own_name


@pytest.fixture(scope="module")
def prices() -> PriceTable:
    return PriceTable()


@pytest.mark.parametrize("model", ["gpt-4o-mini", "openai/gpt-4o-mini"])
def test_a_known_model_has_its_exact_price_with_or_without_prefix(prices: PriceTable, model: str) -> None:
    price = prices.price(model)
    assert price is not None
    assert price.input_per_token == Decimal("1.5e-7")
    assert price.output_per_token == Decimal("6e-7")
    assert price.cached_input_per_token == Decimal("7.5e-8")
    assert price.cost(Usage(1_000_000, 1_000_000)) == Decimal("0.75")


def test_an_embedding_costs_its_input_only(prices: PriceTable) -> None:
    price = prices.price("openai/text-embedding-3-small")
    assert price is not None
    assert price.cost(Usage(1_000_000)) == Decimal("0.02")


@pytest.mark.parametrize("model", ["no-such-model", "hosted_vllm/gpt-4o-mini", "", "openai/", "sample_spec"])
def test_an_unknown_model_has_no_price_and_a_namesake_elsewhere_gets_none(prices: PriceTable, model: str) -> None:
    assert prices.price(model) is None


def test_prices_are_read_without_importing_litellm() -> None:
    program = (
        "import sys; from shared.adapters.providers.price_table import PriceTable; "
        "assert PriceTable().price('gpt-4o-mini'); assert 'litellm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

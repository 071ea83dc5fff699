"""LiteLLM's names of models, with a provider's prefix, and the providers' own."""

from typing import Final

OPENAI_WIRE_PREFIXES: Final = frozenset(
    {
        "cerebras",
        "custom_openai",
        "deepinfra",
        "deepseek",
        "fireworks_ai",
        "groq",
        "hosted_vllm",
        "litellm_proxy",
        "llamafile",
        "lm_studio",
        "mistral",
        "nvidia_nim",
        "openai",
        "openai_like",
        "openrouter",
        "perplexity",
        "sambanova",
        "together_ai",
        "vllm",
        "xai",
    }
)
"""Prefixes of LiteLLM's for providers that speak the OpenAI wire. No provider has models whose own names begin so."""


def without_prefix(model: str) -> str:
    """Give the name that the provider itself knows: ``openai/gpt-4o-mini`` is ``gpt-4o-mini`` there.

    Only the prefix of a provider is taken away; ``hosted_vllm/meta-llama/Llama-3`` is ``meta-llama/Llama-3``.
    """
    prefix, _, rest = model.partition("/")
    return rest if rest and prefix in OPENAI_WIRE_PREFIXES else model

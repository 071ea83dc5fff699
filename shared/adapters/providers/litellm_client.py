"""The client for every provider that does not speak the OpenAI wire, through LiteLLM.

LiteLLM takes seconds and 180 MB to import, so the first call does it, beside the event loop.
"""

import asyncio
import importlib
import logging
import os
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, Final

import orjson

from shared.adapters.providers.errors import from_litellm
from shared.adapters.providers.retry_after import rate_limit_headers
from shared.adapters.providers.streamed_answer import LONGEST_STREAM_S, StreamedAnswer, to_be_ended_within
from shared.adapters.providers.usage import read_usage
from shared.domain.provider_errors import InvalidRequest, ProviderError, TimedOut, UnexpectedAnswer
from shared.domain.providers import OnPiece, ProviderAnswer
from shared.domain.routing import Deployment
from shared.wire.chat_chunks import with_usage
from shared.wire.openai import Endpoint

CHAT_PARAMETERS: Final = frozenset(
    {
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "modalities",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    }
)
"""The members of a chat request that are passed on; every other one is dropped.

They are OpenAI's, and Anthropic's ``thinking``. It is a list of what is allowed because LiteLLM takes its own settings,
``api_base`` and ``api_key`` among them, from the same place: a client that could set them would be sent the
deployment's key (CVE-2024-6587). ``metadata`` means something else to LiteLLM, and ``stream`` is not for a queue.
"""

EMBEDDING_PARAMETERS: Final = frozenset({"dimensions", "encoding_format", "input", "user"})
"""As ``CHAT_PARAMETERS``, for embeddings."""

_PROVIDERS_HEADER: Final = "llm_provider-"


class LiteLLMClient:
    """Calls ``litellm.acompletion`` and ``litellm.aembedding``, and nothing else of it."""

    def __init__(self, longest_stream_s: float = LONGEST_STREAM_S) -> None:
        """Import nothing yet."""
        self._longest_stream_s = longest_stream_s
        self._importing = asyncio.Lock()
        self._litellm: Any = None

    async def call(self, deployment: Deployment, endpoint: str, request: Mapping[str, Any]) -> ProviderAnswer:
        """Make one call, as ``ProviderClient.call``; the first import does not count against its time."""
        litellm = await self._imported()
        match endpoint:
            case "/v1/chat/completions":
                make, allowed = litellm.acompletion, CHAT_PARAMETERS
            case "/v1/embeddings":
                make, allowed = litellm.aembedding, EMBEDDING_PARAMETERS
            case _:
                raise InvalidRequest(f"{endpoint} is not served through LiteLLM.")
        with _translated(deployment):
            async with asyncio.timeout(deployment.timeout_s):
                response = await make(**_arguments(deployment, request, allowed))
                return _answer(response)

    async def stream(
        self, deployment: Deployment, endpoint: str, request: Mapping[str, Any], on_piece: OnPiece
    ) -> ProviderAnswer:
        """Make one call, as ``ProviderClient.stream``; the chunks are LiteLLM's, in the form of OpenAI's."""
        if endpoint != Endpoint.CHAT_COMPLETIONS:
            return await self.call(deployment, endpoint, request)
        litellm = await self._imported()
        arguments = _arguments(deployment, request, CHAT_PARAMETERS)
        streamed = StreamedAnswer(request, on_piece)
        headers: dict[str, str] = {}
        try:
            with _translated(deployment):
                async with (
                    to_be_ended_within(max(self._longest_stream_s, deployment.timeout_s)),
                    asyncio.timeout(deployment.timeout_s) as patience,
                ):
                    chunks = await litellm.acompletion(**arguments, stream=True, stream_options=with_usage(request))
                    headers = _rate_limit_headers(chunks)
                    async with aclosing(chunks):
                        await _read_stream(chunks, streamed, patience, deployment.timeout_s)
                return streamed.whole(headers, was_ended=True)
        except ProviderError as error:
            return streamed.after(error, headers)

    async def close(self) -> None:
        """Close LiteLLM's connections."""
        if self._litellm is not None:
            cleanup = importlib.import_module("litellm.llms.custom_httpx.async_client_cleanup")
            await cleanup.close_litellm_async_clients()

    async def _imported(self) -> Any:  # noqa: ANN401 - importing its types would import it
        async with self._importing:
            if self._litellm is None:
                self._litellm = await asyncio.to_thread(_import_quietly)
            return self._litellm


@contextmanager
def _translated(deployment: Deployment) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise TimedOut(f"The provider did not answer within {deployment.timeout_s:g} s.") from None
    except ProviderError:
        raise
    except Exception as error:  # noqa: BLE001 - the one seam: LiteLLM raises more than it documents
        raise from_litellm(error) from None


async def _read_stream(
    chunks: AsyncIterator[Any], streamed: StreamedAnswer, patience: asyncio.Timeout, timeout_s: float
) -> None:
    """Read to the end. Whoever takes the chunks has all the time he needs."""
    loop = asyncio.get_running_loop()
    async for chunk in chunks:
        patience.reschedule(None)
        await streamed.take(orjson.dumps(_chunk(chunk.model_dump(mode="json", exclude_unset=True, warnings=False))))
        patience.reschedule(loop.time() + timeout_s)


def _import_quietly() -> Any:  # noqa: ANN401 - as above
    """Import LiteLLM so that it asks no network, reads no ``.env`` file and logs no prompt."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_MODE"] = "PRODUCTION"
    litellm: Any = importlib.import_module("litellm")
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.propagate = False
        logger.setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="Item '.*' on TypedDict class", category=UserWarning)
    litellm.ModelResponse()  # pydantic builds its classes at their first use, which would hold up the event loop
    litellm.EmbeddingResponse()
    return litellm


def _arguments(deployment: Deployment, request: Mapping[str, Any], allowed: frozenset[str]) -> dict[str, Any]:
    """Put together the call: the configuration's extras are defaults, the deployment's own members are final."""
    asked = {name: value for name, value in request.items() if name in allowed}
    final = {
        "model": deployment.model,
        "api_base": deployment.api_base,
        "api_key": deployment.api_key,
        "timeout": deployment.timeout_s,
        "max_retries": 0,
        "num_retries": 0,
    }
    return {**deployment.extra, **asked, **{name: value for name, value in final.items() if value is not None}}


def _answer(response: Any) -> ProviderAnswer:  # noqa: ANN401 - LiteLLM's ModelResponse or EmbeddingResponse
    body = response.model_dump(mode="json", warnings=False)
    if not isinstance(body, dict) or not (body.get("choices") or body.get("data")):
        raise UnexpectedAnswer("The answer has neither `choices` nor `data`.")
    return ProviderAnswer(body, read_usage(body), _rate_limit_headers(response))


def _chunk(made: dict[str, Any]) -> dict[str, Any]:
    """Give a chunk as OpenAI has it: without the members LiteLLM leaves empty, and the usage beside no choice."""
    chunk = _filled(made)
    choices = [{**choice, "delta": _filled(choice.get("delta") or {})} for choice in made.get("choices") or ()]
    if "usage" in chunk and not any(choice["delta"] or choice.get("finish_reason") for choice in choices):
        choices = []
    return {**chunk, "choices": choices}


def _filled(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _rate_limit_headers(response: Any) -> dict[str, str]:  # noqa: ANN401 - LiteLLM's, of any kind
    hidden = getattr(response, "_hidden_params", None) or {}
    headers = {
        str(name).lower().removeprefix(_PROVIDERS_HEADER): str(value)
        for name, value in (hidden.get("additional_headers") or {}).items()
    }
    return rate_limit_headers(headers)

"""The calls of the OpenAI API that wait for their answer."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from producer_api.call_wishes import ALLOWED
from producer_api.schemas import ERRORS, ChatCompletion, EmbeddingList
from producer_api.synchronous_calls import SynchronousCalls
from shared.wire.openai import Endpoint

_HEADERS: Final = [
    {"in": "header", "name": name, "schema": {"type": "string"}} for name in (*ALLOWED, "Idempotency-Key")
]


def router(calls: SynchronousCalls) -> APIRouter:
    """Give the routes of the calls."""
    routes = APIRouter(tags=["openai"], responses=ERRORS)

    @routes.post(
        Endpoint.CHAT_COMPLETIONS.value,
        responses={
            200: {
                "model": ChatCompletion,
                "description": "The provider's answer, as it is; with `stream`, in events.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            }
        },
        openapi_extra=_described({"messages": {"type": "array", "items": {"type": "object"}}}),
    )
    async def create_chat_completion(request: Request) -> Response:
        """Ask a model, and wait for its answer; with `stream`, piece by piece."""
        return await calls.answer(request, Endpoint.CHAT_COMPLETIONS)

    @routes.post(
        Endpoint.EMBEDDINGS.value,
        responses={200: {"model": EmbeddingList, "description": "The provider's answer, as it is."}},
        openapi_extra=_described({"input": {"oneOf": [{"type": "string"}, {"type": "array"}]}}),
    )
    async def create_embeddings(request: Request) -> Response:
        """Ask for embeddings, and wait for them."""
        return await calls.answer(request, Endpoint.EMBEDDINGS)

    return routes


def _described(members: dict[str, Any]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"model": {"type": "string"}, **members},
        "required": ["model", *members],
        "additionalProperties": True,
    }
    return {
        "parameters": _HEADERS,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
    }

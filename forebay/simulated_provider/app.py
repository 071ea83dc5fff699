"""The HTTP face: OpenAI's endpoints under ``/v1``, and ours to steer it under ``/_simulator``."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from forebay.simulated_provider.accounts import Accounts
from forebay.simulated_provider.answers import CREATED
from forebay.simulated_provider.calls import Calls
from forebay.simulated_provider.faults import Faults, read_fault
from forebay.simulated_provider.limits import Limits
from forebay.simulated_provider.options import Options
from forebay.simulated_provider.refusals import Refusal, invalid, wrong_key
from forebay.simulated_provider.requests import read_chat, read_embedding

LARGEST_BODY: Final = 64 * 1024 * 1024
"""Bytes of a request."""


def create_app(options: Options) -> web.Application:
    """Build the provider. Call it on a running event loop."""
    provider = _Provider(options)
    app = web.Application(client_max_size=LARGEST_BODY, middlewares=[provider.answer_refusals])
    app.add_routes(
        [
            web.post("/v1/chat/completions", provider.chat),
            web.post("/v1/embeddings", provider.embeddings),
            web.get("/v1/models", provider.models),
            web.get("/_simulator/stats", provider.stats),
            web.post("/_simulator/faults", provider.add_fault),
            web.delete("/_simulator/faults", provider.clear_faults),
            web.post("/_simulator/release", provider.release),
            web.post("/_simulator/limits", provider.limit),
            web.post("/_simulator/reset", provider.reset),
        ]
    )
    return app


class _Provider:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._accounts = Accounts(Limits(options.rpm, options.tpm, options.max_parallel, options.burst_s))
        self._faults = Faults(options)
        self._calls = Calls(options, self._accounts, self._faults)

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        key = self._key(http)
        return await self._calls.serve(http, key, read_chat(await http.read()))

    async def embeddings(self, http: web.Request) -> web.StreamResponse:
        """POST /v1/embeddings."""
        key = self._key(http)
        return await self._calls.serve(http, key, read_embedding(await http.read()))

    async def models(self, http: web.Request) -> web.Response:
        """GET /v1/models: those that exist; none are named when every name does."""
        self._key(http)
        models = [
            {"id": model, "object": "model", "created": CREATED, "owned_by": "simulated-provider"}
            for model in self._options.models
        ]
        return _json({"object": "list", "data": models})

    async def stats(self, http: web.Request) -> web.Response:
        """GET /_simulator/stats; ``?contents=1`` adds the counts of each content, ``?arrivals=1`` when each call came."""
        with_contents, with_arrivals = ("contents" in http.query, "arrivals" in http.query)
        return _json(self._accounts.report(with_contents=with_contents, with_arrivals=with_arrivals))

    async def add_fault(self, http: web.Request) -> web.Response:
        """POST /_simulator/faults: one rule, as in ``faults.Fault``."""
        self._faults.add(read_fault(await _object(http)))
        return _json({})

    async def clear_faults(self, http: web.Request) -> web.Response:  # noqa: ARG002 - a handler takes the request
        """DELETE /_simulator/faults: no rule is left."""
        self._faults.clear()
        return _json({})

    async def release(self, http: web.Request) -> web.Response:  # noqa: ARG002 - a handler takes the request
        """POST /_simulator/release: calls that hang now are answered."""
        self._calls.release()
        return _json({})

    async def limit(self, http: web.Request) -> web.Response:
        """POST /_simulator/limits: ``rpm``, ``tpm``, ``max_parallel``, ``burst_s``, of one ``model`` or of all."""
        changes = await _object(http)
        model = changes.pop("model", None)
        try:
            self._accounts.limit(changes, model, asyncio.get_running_loop().time())
        except TypeError as error:
            raise invalid(str(error)) from None
        return _json({})

    async def reset(self, http: web.Request) -> web.Response:  # noqa: ARG002 - a handler takes the request
        """POST /_simulator/reset: as freshly started, but for the seed's draws and the calls in flight."""
        self._accounts.forget()
        self._faults.clear()
        return _json({})

    @web.middleware
    async def answer_refusals(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn a refusal into its error object, and what aiohttp refuses too."""
        try:
            return await handler(request)
        except Refusal as refusal:
            headers = refusal.headers if self._options.rate_limit_headers else {}
            return _json(refusal.body, refusal.status, headers)
        except web.HTTPException as error:
            return _json(Refusal(error.status, error.reason, "invalid_request_error").body, error.status)

    def _key(self, http: web.Request) -> str:
        scheme, _, given = http.headers.get("authorization", "").partition(" ")
        key = given.strip() if scheme.lower() == "bearer" else http.headers.get("api-key", "")
        if self._options.api_keys and key not in self._options.api_keys:
            raise wrong_key(key)
        return key


async def _object(http: web.Request) -> dict[str, Any]:
    try:
        asked = orjson.loads(await http.read())
    except orjson.JSONDecodeError:
        raise invalid("The body is not JSON.") from None
    if not isinstance(asked, dict):
        raise invalid("The body is not a JSON object.")
    return asked


def _json(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, headers=headers, content_type="application/json")

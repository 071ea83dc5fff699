"""The one table from what went wrong to what a client is told, always in OpenAI's error shape."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from producer_api.request_ids import HEADER as REQUEST_ID_HEADER
from producer_api.request_ids import request_id_of
from shared.domain import errors


@dataclass(frozen=True, slots=True)
class Shown:
    """How a kind of error looks from outside."""

    status: int
    type: str
    code: str


_INVALID: Final = "invalid_request_error"
_TOO_MUCH: Final = "rate_limit_error"

TABLE: Final[Mapping[type[errors.ForebayError], Shown]] = {
    errors.InvalidInput: Shown(400, _INVALID, "invalid_request"),
    errors.UnknownModel: Shown(404, _INVALID, "model_not_found"),
    errors.BodyTooLarge: Shown(413, _INVALID, "body_too_large"),
    errors.NotAuthenticated: Shown(401, _INVALID, "invalid_api_key"),
    errors.NotAllowed: Shown(403, "permission_error", "not_allowed"),
    errors.TooManyRequests: Shown(429, _TOO_MUCH, "rate_limit_exceeded"),
    errors.LimitExceeded: Shown(429, _TOO_MUCH, "limit_exceeded"),
    errors.BacklogFull: Shown(429, _TOO_MUCH, "backlog_full"),
    errors.DeadlineCannotBeMet: Shown(429, _TOO_MUCH, "deadline_cannot_be_met"),
    errors.TooManyWaiting: Shown(429, _TOO_MUCH, "too_many_waiting"),
    errors.NotFound: Shown(404, _INVALID, "not_found"),
    errors.Expired: Shown(410, _INVALID, "job_expired"),
    errors.IdempotencyConflict: Shown(409, _INVALID, "idempotency_conflict"),
    errors.NotReplayable: Shown(409, _INVALID, "not_replayable"),
    errors.AttemptComes: Shown(409, _INVALID, "attempt_comes"),
    errors.Unavailable: Shown(503, "server_error", "service_unavailable"),
}
"""An error stands for its subclasses too. One that is not here is our fault: 500, without details."""

_OURS: Final = Shown(500, "server_error", "internal_error")
_OUR_FAULT: Final = "Something went wrong here. It is not your request's fault; it may help to send it again."

_BY_STATUS: Final[Mapping[int, Shown]] = {
    404: Shown(404, _INVALID, "unknown_path"),
    405: Shown(405, _INVALID, "method_not_allowed"),
    415: Shown(415, _INVALID, "unsupported_media_type"),
}
_LONGEST_PATH: Final = 200
_LONGEST_QUOTE: Final = 80


def error_object(error: errors.ForebayError) -> dict[str, Any]:
    """Give what stands under ``error``: of a response, or of a rejected line."""
    shown = _shown(error)
    if shown is _OURS:
        return _object(_OUR_FAULT, shown)
    if isinstance(error, errors.InvalidInput):
        return _object(error.message, shown, error.param, error.error_code)
    return _object(error.message, shown)


def error_response(error: errors.ForebayError) -> Response:
    """Give the whole response to a request that failed with ``error``."""
    headers = {}
    if isinstance(error, errors.Unavailable | errors.TooManyRequests):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, errors.TooManyWaiting):
        headers["connection"] = "close"  # it is connections that are scarce
    if isinstance(error, errors.NotAuthenticated):
        headers["www-authenticate"] = "Bearer"
    return _response(_shown(error).status, error_object(error), headers)


def install(app: FastAPI) -> None:
    """Let every error that leaves an endpoint, a route that is missing and a failure of ours be told in one shape."""
    app.add_exception_handler(errors.ForebayError, _domain_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_parameter)
    app.add_exception_handler(ClientDisconnect, _client_gone)
    app.add_exception_handler(Exception, _our_fault)


async def _domain_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.ForebayError)
    return error_response(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    shown = _BY_STATUS.get(error.status_code, Shown(error.status_code, _INVALID, "invalid_request"))
    message = error.detail
    if shown.code == "unknown_path":
        message = f"There is no `{request.url.path[:_LONGEST_PATH]}` here."
    elif shown.code == "method_not_allowed":
        allowed = ", ".join(_methods(request))
        message = f"`{request.method}` is not allowed here; allowed: {allowed}."
        return _response(error.status_code, _object(message, shown), {"allow": allowed})
    return _response(error.status_code, _object(message, shown), dict(error.headers or {}))


async def _invalid_parameter(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    param = ".".join(str(part) for part in first["loc"][1:])
    said, found = str(first["msg"]), repr(first["input"])[:_LONGEST_QUOTE]
    message = f"`{param}`: {said[:1].lower()}{said[1:]}; found {found}."
    return _response(400, _object(message, TABLE[errors.InvalidInput], param), {})


async def _client_gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # nobody is left to read it


async def _our_fault(request: Request, _error: Exception) -> Response:
    # This answer is made outside the middleware that adds the id to all others.
    headers = {REQUEST_ID_HEADER: request_id_of(request.scope)}
    return _response(500, _object(_OUR_FAULT, _OURS), headers)


def _methods(request: Request) -> list[str]:
    """Give what this path takes, of all its routes: Starlette names those of the first one alone."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in routes for method in route.methods or ()})


def _shown(error: errors.ForebayError) -> Shown:
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return _OURS


def _object(message: str, shown: Shown, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"message": message, "type": shown.type, "param": param, "code": code or shown.code}


def _response(status: int, error: dict[str, Any], headers: Mapping[str, str]) -> Response:
    return Response(orjson.dumps({"error": error}), status, headers, media_type="application/json")

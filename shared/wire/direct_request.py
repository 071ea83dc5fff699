"""A provider's request that comes by itself, as the body of a synchronous call, and not as part of a submission."""

import re
from dataclasses import dataclass
from typing import Any, Final, Self

from shared.domain.errors import InvalidInput, Unsupported
from shared.wire import openai
from shared.wire.input_errors import kind_of
from shared.wire.object_body import read_object
from shared.wire.openai import Endpoint

_WHOLE: Final = "request"
_NAMED: Final = re.compile(rf"`{_WHOLE}\.")


@dataclass(frozen=True, slots=True)
class DirectRequest:
    """What was asked.

    request: the body without ``stream``: streamed and whole answers are answers to the same question.
    streams: the answer is to come in chunks. include_usage: the last of them is to tell what was used.
    """

    request: dict[str, Any]
    streams: bool = False
    include_usage: bool = False

    @classmethod
    def parse(cls, endpoint: Endpoint, body: bytes) -> Self:
        """Read and check a body.

        Raises:
            InvalidInput: what is wrong, where, and what is allowed; nothing of the messages or inputs is quoted.
        """
        request = read_object(body)
        streams = _flag(request.pop("stream", None), "stream")
        if streams and endpoint is not Endpoint.CHAT_COMPLETIONS:
            raise Unsupported(f"`stream` must be false or left out: `{endpoint}` has no streams.", param="stream")
        options = request.get("stream_options")
        try:
            openai.check(endpoint, request)
        except InvalidInput as error:
            raise without_prefix(error) from None
        return cls(request, streams, _include_usage(options, streams=streams))


def without_prefix(error: InvalidInput) -> InvalidInput:
    """Give an error that names a place in a submission (``request.model``) as one that names it in a body (``model``)."""
    message = _NAMED.sub("`", error.message).replace(f"`{_WHOLE}`", "The body")
    param = None if error.param in {None, _WHOLE} else str(error.param).removeprefix(f"{_WHOLE}.")
    return type(error)(message, param=param, code=error.error_code)


def _include_usage(options: object, *, streams: bool) -> bool:
    if options is None:
        return False
    if not isinstance(options, dict):
        raise InvalidInput(f"`stream_options` must be an object; found {kind_of(options)}.", param="stream_options")
    if not streams:
        raise InvalidInput("`stream_options` is only allowed with `stream: true`.", param="stream_options")
    return _flag(options.get("include_usage"), "stream_options.include_usage")


def _flag(value: object, path: str) -> bool:
    if value is not None and not isinstance(value, bool):
        raise InvalidInput(f"`{path}` must be true or false; found {kind_of(value)}.", param=path)
    return bool(value)

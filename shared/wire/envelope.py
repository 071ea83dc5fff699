"""The message on the wire: the envelope, versioned, as JSON.

A worker reads the versions it knows and buries the rest, so that a rolling update in the wrong
order loses nothing.
"""

from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, ValidationError

from shared.domain.errors import MalformedMessage
from shared.domain.job import Envelope, JobSpec, Json

VERSION: Final = 1
"""Of a message that holds its request."""

FILED_VERSION: Final = 2
"""Of a message whose request lies in the file store, where ``spec.request_file`` says."""


def _is_a_json_object(request: Any) -> Any:  # noqa: ANN401 - whatever JSON held
    if not isinstance(request, dict):
        raise ValueError("the request must be a JSON object")  # noqa: TRY004 - pydantic collects ValueErrors
    return request


def _has_a_file(spec: JobSpec) -> JobSpec:
    if spec.request_file is None:
        raise ValueError("must name the request's file")
    return spec


class _EnvelopeV1(BaseModel):
    model_config = ConfigDict(extra="forbid")

    v: Literal[1]
    spec: JobSpec
    request: Annotated[Any, AfterValidator(_is_a_json_object)]
    traceparent: str | None = None


class _EnvelopeV2(BaseModel):
    model_config = ConfigDict(extra="forbid")

    v: Literal[2]
    spec: Annotated[JobSpec, AfterValidator(_has_a_file)]
    traceparent: str | None = None


_SPEC: Final = TypeAdapter(JobSpec)


def encode(envelope: Envelope) -> bytes:
    """Write an envelope as bytes; without its request, if that lies in a file."""
    if envelope.spec.request_file is not None:
        return encode_filed(envelope.spec, envelope.traceparent)
    return encode_around(orjson.dumps(envelope.request), envelope.spec, envelope.traceparent)


def encode_around(request: bytes, spec: JobSpec, traceparent: str | None) -> bytes:
    """As ``encode``, for a request that is written as JSON already."""
    return orjson.dumps(
        {"v": VERSION, "spec": spec, "request": orjson.Fragment(request), "traceparent": traceparent},
    )


def encode_filed(spec: JobSpec, traceparent: str | None) -> bytes:
    """As ``encode``, for a request that lies in the file store."""
    return orjson.dumps({"v": FILED_VERSION, "spec": spec, "traceparent": traceparent})


def decode(body: bytes) -> Envelope:
    """Read an envelope.

    Raises:
        MalformedMessage: the bytes are no envelope of a version known here; the message says what is
            wrong and where, and quotes nothing of the body.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedMessage(f"not JSON: {error.msg} at byte {error.pos}") from None
    version = document.get("v") if isinstance(document, dict) else VERSION
    if version not in (VERSION, FILED_VERSION):
        known = f"{VERSION} and {FILED_VERSION} are"
        raise MalformedMessage(f"version {version!r:.20} of the envelope is not known here; {known}")
    try:
        if version == FILED_VERSION:
            filed = _EnvelopeV2.model_validate(document)
            return Envelope(spec=filed.spec, request={}, traceparent=filed.traceparent)
        parsed = _EnvelopeV1.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise MalformedMessage(f"{path or 'envelope'}: {first['msg']}") from None
    request: Json = parsed.request
    return Envelope(spec=parsed.spec, request=request, traceparent=parsed.traceparent)


def encode_spec(spec: JobSpec) -> bytes:
    """Write a specification alone, as the job's record keeps it."""
    return orjson.dumps(spec)


def decode_spec(body: bytes) -> JobSpec:
    """Read what ``encode_spec`` wrote."""
    return _SPEC.validate_json(body)

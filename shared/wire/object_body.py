"""Bodies that are one JSON object: read from bytes, and checked against a model."""

from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from shared.domain.errors import InvalidInput
from shared.wire.input_errors import explain, kind_of

_Model = TypeVar("_Model", bound=BaseModel)


def read_object(body: bytes, expected: str = "a JSON object") -> dict[str, Any]:
    """Read a body. ``expected``: names the object in errors, such as "a JSON object with at least `team`".

    Raises:
        InvalidInput: what is there instead; nothing of it is quoted.
    """
    if not body.strip():
        raise InvalidInput(f"The body is empty; {expected} is expected.", code="invalid_json")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"(line {error.lineno}, column {error.colno})"
        raise InvalidInput(f"The body is not valid JSON: {error.msg} {where}.", code="invalid_json") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"The body must be {expected}; found {kind_of(document)}.", code="invalid_json")
    return document


def read_as(model: type[_Model], body: bytes, expected: str = "a JSON object") -> _Model:
    """Read a body and check it against a model; ``expected``: as above.

    Raises:
        InvalidInput: what is wrong, where, and what is allowed.
    """
    try:
        return model.model_validate(read_object(body, expected))
    except ValidationError as error:
        raise explain(error, model) from None

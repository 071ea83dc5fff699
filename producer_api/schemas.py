"""What the API answers, for the OpenAPI document. Answers are rendered by ``shared.wire``; a test holds both together."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from shared.domain.allowances import OnLimit
from shared.domain.lanes import Priority
from shared.domain.tenants import Scope
from shared.wire.jobs import Submission


class Answer(BaseModel):
    """Whatever is answered: its fields, and no others."""

    model_config = ConfigDict(extra="forbid")


class ErrorDetail(Answer):
    """What went wrong. ``param``: the path of what is wrong; ``code``: for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(Answer):
    """The body of every answer that is not a success."""

    error: ErrorDetail


class Attempt(Answer):
    """One call of one deployment."""

    deployment: str
    started: str
    ended: str
    outcome: str


class InputTokensDetails(Answer):
    """Of the input tokens."""

    cached_tokens: int


class Usage(Answer):
    """Tokens as the provider counted them."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    total_tokens: int


class Attribution(Answer):
    """Whom the cost belongs to."""

    project: str | None
    feature: str | None
    user: str | None


class ReplyReport(Answer):
    """What became of the reply to ``reply_to``; ``undeliverable``: ``message`` says why."""

    status: Literal["delivered", "undeliverable"]
    message: str | None
    at: str


class Callback(Answer):
    """Who is told of the job's end, beside those who ask."""

    webhook: str | None
    reply_to: str | None
    correlation_id: str | None
    reply: ReplyReport | None


class JobObject(Answer):
    """A job. Times are RFC 3339 in UTC."""

    id: str
    object: Literal["job"]
    status: Literal["scheduled", "queued", "running", "succeeded", "failed", "cancelled", "expired"]
    priority: Priority
    batch_id: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    estimated_start_at: str | None
    attempts: list[Attempt]
    cache: Literal["hit", "semantic_hit", "coalesced", "miss", "off"] | None
    model: str
    served_by: str | None
    usage: Usage | None
    cost_usd: float | None
    response: dict[str, Any] | None
    error: ErrorDetail | None
    metadata: dict[str, str]
    attribution: Attribution
    callback: Callback | None


class JobList(Answer):
    """A page, newest first. It may be short, even empty, though more follow: go on with ``next_after`` as ``after``."""

    object: Literal["list"]
    data: list[JobObject]
    first_id: str | None
    last_id: str | None
    has_more: bool
    next_after: str | None


class RejectedLine(Answer):
    """A line that made no job. Lines are counted from 1, blank ones included."""

    line: int
    error: ErrorDetail


class BulkAnswer(Answer):
    """What became of an upload."""

    batch_id: str
    accepted: int
    rejected: list[RejectedLine]


class RequestCounts(Answer):
    """Jobs of a batch. ``failed``: failed, expired or cancelled."""

    total: int
    completed: int
    failed: int


class BatchObject(Answer):
    """A batch, in OpenAI's shape; times are seconds since the epoch."""

    id: str
    object: Literal["batch"]
    endpoint: str | None
    input_file_id: str | None
    completion_window: str | None
    status: Literal[
        "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
    ]
    output_file_id: str | None
    error_file_id: str | None
    errors: dict[str, Any] | None
    request_counts: RequestCounts
    usage: Usage | None
    metadata: dict[str, str] | None
    created_at: int
    in_progress_at: int | None
    expires_at: int | None
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None


class Model(Answer):
    """A model that can be asked for."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(Answer):
    """The models that can be asked for."""

    object: Literal["list"]
    data: list[Model]


class ProviderAnswer(BaseModel):
    """What a provider answered, as it is; named is what every answer has."""

    model_config = ConfigDict(extra="allow")


class ChatCompletion(ProviderAnswer):
    """A chat answer of a provider, with all that it has beside its choices."""

    choices: list[dict[str, Any]]


class EmbeddingList(ProviderAnswer):
    """The embeddings of a provider, with all that it has beside them."""

    data: list[dict[str, Any]]


class KeyLimits(Answer):
    """Requests and tokens a minute and a day; null: unlimited."""

    rpm: int | None
    tpm: int | None
    rpd: int | None
    tpd: int | None


class KeyObject(Answer):
    """An API key, without the key itself. ``hint``: how it begins."""

    id: str
    object: Literal["key"]
    team: str
    name: str
    hint: str
    scopes: list[Scope]
    limits: KeyLimits
    on_limit: OnLimit | None
    max_input_tokens: int | None
    max_output_tokens: int | None
    created_at: str
    revoked_at: str | None


class NewKeyObject(KeyObject):
    """A new API key. ``key`` is shown this once, and kept by nobody but you."""

    key: str


class KeyList(Answer):
    """A page of API keys, newest first; go on with ``next_after`` as ``after``."""

    object: Literal["list"]
    data: list[KeyObject]
    first_id: str | None
    last_id: str | None
    has_more: bool
    next_after: str | None


class Health(Answer):
    """All is well."""

    status: Literal["ok"]


ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"model": ErrorBody, "description": "The request's fault; `error` says what, and where."},
    "5XX": {"model": ErrorBody, "description": "Not the request's fault; `Retry-After` says when to try again."},
}

EXAMPLE: Final = {
    "request": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Name three rivers."}]},
    "priority": "standard",
    "within": "24h",
    "metadata": {"origin": "docs"},
}


def submission_schema() -> dict[str, Any]:
    """Give the JSON schema of a submission."""
    return without_references(Submission)


def without_references(model: type[BaseModel]) -> dict[str, Any]:
    """Give the JSON schema of a request's body, without references to other places."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    inlined = _inline(schema, definitions)
    assert isinstance(inlined, dict)
    return inlined


def _inline(schema: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401 - any part of a JSON schema
    if isinstance(schema, list):
        return [_inline(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inline(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inline(part, definitions) for name, part in schema.items()}

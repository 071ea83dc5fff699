"""When two requests are the same request."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from shared.domain.answer_cache import CacheKey
from shared.domain.catalog import Lane
from shared.domain.job import JobSpec

NOT_PART_OF_THE_QUESTION: Final = frozenset(
    {
        "metadata",
        "model",
        "prompt_cache_key",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "user",
    }
)
"""Request members that do not change the answer. ``model`` is replaced by what really serves it."""


def fingerprint(
    *,
    team: str,
    endpoint: str,
    request: Mapping[str, Any],
    served_models: tuple[str, ...],
    region: str | None,
    namespace: str,
) -> str:
    """Give the SHA-256 (hex) of everything that changes the answer.

    ``served_models``: the providers' names of the models that may answer, sorted, so that a
    configuration that moves a public name to another model version asks anew. ``region``: where the answer must be
    made; what was made elsewhere is another answer.
    """
    question = {name: value for name, value in request.items() if name not in NOT_PART_OF_THE_QUESTION}
    canonical = json.dumps(
        [team, endpoint, served_models, region and region.lower(), namespace, question],
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def cache_key(spec: JobSpec, request: Mapping[str, Any], lane: Lane) -> CacheKey:
    """Give where the answer to a job's request is kept: the one rule for those who look and those who store."""
    return CacheKey(
        spec.team,
        fingerprint(
            team=spec.team,
            endpoint=spec.endpoint,
            request=request,
            served_models=lane.served_models(spec.routing.region),
            region=spec.routing.region,
            namespace=spec.cache.namespace,
        ),
    )

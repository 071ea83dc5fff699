"""What the documentation of the API says beyond its paths: where to begin, and how to send a key."""

from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI

DESCRIPTION: Final = """\
Submit a job with `POST /v1/jobs` and fetch it with `GET /v1/jobs/{id}?wait=30`; many at once go to `POST /v1/jobs/bulk`.

To try the calls on this page, press **Authorize** and enter a key: that of `FOREBAY_ADMIN_KEY`, or the one that
`forebay up` printed at its first start, or one made with it by `POST /v1/keys`. Every error has the shape of `ErrorBody`.
"""

_NEED_NO_KEY: Final = frozenset({"/healthz", "/readyz"})
_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer fb-…"},
    "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


class DescribedApi(FastAPI):
    """FastAPI, whose description says which paths need a key.

    FastAPI's own way would have every request go through its dependencies; ``Authentication`` reads the key here.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - FastAPI's own
        """Take what FastAPI takes."""
        super().__init__(**options)
        self.on_stopping: list[Callable[[], None]] = []
        """What is called when the server is told to stop, while requests are still under way."""

    def openapi(self) -> dict[str, Any]:
        """Give the OpenAPI document; made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            document.setdefault("components", {})["securitySchemes"] = _SCHEMES
            for path, calls in document["paths"].items():
                for call in calls.values() if path not in _NEED_NO_KEY else ():
                    call["security"] = [{name: []} for name in _SCHEMES]
        return super().openapi()

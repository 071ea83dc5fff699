"""The dead letters, for administrators: list, look at one, replay, drop."""

from contextlib import suppress
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Path, Query, Request, Response

from producer_api.authentication import Authentication
from producer_api.body import JSON_TYPES, read_body, require_content_type
from producer_api.dead_letter_desk import DeadLetterDesk, LetterPage, Settled
from producer_api.dead_letter_schemas import DeadLetterList, DeadLetterObject, Dropped, OpenedDeadLetter, Replayed
from producer_api.endpoints.answers import json_response
from producer_api.pages import page_of
from producer_api.parts import ApiParts
from producer_api.schemas import ERRORS, without_references
from shared.domain.dead_letters import Selection
from shared.domain.errors import NotFound, NotReplayable
from shared.domain.files import LargeBodies
from shared.domain.tenants import Scope
from shared.domain.work_queue import DeadLetter
from shared.wire.dead_letters import LONGEST_WORD, SelectionWish, render_dead_letter, render_request

LARGEST_PAGE: Final = 100
_MOST_PROBLEMS: Final = 100
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": without_references(SelectionWish), "example": {"reason": "overloaded"}}
        },
    }
}

Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
Word = Annotated[str | None, Query(max_length=LONGEST_WORD)]
Id = Annotated[str, Path(description="A letter's id: that of its job, or `dead_…`.")]


def router(parts: ApiParts, authentication: Authentication) -> APIRouter:
    """Give the routes under ``/v1/dead-letters``."""
    routes = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"], responses=ERRORS)
    desk = DeadLetterDesk(parts.queue, parts.store, parts.catalog, parts.windows, parts.clock, parts.emit)

    async def selection_of(request: Request) -> Selection:
        await authentication.principal(request, Scope.ADMIN)
        require_content_type(request, JSON_TYPES)
        return SelectionWish.parse(await read_body(request, parts.body_limit))

    @routes.get("", responses={200: {"model": DeadLetterList}})
    async def list_dead_letters(
        request: Request,
        reason: Word = None,
        model: Word = None,
        team: Word = None,
        after: Word = None,
        limit: Limit = 20,
    ) -> Response:
        """List dead letters, the first to die first, without the requests in them. Of one job there is one."""
        await authentication.principal(request, Scope.ADMIN)
        return json_response(_listing(await desk.page(Selection(None, reason, model, team), after, limit)))

    @routes.post("/replay", responses={200: {"model": Replayed}}, openapi_extra=_BODY)
    async def replay_dead_letters(request: Request) -> Response:
        """Have the jobs of these letters run again. Those that cannot are kept, and the answer says why."""
        return json_response(_replayed(await desk.replay(await selection_of(request))))

    @routes.post("/drop", responses={200: {"model": Dropped}}, openapi_extra=_BODY)
    async def drop_dead_letters(request: Request) -> Response:
        """Throw these letters away. Their jobs stay failed."""
        return json_response(_dropped(await desk.drop(await selection_of(request))))

    @routes.get("/{letter_id:path}", responses={200: {"model": DeadLetterObject | OpenedDeadLetter}})
    async def get_dead_letter(
        request: Request,
        letter_id: Id,
        opened: Annotated[bool, Query(alias="request", description="Show the request in it, too.")] = False,  # noqa: FBT002 - a flag of the URL
    ) -> Response:
        """Give a dead letter with the whole history of its job."""
        await authentication.principal(request, Scope.ADMIN)
        obituary, job, letter = await desk.one(letter_id)
        content = await _content(letter, parts.large) if opened else {}
        return json_response(render_dead_letter(obituary, job) | content)

    @routes.post("/{letter_id:path}/replay", responses={200: {"model": Replayed}})
    async def replay_dead_letter(request: Request, letter_id: Id) -> Response:
        """Have the job of a letter run again: attempts count anew, and a deadline that is over binds it no more."""
        await authentication.principal(request, Scope.ADMIN)
        settled = await desk.replay(Selection(letter_id))
        for problem in settled.kept.values():
            raise NotReplayable(problem)
        return json_response(_replayed(settled))

    @routes.delete("/{letter_id:path}", responses={200: {"model": Dropped}})
    async def drop_dead_letter(request: Request, letter_id: Id) -> Response:
        """Throw a letter away. Its job stays failed."""
        await authentication.principal(request, Scope.ADMIN)
        return json_response(_dropped(await desk.drop(Selection(letter_id))))

    return routes


async def _content(letter: DeadLetter, large: LargeBodies | None) -> dict[str, Any]:
    content = render_request(letter)
    path = content["request_file"]
    if path is not None and large is not None:
        with suppress(NotFound):  # then it is said where it lay
            content["request"] = orjson.loads(await large.files.get(path))
    return content


def _listing(page: LetterPage) -> dict[str, Any]:
    # Without the errors' messages: these are the providers' own words, about what a team asked.
    data = [render_dead_letter(obituary, job) | {"error": None} for obituary, job in page.letters]
    return page_of(data, data[-1]["id"] if page.has_more else None)


def _replayed(settled: Settled) -> dict[str, Any]:
    problems = [{"id": letter_id, "message": problem} for letter_id, problem in settled.kept.items()]
    return {
        "object": "dead_letters.replayed",
        "replayed": settled.gone,
        "kept": len(problems),
        "problems": problems[:_MOST_PROBLEMS],
        "has_more": settled.has_more,
    }


def _dropped(settled: Settled) -> dict[str, Any]:
    return {"object": "dead_letters.dropped", "dropped": settled.gone, "has_more": settled.has_more}

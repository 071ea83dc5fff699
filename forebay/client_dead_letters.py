"""The dead letters, from Python. Errors as those of ``AsyncClient``."""

from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import quote

import orjson

from forebay.line import Call, Json, Line

_PATH: Final = "/v1/dead-letters"
_JSON: Final = {"content-type": "application/json"}


class DeadLetterCalls:
    """What an administrator's key may do with them.

    A selection is ``{"all": True}``, or one or more of ``reason``, ``model``, ``team``. Replaying twice publishes no job
    twice, so calls are repeated after a lost answer, which then counts what was left.
    """

    def __init__(self, line: Line) -> None:
        """Use this line to the server."""
        self._line = line

    async def each(self, selection: Mapping[str, str], page: int = 100) -> AsyncIterator[Json]:
        """Yield the letters that are meant, the first to die first; an empty selection: all."""
        async for letter in self._line.pages(_PATH, {**selection, "limit": str(page)}):
            yield letter

    async def one(self, letter_id: str, *, with_request: bool = False) -> Json:
        """Give a letter with its job's history; ``with_request``: and what was asked."""
        parameters = {"request": "true"} if with_request else None
        return await self._line.send(Call("GET", _path_of(letter_id), parameters))

    async def replay(self, letter_id: str) -> Json:
        """Have a letter's job run again; give what was done."""
        return await self._line.send(Call("POST", f"{_path_of(letter_id)}/replay"))

    async def replay_all(self, selection: Json) -> Json:
        """Have the jobs of these letters run again; give what was done, and which letters stay, and why."""
        body = orjson.dumps(selection)
        return await self._line.send(Call("POST", f"{_PATH}/replay", body=body, headers=_JSON, is_repeatable=True))

    async def drop(self, letter_id: str) -> Json:
        """Throw a letter away."""
        return await self._line.send(Call("DELETE", _path_of(letter_id)))

    async def drop_all(self, selection: Json) -> Json:
        """Throw these letters away; give how many they were."""
        body = orjson.dumps(selection)
        return await self._line.send(Call("POST", f"{_PATH}/drop", body=body, headers=_JSON, is_repeatable=True))


def _path_of(letter_id: str) -> str:
    return f"{_PATH}/{quote(letter_id, safe='')}"

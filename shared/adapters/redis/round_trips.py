"""The one seam to the server: every call of this package has a deadline here, and its errors are translated here."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError

from shared.adapters.redis.connection import LIBRARY_ERRORS, MOST_CONNECTIONS, Client
from shared.adapters.redis.scripts import Script
from shared.domain.errors import StoreUnavailable

DEADLINE_S: Final = 2.0
"""Seconds for one round trip, the wait for a connection and a second try included."""

Argument = str | bytes | int | float
Command = Sequence[Argument]


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """One run of a script: all the keys it touches, and its arguments."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[Argument]

    @property
    def command(self) -> Command:
        """The call by the script's SHA-1."""
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.arguments)

    @property
    def command_with_source(self) -> Command:
        """The call with the script itself, which the server then remembers."""
        return ("EVAL", self.script.source, len(self.keys), *self.keys, *self.arguments)


class RoundTrips:
    """Sends commands; each method is one round trip. All raise ``StoreUnavailable``, and nothing else."""

    def __init__(self, client: Client) -> None:
        """``client``: as ``connection.connect`` gives it. It stays the caller's to close."""
        self._client = client
        self._turns = asyncio.Semaphore(MOST_CONNECTIONS)  # a client of a cluster knows no bound

    async def send(self, command: Command) -> Any:  # noqa: ANN401 - the reply has the command's type
        """Send one command and give its reply."""
        return await self._bounded(self._client.execute_command, *command)

    async def send_all(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands together and give their replies. They are not a transaction."""
        replies: list[Any] = await self._bounded(self._all_replies, commands)
        return replies

    async def run(self, call: ScriptCall) -> Any:  # noqa: ANN401 - the reply has the script's type
        """Run a script and give its reply."""
        return await self._bounded(self._reply_of, call)

    async def run_all(self, calls: Sequence[ScriptCall], *, before: Sequence[Command] = ()) -> list[Any]:
        """Send the commands of ``before``, run scripts in order after them, and give the scripts' replies."""
        replies: list[Any] = await self._bounded(self._replies_of, calls, before)
        return replies

    async def _bounded(self, work: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:  # noqa: ANN401 - whatever the work takes and gives
        try:
            async with asyncio.timeout(DEADLINE_S), self._turns:
                return await work(*arguments)
        except (ConnectionLost, OSError) as error:  # TimeoutError is an OSError
            raise StoreUnavailable(f"The store cannot be reached: {str(error) or 'no answer in time'}") from error
        except LIBRARY_ERRORS as error:  # their texts may quote what was sent
            raise StoreUnavailable(f"The store cannot do its work: {type(error).__name__}") from error

    async def _all_replies(self, commands: Sequence[Command]) -> list[Any]:
        replies = await self._replies(commands)
        _raise_first(replies)
        return replies

    async def _reply_of(self, call: ScriptCall) -> Any:  # noqa: ANN401 - the reply has the script's type
        try:
            return await self._client.execute_command(*call.command)
        except NoScriptError:
            return await self._client.execute_command(*call.command_with_source)

    async def _replies_of(self, calls: Sequence[ScriptCall], before: Sequence[Command]) -> list[Any]:
        replies = await self._replies([*before, *(call.command for call in calls)])
        _raise_first(replies[: len(before)])
        answers = replies[len(before) :]
        await self._teach_and_repeat(calls, answers)
        _raise_first(answers)
        return answers

    async def _teach_and_repeat(self, calls: Sequence[ScriptCall], answers: list[Any]) -> None:
        unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if not unknown:
            return
        for source in {calls[at].script.source for at in unknown}:
            await self._client.script_load(source)
        for at, answer in zip(unknown, await self._replies([calls[at].command for at in unknown]), strict=True):
            answers[at] = answer

    async def _replies(self, commands: Sequence[Command]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        # Errors come as replies: raised, they would quote the commands.
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies


def _raise_first(replies: Sequence[Any]) -> None:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply

"""One call from its admission to its end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import orjson
from aiohttp import web

from forebay.simulated_provider.accounts import Account, Accounts
from forebay.simulated_provider.answers import Author, ChatAnswer, EmbeddingAnswer
from forebay.simulated_provider.counters import Outcome
from forebay.simulated_provider.faults import Fault, FaultKind, Faults
from forebay.simulated_provider.options import Options
from forebay.simulated_provider.refusals import Refusal, no_such_model, too_long
from forebay.simulated_provider.requests import ChatRequest, EmbeddingRequest
from forebay.simulated_provider.streaming import Cut, HungUp, hang_up, stream

_TOO_MANY_REQUESTS: Final = 429
_NO_FAULT: Final = Fault(FaultKind.LATENCY)


class Calls:
    """Serves the calls of every account."""

    def __init__(self, options: Options, accounts: Accounts, faults: Faults) -> None:
        """Take how to behave, where to count, and what is to go wrong."""
        self._options = options
        self._accounts = accounts
        self._faults = faults
        self._author = Author(options.seed, options.output_tokens)
        self._released = asyncio.Event()

    async def serve(self, http: web.Request, key: str, asked: ChatRequest | EmbeddingRequest) -> web.StreamResponse:
        """Admit a call, answer it, count it.

        Raises:
            Refusal: it gets an error object instead.
            HungUp: a fault closed its connection.
        """
        self._check(asked)
        account = self._admit(key, asked)
        answer = self._author.chat(asked) if isinstance(asked, ChatRequest) else self._author.embed(asked)
        with self._counted(account, asked, answer):
            fault = self._faults.draw(key, asked.model, asked.text) or _NO_FAULT
            return await self._answer(http, asked, answer, fault, account)

    def release(self) -> None:
        """Let the calls that hang now go on to their answers."""
        self._released.set()
        self._released = asyncio.Event()

    def _check(self, asked: ChatRequest | EmbeddingRequest) -> None:
        if self._options.models and asked.model not in self._options.models:
            raise no_such_model(asked.model)
        longest_answer = asked.max_tokens or 0 if isinstance(asked, ChatRequest) else 0
        if asked.prompt_tokens + longest_answer > self._options.context_tokens:
            raise too_long(self._options.context_tokens, asked.prompt_tokens + longest_answer)

    def _admit(self, key: str, asked: ChatRequest | EmbeddingRequest) -> Account:
        now = _now()
        self._accounts.arrivals.add(now, asked.model, asked.text)
        account = self._accounts.of(key, asked.model, now)
        try:
            account.meter.admit(self._estimate(asked), now)
        except Refusal:
            account.tally.refused_429 += 1
            self._accounts.total.refused_429 += 1
            raise
        return account

    def _estimate(self, asked: ChatRequest | EmbeddingRequest) -> int:
        """Count what the call may use at most: its answer is not known when the limit lets it in."""
        if isinstance(asked, EmbeddingRequest):
            return asked.prompt_tokens
        return asked.prompt_tokens + asked.choices * (asked.max_tokens or self._author.longest)

    @contextmanager
    def _counted(
        self, account: Account, asked: ChatRequest | EmbeddingRequest, answer: ChatAnswer | EmbeddingAnswer
    ) -> Iterator[None]:
        contents, tallies = self._accounts.contents, (account.tally, self._accounts.total)
        content = contents.begun(asked.text)
        for tally in tallies:
            tally.admitted(answer.input_tokens, answer.output_tokens, _now())
        outcome: Outcome = "aborted"
        try:
            yield
            outcome = "served"
            contents.answered(content)
        except Refusal as refusal:
            outcome = "refused_429" if refusal.status == _TOO_MANY_REQUESTS else "failed"
            raise
        except HungUp:
            outcome = "failed"
            raise
        finally:
            account.meter.leave(self._estimate(asked) - answer.input_tokens - answer.output_tokens)
            for tally in tallies:
                tally.left(outcome)

    async def _answer(
        self,
        http: web.Request,
        asked: ChatRequest | EmbeddingRequest,
        answer: ChatAnswer | EmbeddingAnswer,
        fault: Fault,
        account: Account,
    ) -> web.StreamResponse:
        headers = account.meter.headers() if self._options.rate_limit_headers else {}
        latency_s = self._faults.latency_s(*self._options.latency_s) + fault.seconds
        refusal = fault.refusal()
        if refusal:
            raise refusal
        if fault.kind is FaultKind.HANG:
            await self._released.wait()
        is_hanging_up = fault.kind is FaultKind.DISCONNECT
        if isinstance(asked, ChatRequest) and isinstance(answer, ChatAnswer) and asked.stream:
            cut = Cut(is_hanging_up, fault.at_byte if fault.kind is FaultKind.CUT_STREAM else None)
            return await stream(http, asked, answer, headers=headers, latency_s=latency_s, cut=cut)
        if latency_s:
            await asyncio.sleep(latency_s)
        if is_hanging_up:
            hang_up(http)
        return web.Response(
            body=_spoilt(orjson.dumps(answer.body()), fault), headers=headers, content_type="application/json"
        )


def _spoilt(body: bytes, fault: Fault) -> bytes:
    match fault.kind:
        case FaultKind.INVALID_JSON:
            return body[: len(body) // 2]
        case FaultKind.NO_CHOICES:
            return b'{"object":"chat.completion"}'
        case _:
            return body


def _now() -> float:
    return asyncio.get_running_loop().time()

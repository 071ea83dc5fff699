"""Row 25: names whose servers never answer hold up nobody else's."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from threading import Event
from typing import Any

import pytest

from shared.adapters.webhooks.name_lookups import TURNS_OF_A_DOMAIN, NameLookups, NotAnswered, NoTurn
from shared.adapters.webhooks.sender import HttpWebhookSender
from shared.domain.webhook_sender import Receipt
from shared.domain.webhook_urls import AllowedNetworks
from tests.eventually import eventually
from tests.integration.webhook_rig import WebhookRig, webhook_rig
from tests.security.webhook_rig import listening
from tests.servers.receiver import receiver

LOOPBACK = AllowedNetworks.of(["127.0.0.0/8"])


class StuckNames:
    """Looks up names; those with ``stuck`` in them are answered only after ``over``. ``asked``: how often each was."""

    def __init__(self) -> None:
        self.asked = Counter[str]()
        self.over = Event()

    def __call__(self, host: str, port: int, *, type: int) -> list[Any]:  # noqa: A002 - as getaddrinfo
        self.asked[host] += 1
        if "stuck" in host:
            self.over.wait()
        return [(socket.AF_INET, type, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def names() -> Iterator[StuckNames]:
    names = StuckNames()
    yield names
    names.over.set()


class NotingSender(HttpWebhookSender):
    """The real one. ``receipts``: what came of each attempt."""

    receipts: list[Receipt]

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Receipt:
        receipt = await super().send(url, body, headers)
        self.receipts.append(receipt)
        return receipt


@pytest.fixture
async def sender(names: StuckNames) -> AsyncIterator[NotingSender]:
    sender = NotingSender(LOOPBACK, timeout_s=3.0, lookup=names)
    sender.receipts = []
    yield sender
    await sender.close()


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[WebhookRig]:
    async with webhook_rig(valkey_url) as rig:
        yield rig


async def begin(*works: Coroutine[Any, Any, object]) -> asyncio.Future[list[object]]:
    began = asyncio.gather(*works, return_exceptions=True)
    await asyncio.sleep(0)
    return began


async def ok(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 204 Fine\r\n\r\n")
    await writer.drain()


@pytest.mark.hazard(25)
async def test_names_that_are_never_answered_hold_up_no_other_domain(names: StuckNames, sender: NotingSender) -> None:
    stuck = [sender.send(f"http://stuck{number}.example.com/", b"", {}) for number in range(200)]
    async with listening(ok) as listener:
        hanging = await begin(*stuck)
        assert await eventually(lambda: asyncio.sleep(0, names.asked.total() >= TURNS_OF_A_DOMAIN))
        receipt = await sender.send(f"http://fine.example.org:{listener.port}/", b"", {})
        assert (receipt.status, receipt.problem) == (204, None)
        assert names.asked.total() == TURNS_OF_A_DOMAIN + 1
        names.over.set()
        await hanging


async def test_a_name_that_still_hangs_is_refused_at_once_and_takes_no_second_thread(names: StuckNames) -> None:
    lookups = NameLookups(names, deadline_s=0.2)
    first = await begin(*(lookups.addresses(host, 443) for host in ("stuck.example.com", "Stuck.example.com.")))
    assert [type(outcome) for outcome in await first] == [NotAnswered, NotAnswered]
    async with asyncio.timeout(0.1):
        with pytest.raises(NotAnswered):
            await lookups.addresses("stuck.example.com", 80)
    assert names.asked.total() == 1

    names.over.set()

    async def is_answered() -> bool:
        try:
            return bool(await lookups.addresses("stuck.example.com", 80))
        except NotAnswered:
            return False

    assert await eventually(is_answered)
    assert names.asked.total() == 2


@pytest.mark.parametrize(
    ("stuck", "other", "is_one_domain"),
    [
        ("stuck{}.example.com", "fine.example.com", True),
        ("stuck{}.a.b.example.com", "fine.example.com", True),
        ("stuck{}.example.com", "fine.example.net", False),
        ("stuck{}.example.co.uk", "fine.other.co.uk", False),
        ("stuck{}.example.co.uk", "fine.example.co.uk", True),
    ],
)
async def test_the_names_of_one_domain_have_a_few_turns(
    names: StuckNames, stuck: str, other: str, *, is_one_domain: bool
) -> None:
    lookups = NameLookups(names, longest_wait_s=0.1)
    hanging = await begin(*(lookups.addresses(stuck.format(n), 443) for n in range(TURNS_OF_A_DOMAIN)))
    if is_one_domain:
        with pytest.raises(NoTurn):
            await lookups.addresses(other, 443)
        names.over.set()
    assert await lookups.addresses(other, 443)
    names.over.set()
    await hanging


@pytest.mark.hazard(25)
async def test_an_event_that_found_no_turn_for_its_name_comes_again_and_that_is_no_attempt(
    rig: WebhookRig, names: StuckNames, sender: NotingSender
) -> None:
    stuck = (sender.send(f"http://stuck{number}.example.com/", b"", {}) for number in range(TURNS_OF_A_DOMAIN))
    hanging = await begin(*stuck)
    async with receiver(await rig.secret()) as hook:
        await rig.end_job(hook.url.replace("127.0.0.1", "fine.example.com"))
        async with rig.carrying(sender=sender, lease_s=0.1):
            assert await eventually(lambda: asyncio.sleep(0, sender.receipts))
            names.over.set()
            [delivery] = await rig.ended(1)
    assert (sender.receipts[0].status, sender.receipts[0].is_tried) == (None, False)
    assert [(attempt.status, attempt.problem) for attempt in delivery.attempts] == [(204, None)]
    await hanging

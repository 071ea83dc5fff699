"""Rows 24 and 25: what a receiver does costs us little: its time is bounded, its answer, and where it can lead us."""

import asyncio
import gzip
import resource
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.adapters.webhooks.sender import MOST_OF_AN_ANSWER, HttpWebhookSender
from shared.domain.webhook_sender import Receipt
from shared.domain.webhook_urls import AllowedNetworks
from tests.eventually import eventually
from tests.security.webhook_rig import Listener, Names, listening, spying

LOOPBACK = AllowedNetworks.of(["127.0.0.0/8"])
CERTIFICATE = Path(__file__).parent / "tls" / "hook.example.com.pem"
"""Of ``hook.example.com``, signed by itself, with its key: known to everybody, so of no use but here."""

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture
async def sender() -> AsyncIterator[HttpWebhookSender]:
    sender = HttpWebhookSender(LOOPBACK, timeout_s=0.4)
    yield sender
    await sender.close()


async def send(sender: HttpWebhookSender, listener: Listener, path: str = "/") -> Receipt:
    return await sender.send(
        f"http://127.0.0.1:{listener.port}{path}", b'{"a": 1}', {"content-type": "application/json"}
    )


async def ok(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    await writer.drain()


async def test_an_event_is_sent_as_it_is_and_the_receipt_says_what_came(sender: HttpWebhookSender) -> None:
    async def busy(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n")

    async with listening(busy) as listener:
        receipt = await send(sender, listener, "/a%2Fb/../größe?x=%2F&y={z}")
    assert (receipt.status, receipt.problem, receipt.retry_after_s) == (503, None, 7.0)
    assert 0 < receipt.duration_s < 0.4
    line, *headers = listener.heard[0].decode().splitlines()
    assert line == "POST /a%2Fb/../gr%C3%B6%C3%9Fe?x=%2F&y={z} HTTP/1.1"
    told = {name.lower(): value for name, _, value in (header.partition(": ") for header in headers)}
    assert told["user-agent"].startswith("Forebay-Webhooks/")
    assert told["accept-encoding"] == "identity"
    assert told["content-type"] == "application/json"


@pytest.mark.hazard(24)
async def test_a_redirect_is_not_followed(sender: HttpWebhookSender) -> None:
    async with listening(ok) as inside:

        async def redirect(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            where = f"http://127.0.0.1:{inside.port}/".encode()
            writer.write(b"HTTP/1.1 307 Elsewhere\r\ncontent-length: 0\r\nlocation: " + where + b"\r\n\r\n")

        async with listening(redirect) as listener:
            receipt = await send(sender, listener)
    assert (receipt.status, receipt.problem) == (307, None)
    assert inside.connections == 0


@pytest.mark.hazard(24)
async def test_no_proxy_is_taken_from_the_environment(
    sender: HttpWebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(ok) as proxy, listening(ok) as listener:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        receipt = await send(sender, listener)
    assert receipt.status == 200
    assert (proxy.connections, listener.connections) == (0, 1)


async def test_a_cookie_is_not_kept(sender: HttpWebhookSender) -> None:
    async def give_a_cookie(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n")

    async with listening(give_a_cookie) as listener:
        await send(sender, listener)
        await send(sender, listener)
    assert len(listener.heard) == 2
    assert b"cookie" not in listener.heard[1].lower()


async def _never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def _a_byte_at_a_time(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b".")
        await asyncio.sleep(0.02)


async def _a_slow_head(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while not writer.is_closing():
        writer.write(b".")
        await asyncio.sleep(0.02)


async def _ever_more_to_come(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await asyncio.sleep(0.02)


@pytest.mark.hazard(25)
@pytest.mark.parametrize(
    ("answer", "status"), [(_never, None), (_a_byte_at_a_time, 200), (_a_slow_head, None), (_ever_more_to_come, None)]
)
async def test_a_slow_receiver_costs_no_more_than_the_deadline(
    sender: HttpWebhookSender, answer: object, status: int | None
) -> None:
    async with listening(answer) as listener:  # type: ignore[arg-type]  # parametrize knows no types
        receipt = await send(sender, listener)
    assert receipt.status == status
    assert receipt.problem is not None
    assert "within 0.4 s" in receipt.problem
    assert 0.3 < receipt.duration_s < 2


@pytest.mark.hazard(25)
async def test_a_name_that_is_never_answered_costs_no_more_than_the_deadline() -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stuck(host: str, port: int, *, type: int) -> list[object]:  # noqa: A002 - as getaddrinfo
        asyncio.run_coroutine_threadsafe(over.wait(), loop).result()
        return []

    sender = HttpWebhookSender(AllowedNetworks(), timeout_s=0.2, lookup=stuck)
    receipts = await asyncio.gather(*(sender.send("https://stuck.example.com/", b"", {}) for _ in range(20)))
    over.set()
    await sender.close()
    assert [receipt.status for receipt in receipts] == [None] * 20
    assert max(receipt.duration_s for receipt in receipts) < 1.5


@pytest.mark.hazard(25)
async def test_a_bomb_is_neither_unpacked_nor_read(sender: HttpWebhookSender) -> None:
    mebibyte = gzip.compress(bytes(1024 * 1024))
    sent = 0

    async def explode(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n")
        piece = mebibyte * 64
        while sent < 1024 * len(mebibyte) * 64 and not writer.is_closing():
            writer.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
            await writer.drain()
            sent += len(piece)

    before = _peak_kib()
    async with listening(explode) as listener:
        receipt = await send(sender, listener)
    assert (receipt.status, receipt.problem) == (200, None)
    assert receipt.duration_s < 0.4
    assert sent < 8 * 1024 * 1024
    assert _peak_kib() - before < 4 * 1024
    assert MOST_OF_AN_ANSWER == 64 * 1024


@pytest.mark.hazard(25)
@pytest.mark.parametrize("piece", [b"x-more: and more\r\n" * 1000, b"x" * 16_384])
async def test_a_head_without_end_is_cut(sender: HttpWebhookSender, piece: bytes) -> None:
    async def go_on(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()

    before = _peak_kib()
    async with listening(go_on) as listener:
        receipt = await send(sender, listener)
    assert receipt.status is None
    assert receipt.problem == "The receiver's answer cannot be understood."
    assert _peak_kib() - before < 4 * 1024


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"])
async def test_an_answer_that_is_none_stands_in_the_receipt(sender: HttpWebhookSender, answer: bytes) -> None:
    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async with listening(say) as listener:
        receipt = await send(sender, listener)
    assert receipt.problem is not None


async def test_a_connection_is_used_again_while_it_is_fresh(sender: HttpWebhookSender) -> None:
    async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        await ok(reader, writer)
        listener.heard.append(await reader.readuntil(b"\r\n\r\n"))
        await ok(reader, writer)

    async with listening(answer_all) as listener:
        assert [(await send(sender, listener)).status for _ in range(2)] == [200, 200]
    assert (listener.connections, len(listener.heard)) == (1, 2)


async def test_the_certificate_is_that_of_the_name_though_the_address_is_pinned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(CERTIFICATE)
    names = Names(**{"hook.example.com": [["127.0.0.1"]], "other.example.com": [["127.0.0.1"]]})
    sender = HttpWebhookSender(LOOPBACK, timeout_s=5, lookup=names)
    async with listening(ok, tls) as listener:
        with spying() as connects:
            right = await sender.send(f"https://hook.example.com:{listener.port}/", b"", {})
            wrong = await sender.send(f"https://other.example.com:{listener.port}/", b"", {})
            plain = await sender.send(f"https://127.0.0.1:{listener.port}/", b"", {})
        await sender.close()
    assert (right.status, right.problem) == (200, None)
    assert wrong.problem == plain.problem == "The receiver's certificate is not valid for its name."
    assert len(connects) == 3
    assert len(listener.heard) == 1


async def test_a_kept_connection_that_the_receiver_hung_up_on_costs_no_event(sender: HttpWebhookSender) -> None:
    async with listening(ok) as listener:  # it hangs up behind each answer, and says nothing of it
        receipts = [await send(sender, listener) for _ in range(3)]
    assert [(receipt.status, receipt.problem) for receipt in receipts] == [(200, None)] * 3
    assert len(listener.heard) == 3


async def test_a_closed_sender_holds_no_connection(sender: HttpWebhookSender) -> None:
    ended = asyncio.Event()

    async def stay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ok(reader, writer)
        await reader.read()
        ended.set()

    async with listening(stay) as listener:
        assert (await send(sender, listener)).status == 200
        await sender.close()
        assert await eventually(lambda: asyncio.sleep(0, ended.is_set()))


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

"""Row 24: a webhook's URL leads to nothing but public addresses, and to what the owner allows."""

from collections.abc import AsyncIterator
from ipaddress import IPv4Address, ip_address

import pytest

from shared.adapters.webhooks import sender as sender_module
from shared.adapters.webhooks.sender import HttpWebhookSender
from shared.domain.errors import InvalidInput
from shared.domain.webhook_urls import AllowedNetworks, check_webhook_url, is_public
from tests.security.hostile_urls import BY_NAME, FINE, HOSTILE, NAMES
from tests.security.webhook_rig import Listener, Names, listening, spying

NOTHING = AllowedNetworks()
PRIVATE = AllowedNetworks.of(["10.1.0.0/16"])
LOOPBACK = AllowedNetworks.of(["127.0.0.0/8", "::1"])
PUBLIC, OURS = "93.184.215.14", "127.0.0.1"


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with listening() as listener:
        yield listener


def names() -> Names:
    return Names(**{name: [addresses] for name, addresses in NAMES.items()})


def test_the_corpus_is_large_and_says_each_thing_once() -> None:
    assert len(HOSTILE) >= 80
    assert len({url for url, _ in HOSTILE}) == len(HOSTILE)


@pytest.mark.hazard(24)
@pytest.mark.parametrize("allowed", [NOTHING, PRIVATE], ids=["nothing allowed", "a private network allowed"])
async def test_no_hostile_url_leads_to_any_connection(listener: Listener, allowed: AllowedNetworks) -> None:
    sender = HttpWebhookSender(allowed, timeout_s=5, lookup=names())
    with spying() as connects:
        for url, why in HOSTILE:
            receipt = await sender.send(url.format(port=listener.port), b"{}", {})
            assert (receipt.status, bool(receipt.problem)) == (None, True), (url, why)
            assert connects == [], (url, why)
    await sender.close()
    assert listener.connections == 0


@pytest.mark.hazard(24)
async def test_even_with_the_check_of_urls_gone_no_connection_is_made(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "check_webhook_url", lambda *_: None)
    sender = HttpWebhookSender(PRIVATE, timeout_s=5, lookup=names())
    with spying() as connects:
        for url, why in HOSTILE:
            receipt = await sender.send(url.format(port=listener.port), b"{}", {})
            assert receipt.status is None, (url, why)
            assert connects == [], (url, why)
    await sender.close()
    assert listener.connections == 0


def test_what_can_be_seen_of_a_url_is_refused_when_it_is_named() -> None:
    by_name = {url for url, _ in BY_NAME}
    for url, why in HOSTILE:
        if url not in by_name:
            with pytest.raises(InvalidInput, match="`hook`") as refused:
                check_webhook_url(url.format(port=8080), PRIVATE, "hook")
            assert refused.value.param == "hook", (url, why)
            assert "allowed: " in str(refused.value), (url, why)


def test_names_known_inside_only_are_refused_at_once_where_no_network_is_allowed() -> None:
    for name in ("localhost", "a.localhost", "localhost.", "redis", "db.internal", "printer.local", "nas.home.arpa"):
        with pytest.raises(InvalidInput, match="known only inside"):
            check_webhook_url(f"https://{name}/", NOTHING, "url")


def test_public_urls_are_fine_however_they_are_spelled() -> None:
    for url in FINE:
        check_webhook_url(url, NOTHING, "url")
        check_webhook_url(url, PRIVATE, "url")


def test_a_url_is_refused_by_its_length() -> None:
    check_webhook_url("https://example.com/" + "a" * 2028, NOTHING, "url")
    with pytest.raises(InvalidInput, match="2049 characters"):
        check_webhook_url("https://example.com/" + "a" * 2029, NOTHING, "url")


def test_no_refusal_quotes_a_password_or_a_path() -> None:
    for url in ("https://me:s3cret@example.com/", "http://example.com/s3cret", "https://10.0.0.1/?key=s3cret"):
        with pytest.raises(InvalidInput) as refused:
            check_webhook_url(url, NOTHING, "url")
        assert "s3cret" not in str(refused.value)


def test_an_allowed_network_opens_its_addresses_at_any_port_without_tls() -> None:
    for url in (
        "http://10.1.2.3:6379/",
        "https://10.1.255.255:22/",
        "http://[::ffff:10.1.2.3]/",
        "http://db.internal:81/",
    ):
        check_webhook_url(url, PRIVATE, "url")
    for url in ("http://10.2.0.1/", "http://[::ffff:10.2.0.1]/", "http://[::10.1.0.1]/", "http://8.8.8.8/"):
        with pytest.raises(InvalidInput):
            check_webhook_url(url, PRIVATE, "url")


def test_metadata_addresses_are_allowed_by_themselves_alone() -> None:
    metadata = ip_address("169.254.169.254")
    assert ip_address("169.254.1.1") in AllowedNetworks.of(["169.254.0.0/16"])
    assert metadata not in AllowedNetworks.of(["169.254.0.0/16", "0.0.0.0/0", "::/0"])
    assert metadata in AllowedNetworks.of(["169.254.169.254/32"])


@pytest.mark.parametrize("bad", ["10.0.0.1/8", "10.0.0.0/33", "example.com", ""])
def test_a_bad_network_is_named(bad: str) -> None:
    with pytest.raises(ValueError, match=repr(bad)):
        AllowedNetworks.of(["192.168.0.0/16", bad])


def test_the_ends_of_every_range_are_judged() -> None:
    for first, last in (
        ("10.0.0.0", "10.255.255.255"),
        ("100.64.0.0", "100.127.255.255"),
        ("172.16.0.0", "172.31.255.255"),
    ):
        assert not is_public(ip_address(first))
        assert not is_public(ip_address(last))
        assert is_public(ip_address(int(IPv4Address(first)) - 1))
        assert is_public(ip_address(int(IPv4Address(last)) + 1))


@pytest.mark.hazard(24)
async def test_a_name_that_flips_to_a_private_address_is_never_followed_there(listener: Listener) -> None:
    flipping = Names(**{"flip.example.com": [[PUBLIC], [OURS]]})
    sender = HttpWebhookSender(NOTHING, timeout_s=5, lookup=flipping)
    with spying() as connects:
        for _ in range(3):
            await sender.send(f"https://flip.example.com:{listener.port}/", b"{}", {})
    await sender.close()
    assert flipping.asked == ["flip.example.com"] * 3  # one look for each connection: what is judged is what is used
    assert {address[0] for address in connects} <= {PUBLIC}
    assert listener.connections == 0


@pytest.mark.hazard(24)
@pytest.mark.parametrize("order", [[PUBLIC, OURS], [OURS, PUBLIC]])
async def test_a_name_with_one_private_address_is_not_called_at_all(listener: Listener, order: list[str]) -> None:
    sender = HttpWebhookSender(NOTHING, timeout_s=5, lookup=Names(**{"both.example.com": [order]}))
    with spying() as connects:
        receipt = await sender.send(f"https://both.example.com:{listener.port}/", b"{}", {})
    await sender.close()
    assert receipt.problem is not None
    assert "`both.example.com` leads to an address that is not public" in receipt.problem
    assert OURS not in receipt.problem
    assert (connects, listener.connections) == ([], 0)


async def test_what_is_allowed_is_called_at_exactly_the_address_that_was_judged(listener: Listener) -> None:
    sender = HttpWebhookSender(
        LOOPBACK, timeout_s=5, lookup=Names(**{"hook.example.com": [["127.0.0.7"], ["10.9.9.9"]]})
    )
    with spying() as connects:
        refused = await sender.send(f"http://hook.example.com:{listener.port}/", b"{}", {})
        await sender.send(f"http://127.0.0.1:{listener.port}/", b"{}", {})
    await sender.close()
    assert refused.problem == "The receiver cannot be reached."
    assert connects == [("127.0.0.7", listener.port), ("127.0.0.1", listener.port)]
    assert listener.connections == 1

"""Row 30: a key stands nowhere in the store, nor in what is published or announced."""

from collections.abc import AsyncIterator, Callable, Iterator

from redis.asyncio import Redis

from shared.domain.allowances import Allowance, Policies, TeamPolicy, Terms
from tests.integration.api_rig import ADMIN_KEY, CHAT, running_api

_READERS: dict[object, Callable[[bytes], tuple[str | bytes | int, ...]]] = {
    b"string": lambda key: ("GET", key),
    b"hash": lambda key: ("HGETALL", key),
    b"set": lambda key: ("SMEMBERS", key),
    b"zset": lambda key: ("ZRANGE", key, 0, -1, "WITHSCORES"),
    b"list": lambda key: ("LRANGE", key, 0, -1),
    b"stream": lambda key: ("XRANGE", key, "-", "+"),
}


async def test_no_key_stands_in_the_store_in_the_clear(valkey_url: str) -> None:
    limits = Allowance(1_000, 10**6, 1_000, 10**6)
    policies = Policies(limits, {"red": TeamPolicy(Terms(limits), limits, {"titles": limits})})
    async with running_api(valkey_url, policies=policies) as api:
        wish = {"team": "red", "name": "nightly", "limits": {"rpm": 9}}
        made = [(await api.call("POST", "/v1/keys", ADMIN_KEY, wish)).json for _ in range(3)]
        secrets = [key["key"] for key in made]
        attribution = {"user": "u-1", "feature": "titles"}
        for number, secret in enumerate(secrets):
            job = await api.submit(secret, f"k-{number}", request=CHAT | {"seed": number}, attribution=attribution)
            await api.finish(job.json["id"], "red")
        await api.call("DELETE", f"/v1/keys/{made[0]['id']}", ADMIN_KEY)
        assert (await api.get("/v1/jobs", "fb-unknown-canary")).status == 401

        everything = [piece async for piece in contents(api.redis)]
        assert len(everything) > 50
        assert any(made[0]["id"].encode() in piece for piece in everything)
        for secret in (*(secret.removeprefix("fb-") for secret in secrets), ADMIN_KEY, "unknown-canary"):
            assert not [piece for piece in everything if secret.encode() in piece]
        said = repr(api.events) + repr([published.message for published in api.queue.published])
        assert not [secret for secret in secrets if secret in said]


async def contents(client: Redis) -> AsyncIterator[bytes]:
    """Every name and every value of the store, whatever its type."""
    async for key in client.scan_iter():
        yield key
        kind = await client.type(key)
        for piece in flat(await client.execute_command(*_READERS[kind](key))):  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            yield piece


def flat(reply: object) -> Iterator[bytes]:
    if isinstance(reply, dict):
        reply = [part for pair in reply.items() for part in pair]
    if isinstance(reply, list | tuple | set):
        for part in reply:
            yield from flat(part)
    elif isinstance(reply, bytes):
        yield reply
    else:
        yield str(reply).encode()

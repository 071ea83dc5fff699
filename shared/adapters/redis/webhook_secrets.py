"""The secrets that sign webhooks. They are kept as they are: signing needs them."""

from collections.abc import Mapping, Sequence

from shared.adapters.redis import scripts
from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import of_team
from shared.adapters.redis.round_trips import RoundTrips, ScriptCall
from shared.domain.webhook_secrets import MOST_OLDER, OLDER_VALID_S, OlderSecret, SigningSecret, new_secret


class RedisWebhookSecrets:
    """Implements ``WebhookSecrets``."""

    def __init__(self, client: Client) -> None:
        """``client``: as ``connection.connect`` gives it."""
        self._server = RoundTrips(client)

    async def secret(self, team: str) -> SigningSecret:
        """Give a team's secret; of two who make it at once, the first is right."""
        key = of_team(team).webhook_secret
        found = await self._server.send(("HGETALL", key))
        if not found:
            _, found = await self._server.send_all([("HSETNX", key, "secret", new_secret()), ("HGETALL", key)])
        return secret_from(text_of(found))

    async def rotate(self, team: str, now: float) -> SigningSecret:
        """Give a team a new secret."""
        await self.secret(team)
        call = rotation(of_team(team).webhook_secret, now)
        return secret_from(text_of(await self._server.run(call)))


def rotation(key: str, now: float) -> ScriptCall:
    """Give the call that puts a new secret into the hash ``key``."""
    return ScriptCall(
        scripts.ROTATE_WEBHOOK_SECRET, [key], [new_secret(), repr(now), repr(now + OLDER_VALID_S), MOST_OLDER]
    )


def secret_from(fields: Mapping[str, str]) -> SigningSecret:
    """Read the secret of a record."""
    older = (entry.split("@") for entry in fields.get("older_secrets", "").split())
    return SigningSecret(fields["secret"], tuple(OlderSecret(secret, float(until)) for secret, until in older))


def text_of(values: Mapping[bytes, bytes] | Sequence[bytes]) -> dict[str, str]:
    """Give fields and values as text, whether they came in turns or as a mapping."""
    pairs = values.items() if isinstance(values, Mapping) else zip(values[::2], values[1::2], strict=True)
    return {name.decode(): value.decode() for name, value in pairs}

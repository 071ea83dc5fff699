"""Who sends a request: the key in ``Authorization: Bearer …`` or ``x-api-key``."""

from starlette.requests import HTTPConnection

from shared.domain.errors import NotAuthenticated
from shared.domain.tenants import Keyring, Principal


class Authentication:
    """Turns the key a request carries into the principal who holds it."""

    def __init__(self, keyring: Keyring) -> None:
        """``keyring`` knows the keys."""
        self._keyring = keyring

    async def principal(self, connection: HTTPConnection) -> Principal:
        """Give who is asking.

        Raises:
            NotAuthenticated: there is no key, or nobody holds it.
        """
        key = _key(connection)
        if not key:
            raise NotAuthenticated("No API key was sent. Send it as `Authorization: Bearer fb-…` or as `x-api-key`.")
        principal = await self._keyring.principal(key)
        if principal is None:
            raise NotAuthenticated("The API key is not known here.")
        return principal


def _key(connection: HTTPConnection) -> str:
    scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credential.strip()
    return connection.headers.get("x-api-key", "").strip()

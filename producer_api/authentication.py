"""Who sends a request: the key in ``Authorization: Bearer …`` or ``x-api-key``; and whether it may."""

from collections.abc import Mapping

from starlette.requests import HTTPConnection

from shared.domain.errors import NotAllowed, NotAuthenticated
from shared.domain.tenants import Keyring, Principal, Scope


class Authentication:
    """Turns the key a request carries into the principal who holds it."""

    def __init__(self, keyring: Keyring) -> None:
        """``keyring`` knows the keys."""
        self._keyring = keyring

    async def principal(self, connection: HTTPConnection, *scopes: Scope) -> Principal:
        """Give who is asking. ``scopes``: what the key must allow; none: anyone who has a key may.

        Raises:
            NotAuthenticated: there is no key, or nobody holds it.
            NotAllowed: the key lacks a scope.
            StoreUnavailable: nobody can tell.
        """
        return await self.principal_of(connection.headers, *scopes)

    async def principal_of(self, headers: Mapping[str, str], *scopes: Scope) -> Principal:
        """As ``principal``, for headers whose names are in lower case, however they came."""
        key = _key(headers)
        if not key:
            raise NotAuthenticated("No API key was sent. Send it as `Authorization: Bearer fb-…` or as `x-api-key`.")
        principal = await self._keyring.principal(key)
        if principal is None:
            raise NotAuthenticated("The API key is not known here.")
        for scope in scopes:
            if scope not in principal.scopes:
                raise NotAllowed(f"This API key may not do that: it lacks the scope `{scope}`; {_has(principal)}.")
        return principal


def _key(headers: Mapping[str, str]) -> str:
    scheme, _, credential = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credential.strip()
    return headers.get("x-api-key", "").strip()


def _has(principal: Principal) -> str:
    return f"it has {', '.join(f'`{scope}`' for scope in Scope if scope in principal.scopes)}"

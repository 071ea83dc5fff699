"""An object store of the test's own that speaks S3's wire, over real HTTP, and can be told to be away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from xml.sax.saxutils import escape, unescape

from aiohttp import web

from tests.servers.web import serving

_PAGE = 1_000


class ObjectServer:
    """A server with any bucket.

    kept: contents by ``<bucket>/<key>``. is_away: every call gets a 503. is_empty: there is no bucket at all.
    """

    def __init__(self) -> None:
        self.url = ""
        self.kept: dict[str, bytes] = {}
        self.is_away = False
        self.is_empty = False

    @property
    def settings(self) -> dict[str, str]:
        """The environment in which S3 is this server."""
        return {
            "AWS_ENDPOINT": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "access",
            "AWS_SECRET_ACCESS_KEY": "canary-secret",
            "AWS_REGION": "us-east-1",
        }

    async def answer(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if self.is_away:
            return web.Response(status=503)
        if self.is_empty:
            return _xml("<Error><Code>NoSuchBucket</Code></Error>", 404)
        if request.method == "PUT":
            self.kept[name] = await request.read()
            return web.Response(headers={"etag": '"1"'})
        if request.method == "POST":
            return self._remove(name, await request.text())
        return self._list(name, request) if "list-type" in request.query else self._give(name)

    def _remove(self, bucket: str, said: str) -> web.Response:
        """Remove several objects at once, which is how a client removes one."""
        keys = [part.partition("</Key>")[0] for part in said.split("<Key>")[1:]]
        for key in keys:
            self.kept.pop(f"{bucket.rstrip('/')}/{unescape(key)}", None)
        return _xml(f"<DeleteResult>{''.join(f'<Deleted><Key>{key}</Key></Deleted>' for key in keys)}</DeleteResult>")

    def _give(self, name: str) -> web.Response:
        if name not in self.kept:
            return _xml("<Error><Code>NoSuchKey</Code></Error>", 404)
        return web.Response(body=self.kept[name], headers={"etag": '"1"', "last-modified": _now("%a, %d %b %Y %T GMT")})

    def _list(self, bucket: str, request: web.Request) -> web.Response:
        prefix = f"{bucket.rstrip('/')}/{request.query.get('prefix', '')}"
        after = request.query.get("continuation-token") or request.query.get("start-after") or ""
        start = len(bucket.rstrip("/")) + 1
        keys = sorted(name[start:] for name in self.kept if name.startswith(prefix) and name[start:] > after)
        if request.query.get("delimiter"):
            return _folders(request.query.get("prefix", ""), keys)
        shown, more = keys[:_PAGE], keys[_PAGE:]
        token = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if more else ""
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{_now('%Y-%m-%dT%H:%M:%S.000Z')}</LastModified>"
            f'<ETag>"1"</ETag><Size>{len(self.kept[f"{prefix[:start]}{key}"])}</Size></Contents>'
            for key in shown
        )
        return _xml(
            f"<ListBucketResult><IsTruncated>{str(bool(more)).lower()}</IsTruncated>{token}{contents}</ListBucketResult>"
        )


def _folders(prefix: str, keys: list[str]) -> web.Response:
    folders = sorted({prefix + key[len(prefix) :].partition("/")[0] + "/" for key in keys if "/" in key[len(prefix) :]})
    shown = "".join(f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in folders)
    return _xml(f"<ListBucketResult><IsTruncated>false</IsTruncated>{shown}</ListBucketResult>")


@asynccontextmanager
async def object_server() -> AsyncIterator[ObjectServer]:
    """Run one until the block ends."""
    server = ObjectServer()
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{name:.+}", server.answer)
    async with serving(app) as url:
        server.url = url
        yield server


def _now(shape: str) -> str:
    return datetime.fromtimestamp(1_790_000_000, UTC).strftime(shape)


def _xml(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="application/xml")

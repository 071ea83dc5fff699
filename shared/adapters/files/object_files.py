"""Files in a local folder, or in an object store: S3 and what speaks like it, Google Cloud Storage, Azure."""

import asyncio
import heapq
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from shared.domain.errors import ConfigurationError, FilesUnavailable, NotFound
from shared.domain.files import FileReference, FoundFile

DEADLINE_S: Final = 10.0
"""Seconds for writing, reading or listing."""

DELETE_DEADLINE_S: Final = 2.0
"""Seconds for removing a file: nobody should wait for that, and what stays is removed later."""

MARK: Final = "forebay-files"
"""A file that is there wherever one of us wrote: without it, a missing file says only that we look at the wrong place."""

_AT_ONCE: Final = 500
"""Files that one step of a listing brings."""

_SCHEMES: Final = ("file", "s3", "gs", "az")
_ALLOWED: Final = "a file:///folder, s3://bucket, gs://bucket or az://container URL"
_RETRIES: Final[Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=5)}


class ObjectFiles:
    """Implements ``Files``."""

    def __init__(self, url: str) -> None:
        """``url``: where; credentials come from the provider's usual environment variables. Nothing is called yet.

        Raises:
            ConfigurationError: the URL cannot be used.
        """
        self._store = _store(url)
        self._root = self._store.prefix if isinstance(self._store, LocalStore) else None
        self._is_marked = False

    async def put(self, path: str, content: bytes) -> FileReference:
        """Keep the content, flushed to the disk where that is a local folder."""
        if not self._is_marked:
            await self._write(MARK, b"")
            self._is_marked = True
        await self._write(path, content)
        return FileReference(path, len(content))

    async def get(self, path: str) -> bytes:
        """Give the content. Raises ``NotFound``."""
        try:
            return await self._read(path)
        except NotFound:
            await self._require_the_right_place()
            raise

    async def delete(self, path: str) -> None:
        """Remove a file."""
        try:
            async with _translated(DELETE_DEADLINE_S):
                await obstore.delete_async(self._store, path)
        except NotFound:
            pass

    async def folders(self, folder: str) -> list[str]:
        """Give the folders in a folder."""
        async with _in_a_place_that_exists(), _translated(DEADLINE_S):
            found = await obstore.list_with_delimiter_async(self._store, f"{folder}/")
        return sorted(found["common_prefixes"])

    async def list(self, folder: str, after: str | None, limit: int) -> list[FoundFile]:
        """Give files in the order of their paths. A local folder has none of its own, so it is read to its end."""
        stops_early = self._root is None
        found: list[FoundFile] = []
        async with _in_a_place_that_exists(), _translated(DEADLINE_S):
            async for files in obstore.list(self._store, f"{folder}/", offset=after, chunk_size=_AT_ONCE):
                found += [FoundFile(each["path"], each["last_modified"].timestamp()) for each in files]
                if len(found) >= 2 * limit:  # of a local folder, which may hold any number of them
                    found = _first(found, limit)
                if stops_early and len(found) >= limit:
                    break
        return _first(found, limit)

    async def _write(self, path: str, content: bytes) -> None:
        async with _in_a_place_that_exists(), _translated(DEADLINE_S):
            await obstore.put_async(self._store, path, content)
            if self._root is not None:
                await asyncio.to_thread(_flush, self._root, path)

    async def _read(self, path: str) -> bytes:
        async with _translated(DEADLINE_S):
            found = await obstore.get_async(self._store, path)
            return bytes(await found.bytes_async())

    async def _require_the_right_place(self) -> None:
        try:
            await self._read(MARK)
        except NotFound:
            raise FilesUnavailable(
                "The file store of `FOREBAY_FILES_URL` is not the one that the others write to, or its disk is not there."
            ) from None


async def what_is_wrong(files: ObjectFiles) -> str | None:
    """Write, read and remove a file; give what an operator has to know; None: it works."""
    path = f"checks/{secrets.token_hex(8)}"
    try:
        await files.put(path, b"written")
        await files.get(path)
        await files.delete(path)
    except (FilesUnavailable, NotFound) as error:
        said = str(error.__cause__ or "").partition("\n")[0]
        return f"{error.message} {said}".strip()
    return None


@asynccontextmanager
async def _in_a_place_that_exists() -> AsyncIterator[None]:
    """Say what it is that is not found where no single file was asked for."""
    try:
        yield
    except NotFound as error:
        raise FilesUnavailable("The bucket or folder of `FOREBAY_FILES_URL` does not exist.") from error.__cause__


@asynccontextmanager
async def _translated(deadline_s: float) -> AsyncIterator[None]:
    """Give a block a deadline, and its failures our names: the only place that knows the library's errors."""
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except FileNotFoundError as error:
        raise NotFound("There is no such file.") from error
    except TimeoutError as error:
        raise FilesUnavailable("The file store did not answer in time.") from error
    except (BaseError, OSError) as error:
        # The library's own words hold addresses and paths.
        raise FilesUnavailable(f"The file store cannot be reached ({type(error).__name__}).") from error


def _first(found: list[FoundFile], limit: int) -> list[FoundFile]:
    return heapq.nsmallest(limit, found, key=lambda each: each.path)


def _store(url: str) -> ObjectStore:
    scheme = urlsplit(url).scheme
    if scheme not in _SCHEMES:
        raise ConfigurationError("FOREBAY_FILES_URL", f"{scheme}://…" if scheme else "…, without a scheme", _ALLOWED)
    try:
        if scheme == "file":
            return LocalStore.from_url(url, mkdir=True)
        return from_url(url, retry_config=_RETRIES)
    except (BaseError, OSError, ValueError) as error:
        # Only the first line: the others are the library's own notes.
        said = str(error).partition("\n")[0]
        raise ConfigurationError("FOREBAY_FILES_URL", f"{scheme}://…", f"{_ALLOWED} ({said})") from error


def _flush(root: Path, path: str) -> None:
    """See to it that a file, and the folders that lead to it, survive a power cut."""
    file = root / path
    for place in (file, *file.parents):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if place == root:
            return

"""The file store's contract, on a local folder and on a server that speaks S3's wire."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from obstore import exceptions

from shared.adapters.files.object_files import ObjectFiles, what_is_wrong
from shared.domain.errors import ConfigurationError, FilesUnavailable, NotFound
from shared.domain.files import FileReference
from tests.servers.objects import ObjectServer, object_server

BIG = os.urandom(5 * 1024 * 1024)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ObjectServer]:
    async with object_server() as server:
        for name, value in server.settings.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return (tmp_path / "a folder").as_uri()
    request.getfixturevalue("server")
    return "s3://bucket/some/prefix"


@pytest.fixture
def files(url: str) -> ObjectFiles:
    return ObjectFiles(url)


async def test_what_was_put_is_given_back_to_every_process(files: ObjectFiles, url: str) -> None:
    assert await files.put("requests/day/team/job_1.json", BIG) == FileReference(
        "requests/day/team/job_1.json", len(BIG)
    )
    assert await ObjectFiles(url).get("requests/day/team/job_1.json") == BIG


async def test_a_file_that_is_put_again_is_the_later_one(files: ObjectFiles) -> None:
    await files.put("requests/a.json", b"one")
    await files.put("requests/a.json", b"another")
    assert await files.get("requests/a.json") == b"another"


async def test_a_deleted_file_is_not_found_and_may_be_deleted_again(files: ObjectFiles) -> None:
    await files.put("requests/a.json", b"{}")
    await files.delete("requests/a.json")
    await files.delete("requests/a.json")
    with pytest.raises(NotFound):
        await files.get("requests/a.json")


async def test_names_with_escapes_and_foreign_letters_are_kept_apart(files: ObjectFiles) -> None:
    for path in ("requests/a%2Fb/x.json", "requests/a/b/x.json", "requests/%C3%BC/x.json"):
        await files.put(path, path.encode())
        assert await files.get(path) == path.encode()
    assert len(await files.list("requests", None, 10)) == 3


async def test_a_listing_goes_on_in_the_order_of_the_paths(files: ObjectFiles) -> None:
    names = [f"requests/{day}/t/job_{number}.json" for day in ("2026-01-02", "2026-01-10") for number in range(3)]
    for name in reversed([*names, "results/2026-01-01/t/job_1.1.json"]):
        await files.put(name, b"{}")
    first = await files.list("requests", None, 4)
    assert [found.path for found in first] == names[:4]
    assert [found.path for found in await files.list("requests", first[-1].path, 4)] == names[4:]
    assert all(found.modified_at > 1_700_000_000 for found in first)


async def test_a_folder_names_those_in_it_and_none_below_them(files: ObjectFiles) -> None:
    for name in ("requests/2026-01-10/t/a.json", "requests/2026-01-02/t/b.json", "requests/c.json", "results/d/e.json"):
        await files.put(name, b"{}")
    assert await files.folders("requests") == ["requests/2026-01-02", "requests/2026-01-10"]


async def test_an_empty_file_store_lists_nothing(files: ObjectFiles) -> None:
    assert await files.folders("requests") == []
    assert await files.list("requests", None, 10) == []


async def test_no_path_leads_out_of_the_file_store(files: ObjectFiles) -> None:
    with pytest.raises(ValueError, match="path"):
        await files.get("requests/../../etc/passwd")


async def test_a_place_that_nobody_wrote_to_does_not_say_that_a_file_is_gone(tmp_path: Path) -> None:
    """As a disk that is not mounted, or a folder that each role has for itself."""
    with pytest.raises(FilesUnavailable, match="FOREBAY_FILES_URL"):
        await ObjectFiles((tmp_path / "another").as_uri()).get("requests/a.json")


async def test_a_server_that_is_away_is_unavailable_and_nothing_of_ours_is_told(server: ObjectServer) -> None:
    files = ObjectFiles("s3://bucket")
    server.is_away = True
    calls = [
        files.put("requests/a", b"{}"),
        files.get("requests/a"),
        files.delete("requests/a"),
        files.list("requests", None, 1),
        files.folders("requests"),
    ]
    for call in calls:
        with pytest.raises(FilesUnavailable) as caught:
            await call
        assert server.url not in caught.value.message
    wrong = await what_is_wrong(files)
    assert wrong is not None
    assert "503" in wrong
    assert "canary" not in wrong


async def test_a_bucket_that_does_not_exist_is_no_missing_file(server: ObjectServer) -> None:
    files = ObjectFiles("s3://bucket")
    server.is_empty = True
    calls = [files.put("requests/a", b"{}"), files.get("requests/a"), files.list("requests", None, 1)]
    for call in calls:
        with pytest.raises(FilesUnavailable):
            await call
    assert str(await what_is_wrong(files)).startswith("The bucket or folder of `FOREBAY_FILES_URL` does not exist.")


async def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    files = ObjectFiles((tmp_path / "folder").as_uri())
    (tmp_path / "folder").rmdir()
    (tmp_path / "folder").touch()
    with pytest.raises(FilesUnavailable):
        await files.put("requests/a.json", b"{}")
    assert await what_is_wrong(files) is not None


async def test_a_good_file_store_is_left_as_it_was_by_a_look_at_it(files: ObjectFiles) -> None:
    assert await what_is_wrong(files) is None
    assert await files.list("checks", None, 1) == []


@pytest.mark.parametrize(
    "url", ["ftp://u:canary@host/x", "/a/folder", "file://relative", "s3://", "az://", "memory:///"]
)
def test_a_url_that_cannot_be_used_is_refused_with_what_can(url: str) -> None:
    with pytest.raises(ConfigurationError, match="s3://bucket") as caught:
        ObjectFiles(url)
    assert "canary" not in caught.value.message


def test_every_error_of_the_library_is_one_that_is_translated() -> None:
    """Its other errors are Python's own: FileNotFoundError, PermissionError, …"""
    named = [getattr(exceptions, name) for name in dir(exceptions) if name.endswith("Error")]
    assert len(named) > 10
    assert [error for error in named if not issubclass(error, exceptions.BaseError)] == []

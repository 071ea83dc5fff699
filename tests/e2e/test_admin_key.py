"""The administrator's key that ``forebay up`` makes at its first start."""

from pathlib import Path

import aiohttp

from tests.e2e.processes import forebay, up, write_config


async def test_the_key_made_at_the_first_start_is_shown_once_and_stays_good(tmp_path: Path) -> None:
    config = write_config(tmp_path, "http://127.0.0.1:9")
    async with forebay(*up(config, tmp_path), settings={}) as first:
        key = first.ready["new_admin_key"]
        assert await _status(first.ready["url"], key) == 200
        assert await first.stop() == 0
    kept = tmp_path / "data" / "admin-key.sha256"
    assert key not in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0
    async with forebay(*up(config, tmp_path), settings={}) as again:
        assert again.ready["new_admin_key"] is None
        assert await _status(again.ready["url"], key) == 200


async def _status(url: str, key: str) -> int:
    headers = {"authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession() as session, session.get(f"{url}/v1/keys", headers=headers) as response:
        return response.status

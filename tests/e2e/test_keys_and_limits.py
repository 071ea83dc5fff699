"""Keys and limits in a whole installation, over a restart."""

from pathlib import Path

import pytest
import yaml

from forebay.client import ApiError, AsyncClient
from tests.e2e.processes import ADMIN_KEY, forebay, up, write_config
from tests.servers.provider import simulated_provider

SETTINGS = {"FOREBAY_ADMIN_KEY": ADMIN_KEY, "FOREBAY_LOG_LEVEL": "debug"}


async def answered(url: str, key: str, text: str) -> str:
    """Submit a question; give the status of its job once it is finished."""
    async with AsyncClient(url, key) as client:
        job = await client.submit({"request": {"model": "sim", "messages": [{"role": "user", "content": text}]}})
        return str((await client.wait_for_job(job["id"]))["status"])


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_a_key_and_what_was_spent_with_it_outlive_a_restart_and_the_key_is_written_nowhere(
    tmp_path: Path,
) -> None:
    async with simulated_provider() as provider:
        config = write_config(tmp_path, provider.url)
        document = yaml.safe_load(config.read_text())
        document["forebay"] |= {"teams": {"green": {"rpd": 2, "tpd": 1_000_000}}, "limits": {"tpd": 9_000_000}}
        config.write_text(yaml.safe_dump(document))

        async with forebay(*up(config, tmp_path), settings=SETTINGS) as first:
            async with AsyncClient(first.ready["url"], ADMIN_KEY) as admin:
                made = await admin.create_key({"team": "green", "name": "nightly"})
            assert await answered(first.ready["url"], made["key"], "one") == "succeeded"
            assert await first.stop() == 0

        async with forebay(*up(config, tmp_path), settings=SETTINGS) as second:
            url = second.ready["url"]
            assert await answered(url, made["key"], "two") == "succeeded"
            with pytest.raises(ApiError, match="team green: 2 requests per day") as over:
                await answered(url, made["key"], "three")
            assert over.value.status == 429
            assert over.value.retry_after_s == pytest.approx(43_200, abs=600)
            assert await answered(url, ADMIN_KEY, "four") == "succeeded"
            assert await second.stop() == 0

    secret = made["key"].removeprefix("fb-").encode()
    written = files_below(tmp_path)
    assert any(made["id"].encode() in body for body in written.values())
    assert {name for name, body in written.items() if secret in body} == set()
    assert secret not in first.said + second.said

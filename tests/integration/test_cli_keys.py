"""``forebay keys`` against a real API."""

import asyncio
import json

import pytest
from typer.testing import CliRunner, Result

from forebay.cli.app import app
from forebay.client import AsyncClient, Client
from tests.integration.api_rig import ADMIN_KEY, KEY, Api


async def forebay(api: Api, *arguments: str, key: str = ADMIN_KEY, **environment: str) -> Result:
    runner = CliRunner(env={"FOREBAY_URL": api.url, "FOREBAY_API_KEY": key, **environment})
    return await asyncio.to_thread(runner.invoke, app, list(arguments))


async def test_a_key_that_is_made_is_all_that_goes_to_stdout(api: Api) -> None:
    made = await forebay(api, "keys", "create", "--team", "green")
    assert made.exit_code == 0
    assert "shown only this once" in made.stderr
    assert (await api.submit(key=made.stdout.strip())).status == 202


async def test_every_flag_becomes_a_member_of_the_key(api: Api) -> None:
    flags = "--name n --scope read --scope submit --rpm 1 --tpm 2 --rpd 3 --tpd 4 --on-limit queue"
    caps = "--max-input-tokens 5 --max-output-tokens 6 --json"
    made = await forebay(api, "keys", "create", "--team", "green", *flags.split(), *caps.split())
    key = json.loads(made.stdout)
    assert (key["name"], key["scopes"], key["on_limit"]) == ("n", ["submit", "read"], "queue")
    assert key["limits"] == {"rpm": 1, "tpm": 2, "rpd": 3, "tpd": 4}
    assert (key["max_input_tokens"], key["max_output_tokens"]) == (5, 6)


async def test_keys_are_listed_and_revoked(api: Api) -> None:
    made = [await forebay(api, "keys", "create", "--team", team, "--json") for team in ("green", "green", "white")]
    ids = [json.loads(key.stdout)["id"] for key in made]
    listed = json.loads((await forebay(api, "keys", "list", "--team", "green", "--json")).stdout)["data"]
    assert {key["id"] for key in listed} == set(ids[:2])
    assert len(json.loads((await forebay(api, "keys", "list", "-n", "2", "--json")).stdout)["data"]) == 2
    revoked = await forebay(api, "keys", "revoke", ids[0])
    assert revoked.stdout == f"{ids[0]} of team green is revoked\n"
    table = (await forebay(api, "keys", "list")).stdout
    assert all(key_id in table for key_id in ids)
    assert "fb-" in table


async def test_no_keys_are_no_table(api: Api) -> None:
    for arguments in (("keys", "list"), ("keys", "list", "--team", "green")):
        listed = await forebay(api, *arguments)
        assert (listed.exit_code, listed.stdout) == (0, "")
        assert "no keys" in listed.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("keys", "revoke", "key_01k9zzzzzzzzzzzzzzzzzzzzzz"), "There is no key"),
        (("keys", "revoke", "no such key?#"), "There is no key"),
        (("keys", "create", "--team", " a"), "without spaces"),
    ],
)
async def test_what_the_server_refuses_is_one_line_and_status_1(
    api: Api, arguments: tuple[str, ...], said: str
) -> None:
    result = await forebay(api, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


async def test_an_ordinary_key_is_told_what_it_lacks(api: Api) -> None:
    result = await forebay(api, "keys", "list", key=KEY)
    assert result.exit_code == 1
    assert "lacks the scope `admin`" in result.stderr


async def test_the_clients_make_list_and_revoke_keys(api: Api) -> None:
    async with AsyncClient(api.url, ADMIN_KEY) as client:
        made = [await client.create_key({"team": "green"}) for _ in range(5)]
        assert {key["id"] async for key in client.keys("green", page=2)} == {key["id"] for key in made}
        assert (await client.revoke_key(made[0]["id"]))["revoked_at"] is not None

    def without_a_loop() -> tuple[int, str]:
        with Client(api.url, ADMIN_KEY) as client:
            client.revoke_key(client.create_key({"team": "white"})["id"])
            return len(list(client.keys())), next(client.keys("white"))["team"]

    assert await asyncio.to_thread(without_a_loop) == (6, "white")

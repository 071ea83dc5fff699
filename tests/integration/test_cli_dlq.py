"""``forebay dlq`` against a real API."""

import json
import re

import pytest

from shared.domain.job import Attempt
from shared.domain.lanes import JobClass, QueueName
from shared.domain.work_queue import REJECTION, Message
from tests.integration.api_rig import KEY, TEAM, Api
from tests.integration.test_api_dead_letters import FAILURE, failed, listed
from tests.integration.test_cli_keys import forebay

STANDARD = QueueName("gpt-4o-mini", JobClass("standard"))


async def test_dead_letters_are_listed_shown_replayed_and_dropped(api: Api) -> None:
    specs = [await failed(api) for _ in range(3)]
    table = (await forebay(api, "dlq", "list")).stdout
    assert all(spec.id in table for spec in specs)
    assert "overloaded" in table
    found = json.loads((await forebay(api, "dlq", "list", "--team", TEAM, "-n", "2", "--json")).stdout)
    assert [letter["id"] for letter in found["data"]] == [spec.id for spec in specs[:2]]
    shown = await forebay(api, "dlq", "show", specs[0].id)
    assert "gpt-4o-mini-1" in shown.stdout
    assert "rivers" not in shown.stdout
    assert "rivers" in (await forebay(api, "dlq", "show", specs[0].id, "--request")).stdout
    assert (await forebay(api, "dlq", "replay", specs[0].id)).stdout == "1 replayed, 0 kept\n"
    assert (await forebay(api, "dlq", "drop", specs[1].id)).stdout == "1 dropped\n"
    done = json.loads((await forebay(api, "dlq", "replay", "--reason", "overloaded", "--json")).stdout)
    assert done["replayed"] == 1
    assert [each.message.job_id for each in api.queue.published] == [specs[0].id, specs[2].id]
    assert await listed(api) == []


async def test_what_cannot_be_replayed_is_named_with_its_reason(api: Api) -> None:
    await api.queue.bury(Message(b"?", ""), "not JSON", STANDARD)
    replayed = await forebay(api, "dlq", "replay", "--all")
    assert (replayed.exit_code, replayed.stdout) == (0, "0 replayed, 1 kept\n")
    assert "no job in it" in replayed.stderr
    assert (await forebay(api, "dlq", "drop", "--all")).stdout == "1 dropped\n"
    empty = await forebay(api, "dlq", "list")
    assert (empty.exit_code, empty.stdout, empty.stderr) == (0, "", "There are no dead letters.\n")


@pytest.mark.parametrize(
    ("arguments", "key", "said"),
    [(("dlq", "replay", "job_1"), "fb-admin", "There is no dead letter"), (("dlq", "list"), KEY, "scope `admin`")],
    ids=["no such letter", "no administrator"],
)
async def test_a_refusal_is_one_line(api: Api, arguments: tuple[str, ...], key: str, said: str) -> None:
    refused = await forebay(api, *arguments, key=key)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1


async def test_two_ways_to_choose_are_refused_as_two(api: Api) -> None:
    both = await forebay(api, "dlq", "replay", "--all", "--model", "broken")
    assert both.exit_code == 2
    assert "--model and --all exclude each other" in " ".join(both.stderr.replace("│", " ").split())


async def test_a_rejected_submission_says_so_in_the_words_of_its_sender(api: Api) -> None:
    sentence = "The body must be a JSON object."
    envelope = b'{"priorty": "bulk"}'
    await api.queue.bury(Message(envelope, "", {REJECTION: sentence}), "invalid_json")
    [letter] = json.loads((await forebay(api, "dlq", "list", "--reason", "invalid_json", "--json")).stdout)["data"]
    shown = (await forebay(api, "dlq", "show", letter["id"], "--request")).stdout
    assert sentence in shown
    assert "It is a rejected submission, whose key is not kept; publish it again." in shown
    assert "envelope" not in shown
    assert f"body        {json.dumps(envelope.decode())}" in shown
    replayed = await forebay(api, "dlq", "replay", letter["id"])
    assert replayed.exit_code == 1
    assert "publish it again" in replayed.stderr


async def test_a_letter_shows_why_its_job_failed_and_when_each_attempt_ended(api: Api) -> None:
    spec = await failed(api)
    shown = (await forebay(api, "dlq", "show", spec.id, "--request")).stdout.splitlines()
    assert "error       It broke." in shown
    [attempt] = [line for line in shown if line.startswith("attempt ")]
    assert " to " in attempt
    assert attempt.endswith("Z  gpt-4o-mini-1  overloaded")
    assert any(line.startswith('request     {"') for line in shown)


async def test_a_letter_shows_where_in_the_history_of_its_job_a_replay_began(api: Api) -> None:
    spec = await failed(api)
    await forebay(api, "dlq", "replay", spec.id)
    claim = await api.store.claim(spec, "worker-2")
    again = Attempt("gpt-4o-mini-2", spec.created_at, spec.created_at + 1, "timed_out")
    assert await api.store.finish(spec, claim.fence, FAILURE, (again,))
    await api.queue.bury(api.queue.published[0].message, "timed_out", STANDARD)
    shown = (await forebay(api, "dlq", "show", spec.id)).stdout.splitlines()
    history = [line.split()[0] for line in shown if line.startswith(("attempt ", "replay "))]
    assert history == ["attempt", "replay", "attempt"]


async def test_a_list_of_jobs_keeps_its_moments_whole_and_its_errors_short(api: Api) -> None:
    await failed(api)
    narrow = (await forebay(api, "jobs", key=KEY, COLUMNS="100")).stdout
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", narrow)
    assert max(map(len, narrow.splitlines())) <= 100
    wide = (await forebay(api, "jobs", key=KEY, COLUMNS="200")).stdout
    assert "overloaded" in wide
    assert "It broke." not in wide

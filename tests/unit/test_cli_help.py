"""What every command says of itself, and how wrong usage ends."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from forebay.cli.app import COMMANDS, app
from forebay.cli.command import Command

runner = CliRunner(env={"FOREBAY_URL": None, "FOREBAY_API_KEY": None, "FOREBAY_ADMIN_KEY": None})

HEAVY = ("aiohttp", "fastapi", "litellm", "pydantic", "redis", "rich", "uvicorn")

AGREED = {
    "up",
    "api",
    "worker",
    "scheduler",
    "couriers",
    "demo",
    "submit",
    "watch",
    "jobs",
    "cancel",
    "keys create",
    "keys list",
    "keys revoke",
    "lanes",
    "schedule",
    "dlq list",
    "dlq show",
    "dlq replay",
    "dlq drop",
    "check",
    "simulate-provider",
}


def test_every_command_of_the_contract_is_there() -> None:
    assert {command.name for command in COMMANDS} >= AGREED


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_help_of_a_command_ends_with_an_example_of_it(command: Command) -> None:
    result = runner.invoke(app, [*command.name.split(), "--help"])
    assert result.exit_code == 0
    _, _, examples = result.stdout.partition("Example")
    assert f"forebay {command.name}" in examples


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_an_unknown_flag_is_wrong_usage(command: Command) -> None:
    result = runner.invoke(app, [*command.name.split(), "--no-such-flag"])
    assert result.exit_code == 2
    assert "--no-such-flag" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["submit"],
        ["submit", "there-is-no-such-file.jsonl"],
        ["submit", "requests.jsonl", "--priority", "urgent"],
        ["watch"],
        ["cancel", "batch_01k9b6x0v5e8m3t2r7q4w1y9za"],
        ["jobs", "--limit", "0"],
        ["keys"],
        ["keys", "make"],
        ["keys", "create"],
        ["keys", "create", "--team", "a", "--scope", "write"],
        ["keys", "create", "--team", "a", "--rpm", "-1"],
        ["keys", "create", "--team", "a", "--on-limit", "wait"],
        ["keys", "revoke"],
        ["keys", "revoke", "fb-the-key-itself"],
        ["dlq"],
        ["dlq", "show"],
        ["dlq", "replay"],
        ["dlq", "replay", "job_1", "--all"],
        ["dlq", "drop", "--team", "a", "--all"],
        ["lanes", "stop", "gpt-4o"],
        ["lanes", "pause"],
        ["lanes", "resume", "gpt-4o", "--watch"],
        ["jobs", "--status", "finished"],
        ["up", "--port", "70000"],
        ["simulate-provider", "--latency", "slow"],
        ["simulate-provider", "--latency", "2-1"],
        ["simulate-provider", "--error-rate", "2"],
        ["demo", "--requests", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_status_2(arguments: list[str]) -> None:
    assert runner.invoke(app, arguments).exit_code == 2


def test_the_version_is_shown() -> None:
    result = runner.invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("forebay 0.")


@pytest.mark.parametrize(
    "arguments",
    [["jobs"], ["watch", "job_1"], ["cancel", "job_1"], ["keys", "list"], ["lanes"], ["dlq", "list"]],
    ids=" ".join,
)
def test_without_a_key_the_error_says_where_to_get_one(arguments: list[str]) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "FOREBAY_API_KEY" in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_a_server_the_error_says_how_to_start_one(closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    result = runner.invoke(app, ["jobs"], env={"FOREBAY_URL": url, "FOREBAY_API_KEY": "fb-k"})
    assert result.exit_code == 1
    assert url in result.stderr
    assert "forebay up" in result.stderr
    assert "fb-k" not in result.stderr


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from forebay.cli.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        f"print(*({HEAVY!r} & sys.modules.keys()), file=sys.stderr)\n"
    ).replace(repr(HEAVY), repr(set(HEAVY)))
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert "Commands:" in done.stdout
    assert done.stderr.split() == []

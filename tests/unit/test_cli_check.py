"""``forebay check``: what it says and how it ends."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from forebay.cli.app import app

GOOD: dict[str, Any] = {
    "model_list": [
        {
            "model_name": "m",
            "litellm_params": {"model": "openai/m", "api_base": "http://127.0.0.1:9/v1", "api_key": "sk-canary"},
        }
    ]
}
LONG_KEY = "fb-a-key-that-is-long-and-random-enough"
UNSET = dict.fromkeys(
    ("FOREBAY_AMQP_URL", "FOREBAY_REDIS_URL", "FOREBAY_FILES_URL", "FOREBAY_CONFIG", "FOREBAY_LOG_LEVEL")
)


def check(folder: Path, document: Mapping[str, Any], *flags: str, **environment: str) -> Result:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(dict(document)))
    settings = UNSET | {"FOREBAY_ADMIN_KEY": LONG_KEY} | environment
    return CliRunner(env=settings).invoke(app, ["check", "--config", str(file), *flags])


def levels(result: Result) -> dict[str, str]:
    return {finding["path"]: finding["level"] for finding in json.loads(result.stdout)["findings"]}


def test_a_good_configuration_on_embedded_servers_passes(tmp_path: Path) -> None:
    result = check(tmp_path, GOOD)
    assert (result.exit_code, result.stdout) == (0, "Everything is as it should be.\n")


def test_what_has_no_effect_is_a_warning_and_passes(tmp_path: Path) -> None:
    result = check(tmp_path, GOOD | {"litellm_setings": {"cache": True}}, "--json")
    assert result.exit_code == 0
    assert levels(result) == {"litellm_setings": "warning"}


def test_a_wrong_value_fails_with_its_path(tmp_path: Path) -> None:
    wrong = GOOD | {"router_settings": {"num_retries": "many"}}
    result = check(tmp_path, wrong, "--json")
    assert result.exit_code == 1
    assert levels(result) == {"router_settings.num_retries": "error"}
    assert "router_settings.num_retries" in check(tmp_path, wrong).stdout


FIVE_WRONG: dict[str, Any] = {
    "model_list": [{"model_name": "m", "litellm_params": {"model": "openai/m", "rpm": "many", "weight": -1}}],
    "router_settings": {"num_retries": "many"},
    "litellm_settings": {"cache": "yes"},
    "forebay": {"retention": "5s"},
}
THEIR_PATHS = [
    "model_list[0].litellm_params.weight",
    "model_list[0].litellm_params.rpm",
    "router_settings.num_retries",
    "litellm_settings.cache",
    "forebay.retention",
]


def test_five_wrong_values_are_five_findings(tmp_path: Path) -> None:
    result = check(tmp_path, FIVE_WRONG, "--json")
    assert result.exit_code == 1
    assert levels(result) == dict.fromkeys(THEIR_PATHS, "error")


def test_a_start_with_five_wrong_values_ends_with_a_line_for_each(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(FIVE_WRONG))
    result = CliRunner(env=UNSET).invoke(app, ["worker", "--config", str(file)])
    assert result.exit_code == 1
    assert [line.split(": ")[:2] for line in result.stderr.splitlines()] == [["error", path] for path in THEIR_PATHS]


def test_a_role_without_servers_names_both_that_it_needs(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(GOOD))
    result = CliRunner(env=UNSET).invoke(app, ["worker", "--config", str(file)])
    assert result.exit_code == 1
    told = [line.split(": ")[1] for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert told == ["FOREBAY_AMQP_URL", "FOREBAY_REDIS_URL"]


def test_a_missing_file_fails(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.yaml")
    result = CliRunner(env=UNSET).invoke(app, ["check", "--config", missing, "--json"])
    assert result.exit_code == 1
    assert levels(result) == {missing: "error"}
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("FOREBAY_REDIS_URL", "redis://u:pw-canary@127.0.0.1:{port}/0"),
        ("FOREBAY_AMQP_URL", "amqp://u:pw-canary@127.0.0.1:{port}/"),
    ],
)
def test_a_server_that_is_not_there_fails_and_its_password_is_not_shown(
    tmp_path: Path, name: str, url: str, closed_port: int
) -> None:
    result = check(tmp_path, GOOD, "--json", **{name: url.format(port=closed_port)})
    assert result.exit_code == 1
    assert levels(result) == {name: "error"}
    assert "canary" not in result.output


@pytest.mark.parametrize(("redis", "amqp"), [("rds://", "http://"), ("", "")], ids=["another scheme", "none"])
def test_addresses_of_the_wrong_kind_are_findings_beside_the_others(tmp_path: Path, redis: str, amqp: str) -> None:
    urls = {
        "FOREBAY_REDIS_URL": f"{redis}u:pw-canary@127.0.0.1/0",
        "FOREBAY_AMQP_URL": f"{amqp}u:pw-canary@127.0.0.1/",
    }
    result = check(tmp_path, GOOD | {"litellm_setings": {}}, "--json", **urls)
    assert result.exit_code == 1
    assert levels(result) == {"litellm_setings": "warning"} | dict.fromkeys(urls, "error")
    assert "canary" not in result.output


def test_a_setting_that_cannot_be_is_one_line_and_hides_secrets(tmp_path: Path) -> None:
    result = check(tmp_path, GOOD, FOREBAY_LOG_LEVEL="loud")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: FOREBAY_LOG_LEVEL: found 'loud'")
    assert result.stderr.count("\n") == 1


def test_a_file_store_that_can_be_written_passes(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD, FOREBAY_FILES_URL=(tmp_path / "files").as_uri()).exit_code == 0


def test_a_file_store_that_cannot_be_written_is_an_error(tmp_path: Path, closed_port: int) -> None:
    aws = {"AWS_ENDPOINT": f"http://127.0.0.1:{closed_port}", "AWS_ALLOW_HTTP": "true"}
    secrets = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "canary"}
    result = check(tmp_path, GOOD, "--json", FOREBAY_FILES_URL="s3://bucket", **aws, **secrets)
    assert result.exit_code == 1
    assert levels(result) == {"FOREBAY_FILES_URL": "error"}
    assert "canary" not in result.output


def test_an_address_of_no_file_store_is_an_error(tmp_path: Path) -> None:
    result = check(tmp_path, GOOD, "--json", FOREBAY_FILES_URL="/somewhere")
    assert levels(result) == {"FOREBAY_FILES_URL": "error"}

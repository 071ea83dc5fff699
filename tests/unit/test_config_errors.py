from pathlib import Path
from typing import Any

import pytest

from shared.domain.errors import ConfigurationError
from shared.wire.config import load
from tests.unit.config_files import CONTRACT, entry, read, read_document

CANARY = "canary-5f3a"


def refusal(folder: Path, document: dict[str, Any], environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read_document(folder, document, environment)
    return raised.value.message


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"model_list": {}}, "model_list: found a mapping; allowed: a list"),
        ({"model_list": [7]}, "model_list[0]: found a number (not shown); allowed: a mapping"),
        (
            {"model_list": [{"model_name": "a"}]},
            "model_list[0].litellm_params: found nothing; allowed: a value: this key is required",
        ),
        ({"forebay": {"surplus_after": 0}}, "forebay.surplus_after: found 0; allowed: at least 1"),
        (
            {"forebay": {"webhooks": {"allow_networks": ["10.0.0.0/8", "10.0.0.1/8"]}}},
            "forebay.webhooks.allow_networks[1]: found '10.0.0.1/8'; allowed: a network such as 10.0.0.0/8 or fd00::/8 (host bits are set; did you mean 10.0.0.0/8?)",
        ),
        (
            {"forebay": {"webhooks": {"allow_networks": ["intranet"]}}},
            "forebay.webhooks.allow_networks[0]: found 'intranet'; allowed: a network such as 10.0.0.0/8 or fd00::/8",
        ),
        (
            {"forebay": {"webhooks": {"timeout": "90s"}}},
            "forebay.webhooks.timeout: found '90s'; allowed: from 1s to 1m, as a duration (30s, 1m) or a number of seconds",
        ),
        (
            {"forebay": {"webhooks": {"concurrency": "many"}}},
            "forebay.webhooks.concurrency: found 'many'; allowed: a whole number from 1 to 256",
        ),
        (
            {"forebay": {"webhooks": {"allow_networks": "10.0.0.0/8"}}},
            "forebay.webhooks.allow_networks: found '10.0.0.0/8'; allowed: a list of networks such as 10.0.0.0/8 or fd00::/8",
        ),
        (
            {"forebay": {"webhooks": {"concurrency": 0}}},
            "forebay.webhooks.concurrency: found 0; allowed: a whole number from 1 to 256",
        ),
        (
            {"forebay": {"webhooks": {"timeout": "2m"}}},
            "forebay.webhooks.timeout: found '2m'; allowed: from 1s to 1m, as a duration (30s, 1m) or a number of seconds",
        ),
        ({"forebay": {"backlog": {"max_jobs": 0}}}, "forebay.backlog.max_jobs: found 0; allowed: at least 1"),
        (
            {"model_list": [entry(), {**entry(), "model_name": "forebay.webhooks"}]},
            "model_list[1].model_name: found 'forebay.webhooks'; allowed: a name that does not begin with 'forebay.', as those of our own queues do",
        ),
        ({"model_list": [entry(rpm=-1)]}, "model_list[0].litellm_params.rpm: found -1; allowed: at least 0"),
        (
            {"model_list": [entry(rpm="many")]},
            "model_list[0].litellm_params.rpm: found 'many'; allowed: a whole number",
        ),
        ({"model_list": [entry(rpm=True)]}, "model_list[0].litellm_params.rpm: found True; allowed: a whole number"),
        ({"model_list": [entry(rpm=[1])]}, "model_list[0].litellm_params.rpm: found a list; allowed: a whole number"),
        (
            {"model_list": [entry(weight=-2)]},
            "model_list[0].litellm_params.weight: found -2; allowed: a number from 0 to 1000000",
        ),
        (
            {"model_list": [entry(timeout="soon")]},
            "model_list[0].litellm_params.timeout: found 'soon'; allowed: a duration such as 30s, 15m or 24h, or a number of seconds",
        ),
        (
            {"model_list": [entry(timeout=0)]},
            "model_list[0].litellm_params.timeout: found 0; allowed: more than 0 and at most 366 days, as a duration (30s, 15m, 24h) or a number of seconds",
        ),
        (
            {"model_list": [entry(input_cost_per_token=-1)]},
            "model_list[0].litellm_params.input_cost_per_token: found -1; allowed: US dollars per token, a number of at least 0, such as 0.00000015 or 1.5e-7",
        ),
        (
            {"model_list": [entry(api_base="ftp://x")]},
            "model_list[0].litellm_params.api_base: found text (not shown); allowed: a URL that begins with http:// or https:// and names no user or password (the credential is api_key)",
        ),
        (
            {"model_list": [entry(forebay_client="grpc")]},
            "model_list[0].litellm_params.forebay_client: found 'grpc'; allowed: 'http' or 'litellm'",
        ),
        (
            {"model_list": [entry("")]},
            "model_list[0].model_name: found ''; allowed: 1 to 200 bytes of printable text without spaces at its ends (it becomes part of queue names)",
        ),
        ({"router_settings": {"num_retries": 1.5}}, "router_settings.num_retries: found 1.5; allowed: a whole number"),
        ({"router_settings": {"num_retries": 101}}, "router_settings.num_retries: found 101; allowed: at most 100"),
        (
            {"router_settings": {"model_group_alias": {"a": 3}}},
            "router_settings.model_group_alias.a: found a number (not shown); allowed: a mapping",
        ),
        ({"litellm_settings": {"cache": "yes"}}, "litellm_settings.cache: found 'yes'; allowed: true or false"),
        (
            {"litellm_settings": {"cache_params": {"ttl": -5}}},
            "litellm_settings.cache_params.ttl: found -5; allowed: more than 0 and at most 366 days, as a duration (30s, 15m, 24h) or a number of seconds",
        ),
        (
            {"general_settings": {"master_key": 7}},
            "general_settings.master_key: found a number (not shown); allowed: printable text, without spaces at its ends",
        ),
        ({"forebay": {"priorities": {"bulk": 0}}}, "forebay.priorities.bulk: found 0; allowed: at least 1"),
        (
            {"forebay": {"worker": {"concurrency": 0}}},
            "forebay.worker.concurrency: found 0; allowed: a whole number from 1 to 10000",
        ),
        ({"forebay": {"retention": "5s"}}, "forebay.retention: found '5s'; allowed: at least 60"),
        (
            {"forebay": {"body_limit": "1GiB"}},
            "forebay.body_limit: found '1GiB'; allowed: from 1KiB to 15MiB, as a number of bytes or such as 4MiB",
        ),
        ({"forebay": []}, "forebay: found a list; allowed: a mapping"),
    ],
)  # fmt: skip - a case a line
def test_a_wrong_value_stops_the_start_with_its_path_what_was_found_and_what_is_allowed(
    tmp_path: Path, document: dict[str, Any], message: str
) -> None:
    assert refusal(tmp_path, document) == message


def told(folder: Path, document: dict[str, Any], environment: dict[str, str] | None = None) -> list[str]:
    """Everything that is said about a configuration that is refused."""
    with pytest.raises(ConfigurationError) as raised:
        read_document(folder, document, environment)
    return [wrong.message for wrong in raised.value.each]


def test_every_wrong_value_is_told_in_one_go(tmp_path: Path) -> None:
    wrong = {
        "model_list": [entry(rpm="many", api_key="os.environ/NOWHERE"), entry(api_base=CANARY, timeout=0)],
        "router_settings": {"num_retries": 101},
        "forebay": {"retention": "5s", "webhooks": {"allow_networks": ["intranet", "10.0.0.0/8", "10.0.0.1/8"]}},
    }
    assert told(tmp_path, wrong) == [
        "model_list[0].litellm_params.api_key: found a reference to the environment variable NOWHERE, which is not set; allowed: a value; set NOWHERE, or write one in its place",
        "model_list[0].litellm_params.rpm: found 'many'; allowed: a whole number",
        "model_list[1].litellm_params.api_base: found text (not shown); allowed: a URL that begins with http:// or https:// and names no user or password (the credential is api_key)",
        "model_list[1].litellm_params.timeout: found 0; allowed: more than 0 and at most 366 days, as a duration (30s, 15m, 24h) or a number of seconds",
        "router_settings.num_retries: found 101; allowed: at most 100",
        "forebay.retention: found '5s'; allowed: at least 60",
        "forebay.webhooks.allow_networks[0]: found 'intranet'; allowed: a network such as 10.0.0.0/8 or fd00::/8",
        "forebay.webhooks.allow_networks[2]: found '10.0.0.1/8'; allowed: a network such as 10.0.0.0/8 or fd00::/8 (host bits are set; did you mean 10.0.0.0/8?)",
    ]  # fmt: skip - a sentence a line


def test_all_that_does_not_fit_together_is_told_in_one_go(tmp_path: Path) -> None:
    without_address = {"model_name": "c", "litellm_params": {"model": "hosted_vllm/m", "input_cost_per_token": 1}}
    bedrock: dict[str, Any] = {"aws_session_token": "os.environ/ONE", "aws_secret_access_key": "os.environ/TWO"}
    wrong = {
        "model_list": [
            entry("forebay.a", info={"id": "same"}),
            entry("b", info={"id": "same"}),
            without_address,
            entry("d", model="bedrock/m", **bedrock),
        ],
        "router_settings": {
            "fallbacks": [{"b": ["c"]}, {"c": ["b"]}],
            "context_window_fallbacks": [{"c": ["d"]}, {"d": ["c"]}],
        },
    }
    assert [sentence.partition("; allowed")[0] for sentence in told(tmp_path, wrong)] == [
        "model_list[0].model_name: found 'forebay.a'",
        "model_list[1].model_info.id: found 'same'",
        "model_list[2].litellm_params.api_base: found nothing",
        "model_list[2].litellm_params.output_cost_per_token: found nothing",
        "model_list[3].litellm_params.aws_session_token: found a reference to the environment variable ONE, which is not set",
        "model_list[3].litellm_params.aws_secret_access_key: found a reference to the environment variable TWO, which is not set",
        "router_settings.fallbacks[0].b: found the loop b → c → b",
        "router_settings.context_window_fallbacks[0].c: found the loop c → d → c",
    ]  # fmt: skip - a sentence a line


def test_an_unknown_way_of_routing_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"router_settings": {"routing_strategy": "roulette"}})
    assert message.startswith(
        "router_settings.routing_strategy: found 'roulette'; allowed: 'simple-shuffle', 'least-busy'"
    )


@pytest.mark.parametrize(
    ("text", "where", "found"),
    [
        ("model_list:\n  - a: [1,\n", "line 3, column 1", "expected the node content"),
        ("a: b: c\n", "line 1, column 5", "mapping values are not allowed here"),
        ("a: 1\nforebay: {}\nforebay: {}\n", "line 3, column 1", "the same key twice"),
        ("a: 1\n\tb: 2\n", "line 2, column 1", "cannot start any token"),
        ("api_key: *canary-5f3a\n", "line 1, column 10", "found undefined alias '…'"),
        ("api_key: !canary-5f3a x\n", "line 1, column 10", "could not determine a constructor for the tag '…'"),
    ],
)
def test_a_fault_of_syntax_is_given_with_its_line_and_column(tmp_path: Path, text: str, where: str, found: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, text)
    assert f"config.yaml, {where}: " in raised.value.message
    assert found in raised.value.message
    assert CANARY not in raised.value.message


def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="found a list; allowed: a mapping"):
        read(tmp_path, "- a\n- b\n")


def test_a_value_that_contains_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="an alias inside its own anchor"):
        read(tmp_path, "model_list: &all\n  - *all\n")


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="allowed: a file that can be read"):
        load(tmp_path / name, {})


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(b"a: \xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="valid YAML in UTF-8"):
        load(file, {})


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"model_list": [entry(api_key="os.environ/NOWHERE")]}, "model_list[0].litellm_params.api_key"),
        ({"model_list": [entry(api_base="os.environ/NOWHERE")]}, "model_list[0].litellm_params.api_base"),
        (
            {"model_list": [entry(model="bedrock/m", aws_session_token="os.environ/NOWHERE")]},
            "model_list[0].litellm_params.aws_session_token",
        ),
        ({"general_settings": {"master_key": "os.environ/NOWHERE"}}, "general_settings.master_key"),
        ({"forebay": {"retention": "os.environ/NOWHERE"}}, "forebay.retention"),
        ({"forebay": {"worker": {"concurrency": "os.environ/NOWHERE"}}}, "forebay.worker.concurrency"),
        ({"router_settings": {"routing_strategy": "os.environ/NOWHERE"}}, "router_settings.routing_strategy"),
        ({"litellm_settings": {"cache": "os.environ/NOWHERE"}}, "litellm_settings.cache"),
        ({"model_list": [entry("os.environ/NOWHERE")]}, "model_list[0].model_name"),
        ({"model_list": [entry(weight="os.environ/NOWHERE")]}, "model_list[0].litellm_params.weight"),
        ({"model_list": "os.environ/NOWHERE"}, "model_list"),
    ],
)  # fmt: skip - a case a line
def test_a_variable_that_is_not_set_is_named_with_the_path_that_wants_it(
    tmp_path: Path, document: dict[str, Any], path: str
) -> None:
    assert refusal(tmp_path, document).startswith(
        f"{path}: found a reference to the environment variable NOWHERE, which is not set"
    )


def test_a_variable_that_only_an_unsupported_key_wants_may_be_missing(tmp_path: Path) -> None:
    document = {"model_list": [entry()], "general_settings": {"database_url": "os.environ/NOWHERE"}}
    assert read_document(tmp_path, document).warnings == (
        "general_settings.database_url: not supported yet; it has no effect.",
    )


def test_numbers_may_come_from_the_environment(tmp_path: Path) -> None:
    configuration = read_document(
        tmp_path, {"model_list": [entry(rpm="os.environ/RPM", weight="os.environ/W")]}, {"RPM": "60", "W": "2.5"}
    )
    (made,) = configuration.deployments
    assert (made.deployment.limits.requests_per_minute, made.deployment.weight) == (60, 2.5)


@pytest.mark.parametrize(
    "document",
    [
        {"model_list": [entry(api_key=[CANARY])]},
        {"model_list": [entry(api_key={"value": CANARY})]},
        {"model_list": [entry(api_base=f"http://user:{CANARY}@host/v1")]},
        {"model_list": [entry(api_base=CANARY)]},
        {"model_list": [entry(rpm="os.environ/SECRET")]},
        {"model_list": [entry(region_name=[CANARY])]},
        {"model_list": [{"litellm_params": {"api_key": CANARY}}]},
        {"model_list": [CANARY]},
        {"general_settings": {"master_key": f"{CANARY}\n"}},
        {"general_settings": CANARY},
        {"forebay": {"worker": "os.environ/SECRET"}},
    ],
)
def test_no_error_shows_a_secret(tmp_path: Path, document: dict[str, Any]) -> None:
    assert CANARY not in "\n".join(told(tmp_path, document, {"SECRET": CANARY}))


def test_no_repr_and_no_warning_shows_a_secret(tmp_path: Path) -> None:
    configuration = read_document(
        tmp_path,
        {
            "model_list": [
                entry(api_key="os.environ/SECRET", organisation=CANARY),
                entry(model="bedrock/m", aws_secret_access_key=CANARY, api_kee=CANARY),
            ],
            "general_settings": {"master_key": CANARY, "salt_key": CANARY},
            "litellm_settings": {"cache_params": {"password": CANARY}},
        },
        {"SECRET": CANARY},
    )
    assert len(configuration.warnings) == 4
    assert CANARY not in repr(configuration)
    assert CANARY not in repr(configuration.catalog(lambda _: None))
    assert CANARY not in "\n".join(configuration.warnings)


def test_a_syntax_fault_inside_the_documented_example_shows_nothing_of_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, CONTRACT + f'  teams: "{CANARY}\n')
    assert CANARY not in raised.value.message

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from shared.wire.config import load
from shared.wire.config_check import Finding, Level, findings
from tests.unit.config_files import entry, read_document

GOOD_KEY = SecretStr("fb-0123456789-0123456789")


def found(folder: Path, document: dict[str, Any], key: SecretStr | None = GOOD_KEY) -> list[tuple[Level, str]]:
    return [(finding.level, finding.path) for finding in findings(read_document(folder, document), key)]


def test_a_good_configuration_has_no_findings(tmp_path: Path) -> None:
    assert found(tmp_path, {"model_list": [entry(api_key="sk-1")]}) == []


def test_a_configuration_without_models_will_not_work() -> None:
    assert findings(load(None, {}), GOOD_KEY) == [
        Finding(Level.ERROR, "model_list", "there are no models; every request will be refused with model_not_found.")
    ]


def test_what_has_no_effect_is_a_finding(tmp_path: Path) -> None:
    document = {"model_list": [entry()], "forebay": {"bugdets": {}}}
    assert found(tmp_path, document) == [(Level.WARNING, "forebay.bugdets")]


@pytest.mark.parametrize("limit", ["rpm", "tpm", "max_parallel_requests"])
def test_a_limit_of_nothing_is_doubtful(tmp_path: Path, limit: str) -> None:
    path = f"model_list[0].litellm_params.{limit}"
    parameters: dict[str, Any] = {limit: 0}
    assert found(tmp_path, {"model_list": [entry(**parameters)]}).count((Level.WARNING, path)) == 1


@pytest.mark.parametrize(
    ("parameters", "key"),
    [
        ({"api_base": "https://llm.example.com/v1"}, "api_key"),
        ({"api_base": "http://llm.example.com/v1", "api_key": "sk-1"}, "api_base"),
        ({"weight": 0}, None),
    ],
)
def test_a_deployment_without_credential_or_cipher_is_doubtful(
    tmp_path: Path, parameters: dict[str, Any], key: str | None
) -> None:
    expected = [(Level.WARNING, f"model_list[0].litellm_params.{key}")] if key else []
    assert found(tmp_path, {"model_list": [entry(**parameters)]}) == expected


def test_a_deployment_that_is_only_a_last_resort_is_doubtful(tmp_path: Path) -> None:
    document = {"model_list": [entry(weight=1), entry(weight=0)]}
    assert found(tmp_path, document) == [(Level.WARNING, "model_list[1].litellm_params.weight")]


@pytest.mark.parametrize("deployments", [({"rpm": 0},), ({"rpm": 0}, {"max_parallel_requests": 0, "rpm": 10})])
def test_a_model_that_may_nowhere_be_called_will_not_work(
    tmp_path: Path, deployments: tuple[dict[str, Any], ...]
) -> None:
    document = {"model_list": [entry("free"), *(entry(**parameters) for parameters in deployments)]}
    assert (Level.ERROR, "model_list[1].model_name") in found(tmp_path, document)


def test_a_model_that_may_somewhere_be_called_works(tmp_path: Path) -> None:
    document = {"model_list": [entry(rpm=0), entry(rpm=1)]}
    assert Level.ERROR not in [level for level, _ in found(tmp_path, document)]


@pytest.mark.parametrize("fallbacks", [{"fallbacks": [{"fast": ["gone"]}]}, {"default_fallbacks": ["gone"]}])
def test_a_fallback_to_a_model_that_is_not_there_will_not_work(tmp_path: Path, fallbacks: dict[str, Any]) -> None:
    document = {"model_list": [entry()], "router_settings": fallbacks}
    path = "router_settings.fallbacks[0].fast" if "fallbacks" in fallbacks else "router_settings.default_fallbacks"
    assert found(tmp_path, document) == [(Level.ERROR, path)]


@pytest.mark.parametrize(
    ("here", "there", "doubts"),
    [
        (["eu"], ["us"], 1),
        (["eu-west-1", None], [None], 1),
        (["eu"], ["us", "EU"], 0),
        (["eu-west-1"], ["eu-central-1"], 0),
        ([None], ["us"], 0),
    ],
)
def test_a_fallback_without_a_region_in_common_is_doubtful(
    tmp_path: Path, here: list[str | None], there: list[str | None], doubts: int
) -> None:
    models = [
        *(entry("a", region_name=region) for region in here),
        *(entry("b", region_name=region) for region in there),
    ]
    document = {"model_list": models, "router_settings": {"fallbacks": [{"a": ["b"]}]}}
    assert found(tmp_path, document) == [(Level.WARNING, "router_settings.fallbacks[0].a")] * doubts


def test_an_admin_key_must_be_there_and_long(tmp_path: Path) -> None:
    document = {"model_list": [entry()]}
    weak = document | {"general_settings": {"master_key": "fb-short"}}
    assert found(tmp_path, document, None) == [(Level.WARNING, "FOREBAY_ADMIN_KEY")]
    assert found(tmp_path, weak, None) == [(Level.WARNING, "general_settings.master_key")]
    assert found(tmp_path, weak, GOOD_KEY) == []
    assert found(tmp_path, weak, SecretStr("short")) == [(Level.WARNING, "FOREBAY_ADMIN_KEY")]


def test_answers_that_outlive_their_jobs_are_doubtful(tmp_path: Path) -> None:
    document = {"model_list": [entry()], "litellm_settings": {"cache_params": {"ttl": "30d"}}}
    assert found(tmp_path, document) == [(Level.WARNING, "litellm_settings.cache_params.ttl")]


def test_a_finding_reads_as_a_line() -> None:
    assert str(Finding(Level.WARNING, "a.b", "is odd.")) == "warning: a.b: is odd."


@pytest.mark.parametrize(
    ("network", "says"),
    [
        ("0.0.0.0/0", "every IPv4 address"),
        ("::/0", "every IPv6 address"),
        ("127.0.0.0/8", "loopback"),
        ("0.0.0.0/1", "loopback"),
        ("::1/128", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("fe80::/10", "link-local"),
        ("169.254.169.254/32", "credentials"),
        ("fd00:ec2::254/128", "credentials"),
    ],
)
def test_allowing_webhooks_into_a_dangerous_network_is_doubtful(tmp_path: Path, network: str, says: str) -> None:
    webhooks = {"allow_networks": ["10.0.0.0/8", "fd00::/8", network]}
    [found] = findings(
        read_document(tmp_path, {"model_list": [entry(api_key="sk-1")], "forebay": {"webhooks": webhooks}}), GOOD_KEY
    )
    assert (found.level, found.path) == (Level.WARNING, "forebay.webhooks.allow_networks[2]")
    assert network in found.message
    assert says in found.message

from decimal import Decimal
from pathlib import Path

import pytest

from shared.domain.answer_cache import CacheMode, CachePolicy
from shared.domain.backlog import BacklogPolicy
from shared.domain.lanes import DEFAULT_WEIGHTS, Priority
from shared.domain.public_addresses import AllowedNetworks
from shared.domain.routing import ClientKind, ConfiguredLimits
from shared.domain.usage import Price
from shared.wire.config import NO_MODELS, WebhookSettings, load
from tests.unit.config_files import CONTRACT, entry, read, read_document

KEYS = {"OPENAI_API_KEY": "sk-one", "FOREBAY_ADMIN_KEY": "fb-one"}


def test_the_documented_example_loads(tmp_path: Path) -> None:
    configuration = read(tmp_path, CONTRACT, KEYS)
    lane = configuration.catalog(lambda _: None).lane("gpt-4o-mini")
    (deployment,) = lane.deployments
    assert deployment.client is ClientKind.HTTP
    assert deployment.api_key == "sk-one"
    assert deployment.api_base == "http://127.0.0.1:9000/v1"
    assert deployment.region == "eu"
    assert deployment.timeout_s == 120
    assert deployment.price == Price(Decimal("1.5e-7"), Decimal("6e-7"))
    assert deployment.limits == ConfiguredLimits(6000, 600_000, max_parallel_requests=200)
    assert lane.retry.max_attempts == 4
    assert configuration.weights == DEFAULT_WEIGHTS
    assert configuration.cache_default == CachePolicy(CacheMode.EXACT, 3600, "prod")
    assert configuration.admin_key is not None
    assert configuration.admin_key.get_secret_value() == "fb-one"


def test_every_key_of_the_documented_example_without_effect_is_named(tmp_path: Path) -> None:
    named = [warning.partition(": ")[0] for warning in read(tmp_path, CONTRACT, KEYS).warnings]
    assert named == [
        "router_settings.model_group_alias.gpt-4",
        "router_settings.fallbacks[0].gpt-4o-mini",
        "litellm_settings.cache_params.similarity_threshold",
    ]


@pytest.mark.parametrize("text", ["", "{}", "model_list:\nforebay:\nrouter_settings:\n", "# nothing\n"])
def test_an_empty_configuration_has_the_defaults_and_a_warning(tmp_path: Path, text: str) -> None:
    configuration = read(tmp_path, text)
    assert configuration.warnings == (NO_MODELS,)
    assert configuration == load(None, {})
    assert configuration.cache_default == CachePolicy()
    assert configuration.backlog == BacklogPolicy(surplus_after=100, max_jobs=1_000_000)
    assert configuration.retention_s == 7 * 86_400
    assert configuration.body_limit == 4 * 1024 * 1024
    assert configuration.admin_key is None
    assert configuration.webhooks == WebhookSettings(AllowedNetworks(), 8, 15)


def test_our_section_sets_what_litellm_has_no_word_for(tmp_path: Path) -> None:
    ours = {
        "priorities": {"interactive": 10, "bulk": 2},
        "worker": {"concurrency": 64, "grace": "1m30s"},
        "surplus_after": 20,
        "backlog": {"max_jobs": 5_000},
        "retention": "24h",
        "body_limit": "1MiB",
        "webhooks": {"allow_networks": ["10.0.0.0/8"], "concurrency": 3, "timeout": "2s"},
    }
    configuration = read_document(tmp_path, {"model_list": [entry()], "forebay": ours})
    assert configuration.warnings == ()
    assert configuration.weights[Priority.INTERACTIVE] == 10
    assert configuration.weights[Priority.STANDARD] == DEFAULT_WEIGHTS[Priority.STANDARD]
    assert (configuration.worker.concurrency, configuration.worker.grace_s) == (64, 90)
    assert configuration.backlog == BacklogPolicy(surplus_after=20, largest_after=2, max_jobs=5_000)
    assert configuration.retention_s == 86_400
    assert configuration.body_limit == 1024 * 1024
    assert configuration.webhooks == WebhookSettings(AllowedNetworks.of(["10.0.0.0/8"]), 3, 2)


@pytest.mark.parametrize(
    ("router", "litellm", "attempts"),
    [
        ({}, {}, 4),
        ({"num_retries": 0}, {}, 1),
        ({}, {"num_retries": 2}, 3),
        ({"num_retries": 5}, {"num_retries": 2}, 6),
    ],
)
def test_retries_are_attempts_after_the_first_and_the_routers_word_counts(
    tmp_path: Path, router: dict[str, int], litellm: dict[str, int], attempts: int
) -> None:
    document = {"model_list": [entry()], "router_settings": router, "litellm_settings": litellm}
    lane = read_document(tmp_path, document).catalog(lambda _: None).lane("fast")
    assert lane.retry.max_attempts == attempts


@pytest.mark.parametrize(
    ("settings", "mode"),
    [
        ({}, CacheMode.EXACT),
        ({"cache": True}, CacheMode.EXACT),
        ({"cache": False}, CacheMode.OFF),
        ({"cache": True, "cache_params": {"mode": "default_off"}}, CacheMode.OFF),
    ],
)
def test_the_cache_is_exact_unless_it_is_switched_off(tmp_path: Path, settings: object, mode: CacheMode) -> None:
    assert read_document(tmp_path, {"litellm_settings": settings}).cache_default.mode is mode


@pytest.mark.parametrize("target", ["fast", {"model": "fast"}])
def test_an_alias_is_another_name_of_a_lane(tmp_path: Path, target: object) -> None:
    document = {"model_list": [entry("fast")], "router_settings": {"model_group_alias": {"quick": target}}}
    configuration = read_document(tmp_path, document)
    assert configuration.catalog(lambda _: None).lane("quick").name == "fast"
    assert configuration.warnings == ()


def test_an_alias_that_hides_a_model_is_doubtful(tmp_path: Path) -> None:
    aliases = {"model_group_alias": {"slow": "fast"}}
    configuration = read_document(tmp_path, {"model_list": [entry("fast"), entry("slow")], "router_settings": aliases})
    assert configuration.warnings == (
        "router_settings.model_group_alias.slow: there is a model of that name; every request for it goes to fast.",
    )


def test_a_pattern_of_models_is_named_and_left_out(tmp_path: Path) -> None:
    configuration = read_document(tmp_path, {"model_list": [entry("openai/*"), entry("fast")]})
    assert list(configuration.catalog(lambda _: None).lanes) == ["fast"]
    assert "model_list[0].model_name: openai/* is a pattern" in configuration.warnings[0]


@pytest.mark.parametrize(
    ("document", "warning"),
    [
        ({"router_setings": {}}, "router_setings: unknown; it has no effect. Did you mean `router_settings`?"),
        ({"forebay": {"prioritys": {}}}, "forebay.prioritys: unknown; it has no effect. Did you mean `priorities`?"),
        (
            {"forebay": {"priorities": {"interactiv": 3}}},
            "forebay.priorities.interactiv: unknown; it has no effect. Did you mean `interactive`?",
        ),
        (
            {"router_settings": {"num_retrys": 3}},
            "router_settings.num_retrys: unknown; it has no effect. Did you mean `num_retries`?",
        ),
        ({"router_settings": {"xyz": 3}}, "router_settings.xyz: unknown; it has no effect."),
        ({"forebay": {"budgets": {}}}, "forebay.budgets: not supported yet; it has no effect."),
        (
            {"general_settings": {"database_url": "x"}},
            "general_settings.database_url: not supported yet; it has no effect.",
        ),
        (
            {"model_list": [entry(api_bse="x")]},
            "model_list[0].litellm_params.api_bse: unknown; it has no effect. Did you mean `api_base`?",
        ),
        (
            {"model_list": [entry(temperature=0.2)]},
            "model_list[0].litellm_params.temperature: has no effect on an endpoint that is called over HTTP; `forebay_client: litellm` makes use of it.",
        ),
        (
            {"model_list": [entry(model="ollama/x", num_ctx=9)]},
            "model_list[0].litellm_params.num_ctx: unknown here; it is passed to LiteLLM as it is.",
        ),
        (
            {"model_list": [entry(max_retries=2)]},
            "model_list[0].litellm_params.max_retries: not supported yet; it has no effect.",
        ),
        (
            {"model_list": [entry(info={"blocked": True})]},
            "model_list[0].model_info.blocked: not supported yet; it has no effect.",
        ),
    ],
)  # fmt: skip - a case a line
def test_a_key_without_effect_is_named_with_its_path(tmp_path: Path, document: dict[str, object], warning: str) -> None:
    models = {"model_list": [entry()]}
    assert read_document(tmp_path, models | document).warnings == (warning,)


def test_notes_about_a_model_are_nobodys_business(tmp_path: Path) -> None:
    notes = {"id": "a", "mode": "chat", "owner": "search", "max_tokens": 8192}
    assert read_document(tmp_path, {"model_list": [entry(info=notes)]}).warnings == ()

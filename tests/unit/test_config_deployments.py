from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from shared.domain.errors import ConfigurationError
from shared.domain.routing import ClientKind
from shared.domain.usage import Price
from tests.unit.config_files import entry, read_document, read_models

BASE = "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(
    ("parameters", "client"),
    [
        ({"model": "openai/m"}, ClientKind.HTTP),
        ({"model": "hosted_vllm/m"}, ClientKind.HTTP),
        ({"model": "anthropic/m"}, ClientKind.LITELLM),
        ({"model": "m"}, ClientKind.LITELLM),
        ({"model": "mistral/m", "forebay_client": "http"}, ClientKind.HTTP),
        ({"model": "openai/m", "forebay_client": "litellm"}, ClientKind.LITELLM),
    ],
)
def test_the_model_decides_the_client_unless_the_file_does(
    tmp_path: Path, parameters: dict[str, Any], client: ClientKind
) -> None:
    (deployment,) = read_models(tmp_path, entry(**parameters))
    assert deployment.client is client


def test_base_url_is_another_name_of_api_base(tmp_path: Path) -> None:
    (deployment,) = read_models(
        tmp_path, {"model_name": "fast", "litellm_params": {"model": "openai/m", "base_url": f"{BASE}/"}}
    )
    assert deployment.api_base == BASE


def test_a_model_of_openais_takes_from_the_environment_what_is_not_written(tmp_path: Path) -> None:
    (deployment,) = read_models(
        tmp_path, {"model_name": "fast", "litellm_params": {"model": "openai/m"}}, OPENAI_API_KEY="sk-env"
    )
    assert (deployment.api_base, deployment.api_key) == ("https://api.openai.com/v1", "sk-env")


def test_a_key_from_the_environment_never_goes_to_another_address(tmp_path: Path) -> None:
    (deployment,) = read_models(tmp_path, entry(api_base=BASE), OPENAI_API_KEY="sk-env")
    assert deployment.api_key is None


def test_an_endpoint_of_ones_own_needs_an_address(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"model_list\[0\].litellm_params.api_base: found nothing"):
        read_models(tmp_path, {"model_name": "fast", "litellm_params": {"model": "hosted_vllm/m"}})


def test_parameters_of_litellms_own_are_passed_on_to_it(tmp_path: Path) -> None:
    (deployment,) = read_models(
        tmp_path,
        entry(
            model="bedrock/m", aws_region_name="eu-central-1", aws_secret_access_key="os.environ/AWS", num_ctx=9,
            max_retries=4, api_verson="x",
        ),
        AWS="canary-secret",
    )  # fmt: skip
    assert deployment.extra == {
        "aws_region_name": "eu-central-1",
        "aws_secret_access_key": "canary-secret",
        "num_ctx": 9,
    }
    assert "canary" not in repr(deployment)


def test_ids_are_readable_unique_and_hold_no_secret(tmp_path: Path) -> None:
    made = read_models(
        tmp_path,
        entry(api_key="sk-canary"),
        entry(api_key="sk-other"),
        entry(model="anthropic/c", api_base=None, region_name="eu"),
        entry(model="anthropic/c", api_base=None),
        entry(info={"id": "primary"}),
        entry("slow", info={"id": "openai/m@127.0.0.1:1#3"}),
        entry("slow"),
    )
    assert [deployment.id for deployment in made] == [
        "openai/m@127.0.0.1:1",
        "openai/m@127.0.0.1:1#2",
        "anthropic/c@eu",
        "anthropic/c",
        "primary",
        "openai/m@127.0.0.1:1#3",
        "openai/m@127.0.0.1:1#4",
    ]


def test_an_id_may_be_a_number(tmp_path: Path) -> None:
    (deployment,) = read_models(tmp_path, entry(info={"id": 7}))
    assert deployment.id == "7"


def test_an_id_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"model_list\[1\].model_info.id: found 'a'"):
        read_models(tmp_path, entry(info={"id": "a"}), entry(info={"id": "a"}))


@pytest.mark.parametrize(
    ("parameters", "weights"),
    [
        (({}, {}), [1, 1]),
        (({"weight": 3}, {"weight": 1}), [3, 1]),
        (({"weight": 3, "rpm": 9}, {"rpm": 1}), [3, 0]),
        (({"rpm": 900}, {"rpm": 100}), [900, 100]),
        (({"tpm": 50}, {"tpm": 20}), [50, 20]),
    ],
)
def test_shares_are_those_of_litellms_simple_shuffle(
    tmp_path: Path, parameters: tuple[dict[str, Any], ...], weights: list[float]
) -> None:
    made = read_models(tmp_path, *(entry(**given) for given in parameters))
    assert [deployment.weight for deployment in made] == weights


def test_a_timeout_is_the_deployments_then_the_routers_then_litellms(tmp_path: Path) -> None:
    models = {"model_list": [entry(timeout="2m30s"), entry()]}
    litellm = models | {"litellm_settings": {"request_timeout": 60}}
    router = litellm | {"router_settings": {"timeout": 30}}
    seconds = [
        [made.deployment.timeout_s for made in read_document(tmp_path, document).deployments]
        for document in (models, litellm, router)
    ]
    assert seconds == [[150, 120], [150, 60], [150, 30]]


def test_a_price_of_ones_own_comes_before_the_public_one(tmp_path: Path) -> None:
    own: dict[str, Any] = {
        "input_cost_per_token": "1e-7",
        "output_cost_per_token": 0,
        "cache_read_input_token_cost": 5e-8,
    }
    document = {
        "model_list": [
            entry("a", **own),
            entry("b"),
            entry("c", info={"base_model": "base"} | own),
            entry("d", info={"base_model": "base"}),
        ]
    }
    public = {"openai/m": Price(Decimal(1), Decimal(2)), "base": Price(Decimal(3), Decimal(4))}
    catalog = read_document(tmp_path, document).catalog(public.get)
    price = Price(Decimal("1e-7"), Decimal(0), Decimal("5e-8"))
    assert [lane.deployments[0].price for lane in catalog.lanes.values()] == [
        price,
        public["openai/m"],
        price,
        public["base"],
    ]


def test_half_a_price_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"litellm_params.output_cost_per_token: found nothing; allowed: a price"
    ):
        read_models(tmp_path, entry(input_cost_per_token=1e-7))


def test_an_unknown_price_stays_unknown(tmp_path: Path) -> None:
    catalog = read_document(tmp_path, {"model_list": [entry()]}).catalog(lambda _: None)
    assert catalog.lane("fast").deployments[0].price is None

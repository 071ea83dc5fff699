import re
import subprocess
from typing import Any

import pytest
import yaml

from shared.settings import Settings
from shared.wire.config import load
from tests.architecture.tree import ROOT, tool

FILE = ROOT / "docker-compose.yml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = DOCUMENT["services"]
ROLES = ("api", "worker", "scheduler", "couriers")


def test_the_file_follows_the_schema_of_compose() -> None:
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(FILE)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_there_is_each_role_and_each_server() -> None:
    assert set(SERVICES) == {*ROLES, "rabbitmq", "redis"}
    assert SERVICES["rabbitmq"]["image"].startswith("rabbitmq:4")
    assert SERVICES["redis"]["image"] == "redis:8"
    assert {SERVICES[role]["command"][0] for role in ROLES} == set(ROLES)


def test_redis_syncs_every_write_and_forgets_nothing() -> None:
    program, *flags = SERVICES["redis"]["command"]
    assert program == "redis-server"
    assert dict(zip(flags[::2], flags[1::2], strict=True)) == {
        "--appendonly": "yes",
        "--appendfsync": "always",
        "--maxmemory-policy": "noeviction",
    }


@pytest.mark.parametrize(("server", "where"), [("redis", "/data"), ("rabbitmq", "/var/lib/rabbitmq")])
def test_what_the_servers_keep_outlives_their_containers(server: str, where: str) -> None:
    (volume,) = SERVICES[server]["volumes"]
    name, target = volume.split(":")
    assert name in DOCUMENT["volumes"]
    assert target == where


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_asked_for_its_health(name: str) -> None:
    assert set(SERVICES[name]["healthcheck"]) == {"test", "interval", "timeout", "retries", "start_period"}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_starts_when_both_servers_are_healthy(role: str) -> None:
    waits_for = {name: on["condition"] for name, on in SERVICES[role]["depends_on"].items()}
    assert waits_for == {"rabbitmq": "service_healthy", "redis": "service_healthy"}


def test_workers_can_be_scaled() -> None:
    assert "container_name" not in SERVICES["worker"]
    assert "ports" not in SERVICES["worker"]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_given_more_time_to_stop_than_its_work_takes(role: str) -> None:
    assert float(SERVICES[role]["stop_grace_period"].removesuffix("s")) > load(None, {}).worker.grace_s


def test_only_the_api_can_be_reached_from_outside_and_only_from_this_machine_unless_told() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api": ["${FOREBAY_BIND:-127.0.0.1}:${FOREBAY_PORT:-8080}:8080"]}


def test_no_secret_is_written_in_the_file() -> None:
    environment = SERVICES["api"]["environment"]
    assert environment["FOREBAY_ADMIN_KEY"].startswith("${FOREBAY_ADMIN_KEY:?")
    assert "${RABBITMQ_PASSWORD" in environment["FOREBAY_AMQP_URL"]
    assert not re.search(r"\b(sk|fb)-[A-Za-z0-9]{6,}", FILE.read_text(encoding="utf-8"))


def test_every_setting_that_is_set_is_a_setting() -> None:
    known = {f"FOREBAY_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in SERVICES["api"]["environment"] if name.startswith("FOREBAY_")} <= known


@pytest.mark.parametrize("role", ROLES)
def test_a_role_can_write_nowhere_but_in_memory_and_among_the_files_of_all_roles(role: str) -> None:
    assert SERVICES[role]["read_only"] is True
    assert SERVICES[role]["cap_drop"] == ["ALL"]
    alive = SERVICES[role]["environment"]["FOREBAY_HEARTBEAT_FILE"]
    assert SERVICES[role]["tmpfs"] == ["/tmp"]
    assert alive.startswith("/tmp/")
    (volume,) = SERVICES[role]["volumes"]
    name, folder = volume.split(":")
    assert name in DOCUMENT["volumes"]
    assert SERVICES[role]["environment"]["FOREBAY_FILES_URL"] == f"file://{folder}"
    assert f"--owner forebay {folder}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("role", [role for role in ROLES if role != "api"])
def test_the_health_of_a_role_is_the_age_of_the_file_it_touches(role: str) -> None:
    kind, command = SERVICES[role]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    assert SERVICES[role]["environment"]["FOREBAY_HEARTBEAT_FILE"] in command


def test_the_example_configuration_loads_and_everything_in_it_has_an_effect() -> None:
    configuration = load(ROOT / "config.example.yaml", {"OPENAI_API_KEY": "sk-example"})
    assert configuration.warnings == ()
    assert [made.deployment.lane for made in configuration.deployments] == ["gpt-4o-mini"]

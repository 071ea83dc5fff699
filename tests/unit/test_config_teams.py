from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from shared.domain.allowances import NO_POLICIES, UNLIMITED, Allowance, OnLimit, TeamPolicy, Terms
from shared.domain.errors import ConfigurationError
from shared.wire.config_check import findings
from tests.unit.config_files import entry, read, read_document

WHOLE = """
model_list: []
forebay:
  limits: {rpm: 6000, tpd: 9000000}
  teams:
    search:
      rpm: 60
      tpm: 60000
      on_limit: queue
      max_input_tokens: 8000
      max_output_tokens: 500
      users: {rpd: 100}
      features: {titles: {rpm: 10}, "2": }
    ads:
"""


def test_the_limits_of_teams_users_and_features_are_read(tmp_path: Path) -> None:
    policies = read(tmp_path, WHOLE).policies
    assert policies.ceiling == Allowance(6_000, None, None, 9_000_000)
    assert policies.team("search") == TeamPolicy(
        Terms(Allowance(60, 60_000), OnLimit.QUEUE, 8_000, 500),
        Allowance(requests_per_day=100),
        {"titles": Allowance(10), "2": UNLIMITED},
    )
    assert policies.team("ads") == policies.team("anyone") == TeamPolicy()


def test_a_configuration_that_says_nothing_of_teams_limits_nobody(tmp_path: Path) -> None:
    for text in ("", "forebay:", "forebay: {teams: , limits: }"):
        assert read(tmp_path, text).policies == NO_POLICIES


@pytest.mark.parametrize(
    ("forebay", "message"),
    [
        ({"limits": {"rpm": "x"}}, "forebay.limits.rpm: found 'x'; allowed: a whole number"),
        ({"limits": {"tpd": 10**13}}, "forebay.limits.tpd: found 10000000000000; allowed: at most 1000000000000"),
        ({"teams": []}, "forebay.teams: found a list; allowed: a mapping"),
        ({"teams": {"a": 5}}, "forebay.teams.a: found a number (not shown); allowed: a mapping"),
        ({"teams": {"a": {"on_limit": "wait"}}}, "forebay.teams.a.on_limit: found 'wait'; allowed: 'reject' or 'queue'"),
        ({"teams": {"a": {"users": {"tpm": -1}}}}, "forebay.teams.a.users.tpm: found -1; allowed: at least 0"),
        ({"teams": {"a": {"features": {"t": {"rpd": 1.5}}}}}, "forebay.teams.a.features.t.rpd: found 1.5; allowed: a whole number"),
        ({"teams": {"a": {"max_output_tokens": 0}}}, "forebay.teams.a.max_output_tokens: found 0; allowed: at least 1"),
        ({"teams": {7: {}}}, "forebay.teams[7]: found a number (not shown); allowed: text; put a number between quotes"),
        ({"teams": {" a": {}}}, "forebay.teams. a: found text (not shown); allowed: 1 to 128 bytes of printable text without spaces at its ends"),
    ],
)  # fmt: skip
def test_a_wrong_limit_stops_the_start_with_its_path(tmp_path: Path, forebay: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_document(tmp_path, {"model_list": [entry()], "forebay": forebay})
    assert refused.value.message == message


def test_a_misspelt_limit_is_named(tmp_path: Path) -> None:
    document = {"model_list": [entry()], "forebay": {"teams": {"a": {"rpmm": 5, "users": {"tdp": 1}}}}}
    warnings = read_document(tmp_path, document).warnings
    assert warnings[0].startswith("forebay.teams.a.users.tdp: unknown; it has no effect.")
    assert warnings[1] == "forebay.teams.a.rpmm: unknown; it has no effect. Did you mean `rpm`?"


def test_a_limit_of_nothing_is_doubtful(tmp_path: Path) -> None:
    teams = {"a": {"tpm": 0, "users": {"rpd": 0}, "features": {"t": {"rpm": 0, "tpd": 1}}}}
    document = {"model_list": [entry(api_key="sk-1")], "forebay": {"limits": {"rpm": 0}, "teams": teams}}
    found = findings(read_document(tmp_path, document), SecretStr("fb-0123456789-0123456789"))
    assert [finding.path for finding in found] == [
        "forebay.limits.rpm",
        "forebay.teams.a.tpm",
        "forebay.teams.a.users.rpd",
        "forebay.teams.a.features.t.rpm",
    ]

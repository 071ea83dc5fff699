"""What comes after a model, as LiteLLM's settings say it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.catalog import Fallbacks
from shared.domain.errors import ConfigurationError
from shared.domain.fallback_chain import loop_in
from shared.wire.config_fallbacks import configured_fallbacks
from shared.wire.config_faults import Faults
from shared.wire.config_litellm import ConfigFile
from tests.unit.config_files import entry, read_document

KINDS = ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"]


def document(
    router: Mapping[str, Any], litellm: Mapping[str, Any] | None = None, models: str = "abcd"
) -> dict[str, Any]:
    return {
        "model_list": [entry(model) for model in models],
        "router_settings": dict(router),
        "litellm_settings": dict(litellm or {}),
    }


def fallbacks(
    folder: Path, router: Mapping[str, Any], litellm: Mapping[str, Any] | None = None
) -> dict[str, Fallbacks]:
    """Give the fallbacks of each of the models a, b, c and d."""
    catalog = read_document(folder, document(router, litellm)).catalog(lambda _: None)
    return {name: lane.fallbacks for name, lane in catalog.lanes.items()}


def warnings(folder: Path, router: Mapping[str, Any], litellm: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    return read_document(folder, document(router, litellm)).warnings


def refusal(folder: Path, router: Mapping[str, Any]) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read_document(folder, document(router))
    return raised.value.message


def test_a_model_is_followed_by_its_fallbacks_each_with_its_own(tmp_path: Path) -> None:
    made = fallbacks(tmp_path, {"fallbacks": [{"a": ["b", "c"]}, {"b": ["d"]}]})
    assert made["a"] == Fallbacks(("b", "d", "c"))
    assert made["b"] == Fallbacks(("d",))
    assert made["c"] == made["d"] == Fallbacks()


def test_requests_that_are_too_long_or_refused_have_ways_of_their_own(tmp_path: Path) -> None:
    router = {
        "fallbacks": [{"a": ["b"]}],
        "context_window_fallbacks": [{"a": ["c"]}, {"c": ["d"]}],
        "content_policy_fallbacks": [{"a": []}],
    }
    made = fallbacks(tmp_path, router)
    assert made["a"] == Fallbacks(("b",), ("c", "d"), ())
    assert made["b"] == Fallbacks()


def test_the_general_way_and_a_special_one_may_lead_in_opposite_directions(tmp_path: Path) -> None:
    router = {"fallbacks": [{"a": ["b"]}], "context_window_fallbacks": [{"b": ["a"]}]}
    made = fallbacks(tmp_path, router)
    assert (made["a"].general, made["b"].context_window) == (("b",), ("a",))


@pytest.mark.parametrize("default", [{"default_fallbacks": ["d", "c"]}, {"fallbacks": [{"*": ["d", "c"]}]}])
def test_what_has_no_entry_of_its_own_is_followed_by_the_default(tmp_path: Path, default: dict[str, Any]) -> None:
    own = [{"a": ["b"]}, {"b": []}, *default.get("fallbacks", [])]
    made = fallbacks(tmp_path, default | {"fallbacks": own})
    assert {name: lane.general for name, lane in made.items()} == {"a": ("b",), "b": (), "c": ("d",), "d": ("c",)}


def test_a_default_of_a_special_kind_is_for_that_kind_alone(tmp_path: Path) -> None:
    made = fallbacks(tmp_path, {"context_window_fallbacks": [{"*": ["d"]}]})
    assert made["a"] == Fallbacks((), ("d",), None)


def test_the_default_makes_no_loop_even_if_its_models_lead_to_others(tmp_path: Path) -> None:
    made = fallbacks(tmp_path, {"fallbacks": [{"d": ["a"]}], "default_fallbacks": ["d"]})
    assert made["a"].general == ("d",)
    assert made["d"].general == ("a",)
    assert made["b"].general == ("d", "a")


@pytest.mark.parametrize("kind", [*KINDS, "default_fallbacks"])
def test_litellms_other_settings_count_where_the_routers_say_nothing(tmp_path: Path, kind: str) -> None:
    def said(name: str) -> dict[str, Any]:
        return {kind: [name] if kind == "default_fallbacks" else [{"a": [name]}]}

    assert (
        fallbacks(tmp_path, {}, said("b"))
        == fallbacks(tmp_path, said("b"))
        == fallbacks(tmp_path, said("b"), said("c"))
    )
    assert warnings(tmp_path, {}, said("b")) == ()
    assert warnings(tmp_path, said("b"), said("c")) == (
        f"litellm_settings.{kind}: has no effect; router_settings.{kind} says what counts.",
    )


def test_an_alias_is_the_model_it_stands_for(tmp_path: Path) -> None:
    router = {"model_group_alias": {"first": "a", "second": "b"}, "fallbacks": [{"first": ["second"]}]}
    assert fallbacks(tmp_path, router)["a"].general == ("b",)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("entries", "path", "loop"),
    [
        ([{"a": ["b"]}, {"b": ["a"]}], "[0].a", "a → b → a"),
        ([{"d": ["a"]}, {"a": ["b", "c"]}, {"c": ["a"]}], "[1].a", "a → c → a"),
        ([{"a": ["a"]}], "[0].a", "a → a"),
        ([{"a": ["b"]}, {"b": ["first"]}], "[0].a", "a → b → a"),
    ],
)
@pytest.mark.hazard(39)
def test_a_configuration_with_a_fallback_loop_is_refused_at_start(
    tmp_path: Path, kind: str, entries: list[dict[str, list[str]]], path: str, loop: str
) -> None:
    assert refusal(tmp_path, {kind: entries, "model_group_alias": {"first": "a"}}) == (
        f"router_settings.{kind}{path}: found the loop {loop}; allowed: fallbacks that never lead back to where they "
        "began (an alias counts as its model)"
    )


def test_a_fallback_that_is_not_there_is_named_and_passed_over(tmp_path: Path) -> None:
    router = {"fallbacks": [{"a": ["gone", "b"]}], "default_fallbacks": ["lost", "c"]}
    configuration = read_document(tmp_path, document(router))
    assert configuration.catalog(lambda _: None).lane("a").fallbacks.general == ("b", "c")
    assert (
        set(configuration.warnings)
        == configuration.faults
        == {
            "router_settings.fallbacks[0].a: there is no model gone in model_list; no job ever falls back to it.",
            "router_settings.default_fallbacks: there is no model lost in model_list; no job ever falls back to it.",
        }
    )


def test_an_entry_without_effect_is_named(tmp_path: Path) -> None:
    entries = [{"a": ["b"]}, {"gone": ["b"]}, {"first": ["c"]}, {"*": ["d"]}]
    router = {"fallbacks": entries, "default_fallbacks": ["d"], "model_group_alias": {"first": "a"}}
    assert warnings(tmp_path, router) == (
        "router_settings.fallbacks[1].gone: there is no model gone in model_list; the entry has no effect.",
        "router_settings.fallbacks[2].first: has no effect; router_settings.fallbacks[0].a says what comes after it.",
        "router_settings.fallbacks[3].*: has no effect; router_settings.default_fallbacks says what comes after it.",
    )


@pytest.mark.parametrize(
    ("router", "message"),
    [
        ({"fallbacks": {"a": ["b"]}}, "router_settings.fallbacks: found a mapping; allowed: a list"),
        (
            {"fallbacks": ["b"]},
            "router_settings.fallbacks[0]: found text (not shown); allowed: one model and the list of its fallbacks, such as {gpt-4o-mini: [claude-haiku]}",
        ),
        (
            {"fallbacks": [{"a": ["b"], "b": ["c"]}]},
            "router_settings.fallbacks[0]: found a mapping; allowed: one model and the list of its fallbacks, such as {gpt-4o-mini: [claude-haiku]}",
        ),
        ({"fallbacks": [{"a": "b"}]}, "router_settings.fallbacks[0].a: found text (not shown); allowed: a list"),
        (
            {"context_window_fallbacks": [{"a": [{"model": "b", "messages": []}]}]},
            "router_settings.context_window_fallbacks[0].a[0]: found a mapping; allowed: the name of a model (LiteLLM's form with a model and messages of its own is not supported)",
        ),
        ({"default_fallbacks": "b"}, "router_settings.default_fallbacks: found text (not shown); allowed: a list"),
        (
            {"default_fallbacks": [7]},
            "router_settings.default_fallbacks[0]: found a number (not shown); allowed: the name of a model (LiteLLM's form with a model and messages of its own is not supported)",
        ),
    ],
)  # fmt: skip - a case a line
def test_what_is_no_list_of_fallbacks_is_refused(tmp_path: Path, router: dict[str, Any], message: str) -> None:
    assert refusal(tmp_path, router) == message


@pytest.mark.parametrize("kind", [*KINDS, "default_fallbacks"])
@pytest.mark.parametrize("empty", [[], None])
def test_an_empty_list_of_fallbacks_is_none(tmp_path: Path, kind: str, empty: list[object] | None) -> None:
    assert set(fallbacks(tmp_path, {kind: empty}).values()) == {Fallbacks()}
    assert warnings(tmp_path, {kind: empty}) == ()


def test_how_far_a_job_may_fall_back_is_not_limited_yet(tmp_path: Path) -> None:
    assert warnings(tmp_path, {"max_fallbacks": 2}) == (
        "router_settings.max_fallbacks: not supported yet; it has no effect.",
    )
    models = {"model_list": [entry("a", fallbacks=["b"])]}
    assert read_document(tmp_path, models).warnings == (
        "model_list[0].litellm_params.fallbacks: not supported yet; it has no effect.",
    )


NAMES = st.sampled_from("abcdx")
ENTRIES = st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=3)), max_size=5, unique_by=lambda entry: entry[0])


@given(ENTRIES, st.lists(NAMES, max_size=3))
def test_whatever_is_configured_without_a_loop_gives_chains_that_end(
    entries: list[tuple[str, list[str]]], default: list[str]
) -> None:
    written = {"fallbacks": [{model: names} for model, names in entries], "default_fallbacks": default}
    file = ConfigFile.model_validate(document(written))
    lanes = frozenset("abcd")
    faults = Faults()
    configured = configured_fallbacks(file, lanes, {}, faults)
    if loop_in(dict(entries)):
        with pytest.raises(ConfigurationError):
            faults.refuse()
        return
    faults.refuse()
    for lane, following in configured.by_lane.items():
        assert set(following.general) <= lanes - {lane}
        assert len(set(following.general)) == len(following.general)

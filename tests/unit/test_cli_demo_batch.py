"""The demo's batch and its counts."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from forebay.demo.report import Tally
from forebay.demo.requests import docstrings, write_batch
from shared.domain.errors import ForebayError


def test_the_batch_has_as_many_requests_as_asked_for_and_a_fifth_are_repeats(tmp_path: Path) -> None:
    batch = write_batch(tmp_path / "in.jsonl", 320)
    lines = [orjson.loads(line) for line in (tmp_path / "in.jsonl").read_bytes().splitlines()]
    assert len(lines) == batch.requests == 320
    assert len(batch.repeats) == 64
    assert len({line["custom_id"] for line in lines}) == 320
    assert len({orjson.dumps(line["body"]) for line in lines}) == 256


def test_a_repeat_asks_what_its_first_asked_long_before(tmp_path: Path) -> None:
    batch = write_batch(tmp_path / "in.jsonl", 320)
    lines = [orjson.loads(line) for line in (tmp_path / "in.jsonl").read_bytes().splitlines()]
    places = {line["custom_id"]: place for place, line in enumerate(lines)}
    for again, first in batch.repeats.items():
        assert lines[places[again]]["body"] == lines[places[first]]["body"]
        assert places[again] - places[first] > 150


def test_more_requests_than_there_are_docstrings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ForebayError, match="fewer --requests"):
        write_batch(tmp_path / "in.jsonl", 100_000)


def test_no_module_is_imported_for_its_docstring(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(f'"""{"Long enough to be of use. " * 10}"""\nraise SystemExit(1)\n')
    assert [name for name, _ in docstrings(tmp_path)] == ["loud"]


def job(custom_id: str, **changes: object) -> dict[str, Any]:
    return {
        "status": "succeeded",
        "metadata": {"custom_id": custom_id},
        "cache": "miss",
        "usage": {"input_tokens": 10, "output_tokens": 2},
        "cost_usd": 0.5,
        "response": {"choices": [{"message": {"content": "x" * 1_000}}]},
    } | changes


def test_a_repeat_that_overtook_its_first_saves_the_same() -> None:
    counted = Tally({"a (again)": "a"})
    counted.add(job("a", cache="hit", usage=None, cost_usd=0.0))
    counted.add(job("a (again)"))
    assert (counted.reused, counted.saved_usd) == (["a"], 0.5)


def test_what_the_cache_saved_is_what_the_first_answers_cost() -> None:
    counted = Tally({"a (again)": "a"})
    counted.add(job("a (again)", cache="hit", usage=None, cost_usd=0.0))
    counted.add(job("a"))
    counted.add(job("b", status="failed", cost_usd=None))
    assert (counted.succeeded, counted.failed, counted.reused) == (2, 1, ["a (again)"])
    assert counted.saved_usd == 0.5
    assert (counted.cost_usd, counted.input_tokens, counted.output_tokens) == (0.5, 10, 2)
    assert counted.samples.keys() == {"a"}
    assert len(counted.samples["a"]) < 200

"""``docs/hazards.md`` and the tests that bear its rows' numbers say the same."""

import ast
import re
from collections.abc import Iterator

from tests.architecture.tree import ROOT, project_files

ROW = re.compile(r"^\| (\d+) \|[^|]+\|[^|]+\|([^|]+)\|$", re.MULTILINE)
NOT_YET = "not yet"
TABLE = {int(number): tests.strip() for number, tests in ROW.findall((ROOT / "docs" / "hazards.md").read_text("utf-8"))}


def test_each_row_names_exactly_the_tests_that_bear_its_number() -> None:
    told = {(number, name) for number, tests in TABLE.items() for name in re.findall(r"`(\w+)`", tests)}
    borne = set(_borne())
    assert {"only in the table": told - borne, "only on the tests": borne - told} == {
        "only in the table": set(),
        "only on the tests": set(),
    }


def test_a_row_has_tests_or_says_that_it_has_none_yet() -> None:
    assert TABLE
    assert {number: tests for number, tests in TABLE.items() if tests != NOT_YET and not tests.startswith("`")} == {}


def test_the_rows_stand_in_order_each_once() -> None:
    numbers = [int(number) for number, _ in ROW.findall((ROOT / "docs" / "hazards.md").read_text("utf-8"))]
    assert numbers == sorted(set(numbers))


def _borne() -> Iterator[tuple[int, str]]:
    """Give each number that a test bears, with the test's name."""
    for path in project_files():
        if path.suffix == ".py" and path.is_relative_to(ROOT / "tests"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield from ((number, node.name) for mark in node.decorator_list for number in _numbers(mark))


def _numbers(mark: ast.expr) -> list[int]:
    """Give the rows of a decorator ``pytest.mark.hazard(…)``; none of any other."""
    if not (isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.hazard"):
        return []
    return [ast.literal_eval(argument) for argument in mark.args]

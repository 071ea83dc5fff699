import ast
import re
from itertools import takewhile
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGES, ROOT, project_files

LONGEST_FILE = 300
LOCKS = ("requirements.lock", "requirements-build.lock")
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)

MACHINE_PATHS = re.compile(r"/(?:work|root|opt/pypi|opt/wheels|home/\w+|Users/\w+|tmp/pytest)/")
"""Places that exist on one machine only."""

FILES = project_files()
SOURCES = [path for path in FILES if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in PACKAGES]
SCRIPTS = [path for path in FILES if path.suffix == ".lua"]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address_and_has_a_hash_for_each_package(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    requirements = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert not re.search(r"https?:|file:|git\+|--(extra-)?index-url|--find-links|@ ", requirements)
    blocks = re.split(r"\n(?=\S)", requirements.strip())
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert all(PIN.match(block) for block in blocks)


def test_the_locks_agree() -> None:
    packages, tools = (dict(PIN.findall((ROOT / lock).read_text(encoding="utf-8"))) for lock in LOCKS)
    assert {package: version for package, version in tools.items() if packages.get(package, version) != version} == {}


def test_no_file_names_a_place_of_one_machine() -> None:
    found = []
    for path in FILES:
        text = path.read_bytes().decode("utf-8", errors="ignore")
        if path != Path(__file__):
            found += [f"{name(path)}: {line.strip()}" for line in text.splitlines() if MACHINE_PATHS.search(line)]
    assert found == []


def test_every_module_says_what_it_is_for() -> None:
    assert [name(path) for path in SOURCES if not _says_what_it_is_for(path)] == []


def test_no_module_is_longer_than_one_noun_needs() -> None:
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_every_script_documents_its_keys_and_arguments_on_top() -> None:
    assert SCRIPTS
    assert {name(path): lacking for path in SCRIPTS if (lacking := _undocumented(path))} == {}


def _says_what_it_is_for(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return bool(ast.get_docstring(ast.parse(text))) or (path.name == "__init__.py" and not text.strip())


def _undocumented(path: Path) -> list[str]:
    """Give what a script uses and its first comment does not mention."""
    lines = path.read_text(encoding="utf-8").splitlines()
    head = list(takewhile(lambda line: line.startswith("--"), lines))
    body = "\n".join(lines[len(head) :])
    if not head:
        return ["any comment"]
    return [table for table in ("KEYS", "ARGV") if re.search(rf"\b{table}\b", body) and table not in "\n".join(head)]

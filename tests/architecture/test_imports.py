import subprocess

from tests.architecture.tree import ROOT, tool


def test_imports_go_one_way() -> None:
    checked = subprocess.run(
        [tool("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr

"""What stands around the code: the commands of the README, the licence, the installation."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGES, ROOT

TARGETS = {"install", "demo", "test", "check", "bench", "fmt", "help", "lock"}
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_make_help_names_each_target() -> None:
    told = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in told.splitlines()} == TARGETS


def test_the_licence_is_the_standard_text_of_apache_2() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2


def test_ci_runs_what_a_developer_runs() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("make")] == ["make check", "make test"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_image_brings_every_package() -> None:
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [package for package in PACKAGES if f"COPY {package} {package}\n" not in image] == []
    assert [package for package in PACKAGES if f"!{package}" not in kept] == []
    assert "\nUSER 10001\n" in image


@pytest.fixture
def bare_machine(tmp_path: Path) -> Path:
    """A copy of the installer, and a PATH with a shell's few programs and no Python."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "install", tmp_path / ".ci")
    (tmp_path / "bin").mkdir()
    for program in ("sh", "dirname", "head"):
        found = shutil.which(program)
        assert found
        (tmp_path / "bin" / program).symlink_to(found)
    return tmp_path


def install(machine: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [machine / ".ci" / "install"], env={"PATH": str(machine / "bin")}, capture_output=True, text=True, check=False
    )


def put_python(machine: Path, script: str) -> None:
    python = machine / "bin" / "python3"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)


def test_without_python_the_installer_says_what_is_needed(bare_machine: Path) -> None:
    ended = install(bare_machine)
    assert ended.returncode == 1
    assert "Python 3.11 or newer is needed" in ended.stderr


def test_an_old_python_is_refused_by_its_version(bare_machine: Path) -> None:
    put_python(bare_machine, '[ "$1" = -V ] && { echo Python 3.9.2; exit 0; }; exit 1')
    ended = install(bare_machine)
    assert ended.returncode == 1
    assert "Python 3.11 or newer is needed; found: Python 3.9.2" in ended.stderr


def test_a_python_without_venv_is_told_how_to_get_it(bare_machine: Path) -> None:
    put_python(bare_machine, 'case "$*" in *version_info*) exit 0 ;; esac; exit 1')
    ended = install(bare_machine)
    assert ended.returncode == 1
    assert "apt-get install python3-venv" in ended.stderr

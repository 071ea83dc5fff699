"""The files of the project, as git would keep them."""

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("forebay", "producer_api", "workers", "scheduler", "shared")


def project_files() -> list[Path]:
    """Give every file that is tracked, or new and not ignored."""
    if not (ROOT / ".git").exists():
        return [path for path in ROOT.rglob("*") if path.is_file() and not _is_made(path)]
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(asked, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def tool(name: str) -> str:
    """Give the path of a program that was installed with the tests."""
    return str(Path(sys.executable).with_name(name))


def _is_made(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return parts[0] in {".venv", "dist", "forebay-data", "forebay-demo"} or any(
        part == "__pycache__" or (part.startswith(".") and part.endswith(("_cache", "hypothesis"))) for part in parts
    )

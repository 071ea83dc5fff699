"""What a process costs, by the kernel's own count."""

import os
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12
"""Of the fields behind the program's name (proc(5): utime and stime)."""


def processor_time_s(pid: int) -> float:
    """Give the seconds that a process has spent on processors, with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS_PER_S

"""Starts a program that the kernel kills with its parent: ``launcher.py PARENT_PID PROGRAM ARGUMENT…``.

Run as a script of its own, because the request to the kernel must be made in the child, and Python
code between fork and exec can deadlock a parent that has threads.

Only Linux can promise this. Elsewhere the program outlives a killed parent, and the next start
finds it and shuts it down.
"""

import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def _die_with_the_parent() -> None:
    import ctypes  # noqa: PLC0415 - not needed, and slow to import, elsewhere

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    parent, program = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        _die_with_the_parent()
    if os.getppid() != parent:
        sys.exit("the parent died before its child was started")
    os.execv(program, sys.argv[2:])  # noqa: S606 - to become the program, without a shell, is the purpose

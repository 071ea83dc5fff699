"""How many connections the process may hold: each is an open file, and many systems begin with 1,024."""

import resource
from contextlib import suppress
from typing import Final

MOST: Final = 65_536
"""What is asked for where the system knows no bound."""


def allow_many() -> int:
    """Raise the soft limit as far as the system lets everybody; give what it is then. It is never lowered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # the kernel may have a bound of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

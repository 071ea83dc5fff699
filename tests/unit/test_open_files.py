"""The API may hold as many connections as the system lets it, whatever the shell it was started from allows."""

import subprocess
import sys

_STARTED_WITH_FEW = """
import resource
from producer_api.open_files import allow_many
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
print(allow_many(), hard, *resource.getrlimit(resource.RLIMIT_NOFILE))
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
print(allow_many())
"""


def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be_and_never_lowered() -> None:
    told = subprocess.run([sys.executable, "-c", _STARTED_WITH_FEW], capture_output=True, text=True, check=True).stdout
    raised, hard, soft, same_hard, again = map(int, told.split())
    assert raised == soft
    assert hard == same_hard
    assert raised == hard if hard > 0 else raised >= 1024
    assert again == raised or hard < 0

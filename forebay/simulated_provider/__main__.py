"""``python -m forebay.simulated_provider '{"rpm": 60}'``: options as JSON; the first line printed is the URL."""

import json
import sys

from forebay.simulated_provider import Options, run

_SETS_AND_TUPLES = {"latency_s": tuple, "output_tokens": tuple, "models": tuple, "api_keys": frozenset}


def _options(text: str) -> Options:
    given = json.loads(text)
    return Options(**{name: _SETS_AND_TUPLES.get(name, lambda same: same)(value) for name, value in given.items()})


if __name__ == "__main__":
    run(_options(sys.argv[1] if len(sys.argv) > 1 else "{}"), lambda url: print(url, flush=True))  # noqa: T201 - its answer

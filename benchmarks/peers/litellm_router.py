"""The peer of ``limit_use.py``: LiteLLM's Router with its limits set, a bounded number of calls at a time.

Reads the plan as JSON from standard input; the simulated provider counts what comes.
"""

import asyncio
import json
import os
import sys
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from litellm.router import Router  # noqa: TID251 - the peer itself, in a process of its own


async def main() -> None:
    """Ask every question once, with the Router's own retries."""
    plan: dict[str, Any] = json.load(sys.stdin)
    parameters = {
        "model": "openai/sim-1",
        "api_base": plan["url"],
        "api_key": "sk-sim",
        "rpm": plan["rpm"],
        "tpm": plan["tpm"],
    }
    router = Router(model_list=[{"model_name": "sim", "litellm_params": parameters}], num_retries=3)
    slots = asyncio.Semaphore(plan["concurrency"])

    async def ask(question: str) -> None:
        async with slots:
            await router.acompletion(model="sim", messages=[{"role": "user", "content": question}])

    await asyncio.gather(*(ask(question) for question in plan["questions"]), return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())

"""The demo from beginning to end."""

import secrets
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from forebay.cli.batch_lines import JobOptions
from forebay.cli.following import follow_batch, save_batch
from forebay.cli.progress import meter
from forebay.cli.screen import say, stderr
from forebay.cli.submission import fresh_key, submit_file
from forebay.client import AsyncClient, JobQuery
from forebay.demo.child import running
from forebay.demo.report import Summary, tally
from forebay.demo.requests import DemoBatch, write_batch
from shared.domain.clock import Clock

RPM: Final = 1_000
TPM: Final = 300_000
_LATENCY_S: Final = (0.3, 0.9)

_SIMULATOR: Final = (
    "simulate-provider",
    "--json",
    "--port=0",
    f"--rpm={RPM}",
    f"--tpm={TPM}",
    f"--latency={_LATENCY_S[0]}-{_LATENCY_S[1]}",
)
_PRICES: Final = {"input_cost_per_token": 0.00000015, "output_cost_per_token": 0.0000006}


@dataclass(frozen=True, slots=True)
class Files:
    """Where the demo leaves its files; those of an earlier demo are replaced."""

    folder: Path

    @property
    def input(self) -> Path:
        """The batch."""
        return self.folder / "input.jsonl"

    @property
    def output(self) -> Path:
        """Its answers."""
        return self.folder / "output.jsonl"

    @property
    def config(self) -> Path:
        """How Forebay was configured."""
        return self.folder / "config.yaml"

    def log(self, name: str) -> Path:
        """What a child process logged."""
        return self.folder / f"{name}.log"


async def run_demo(files: Files, requests: int, clock: Clock) -> tuple[Summary, dict[str, str]]:
    """Run the demo; give its numbers, and some answers by their custom_ids.

    Raises:
        ForebayError: a child process did not start, or the batch was refused.
    """
    files.folder.mkdir(parents=True, exist_ok=True)
    files.output.unlink(missing_ok=True)
    batch = write_batch(files.input, requests)
    say(f"{requests:,} requests written to {files.input}, {len(batch.repeats):,} of them repeats")
    admin_key = f"fb-{secrets.token_urlsafe(16)}"
    async with AsyncExitStack() as children:
        provider = await children.enter_async_context(running(_SIMULATOR, files.log("provider"), {}))
        say(f"a simulated provider answers at {provider['url']}, with a limit of {RPM:,} requests a minute")
        files.config.write_text(_configuration(provider["url"]))
        data = children.enter_context(tempfile.TemporaryDirectory(prefix="forebay-"))
        up = ("up", "--json", "--port=0", f"--config={files.config}", f"--data-dir={data}")
        environment = {"FOREBAY_ADMIN_KEY": admin_key}
        stack = await children.enter_async_context(running(up, files.log("forebay"), environment))
        say(f"Forebay is ready at {stack['url']}")
        client = await children.enter_async_context(AsyncClient(stack["url"], admin_key, clock))
        return await _send(client, files, batch, provider["url"], clock)


async def _send(
    client: AsyncClient, files: Files, batch: DemoBatch, provider_url: str, clock: Clock
) -> tuple[Summary, dict[str, str]]:
    started = clock.monotonic()
    with meter("submitting", stderr()) as shown:
        submission = await submit_file(client, files.input, JobOptions(), fresh_key(), shown, clock)
    assert submission.batch_id is not None
    say(f"{submission.batch_id}: {submission.accepted:,} accepted")
    await follow_batch(client, submission.batch_id)
    seconds = clock.monotonic() - started
    await save_batch(client, submission.batch_id, files.output, submission.bad)
    counted = await tally(client.jobs(JobQuery(batch=submission.batch_id)), batch.repeats)
    served = await _provider_counts(provider_url)
    summary = Summary(
        requests=batch.requests,
        succeeded=counted.succeeded,
        failed=batch.requests - counted.succeeded,
        seconds=seconds,
        limit_rpm=RPM,
        input_tokens=counted.input_tokens,
        output_tokens=counted.output_tokens,
        cost_usd=counted.cost_usd,
        repeats=len(batch.repeats),
        from_cache=len(counted.reused),
        saved_usd=counted.saved_usd,
        provider_calls=served["served"],
        refused_429=served["refused_429"],
    )
    return summary, counted.samples


async def _provider_counts(provider_url: str) -> dict[str, Any]:
    stats = f"{provider_url.removesuffix('/v1')}/_simulator/stats"
    async with aiohttp.ClientSession() as session, session.get(stats) as answer:
        total: dict[str, Any] = (await answer.json())["total"]
        return total


def _configuration(provider_url: str) -> str:
    parameters = {
        "model": "openai/gpt-4o-mini",
        "api_base": provider_url,
        "api_key": "sk-simulated",
        "rpm": RPM,
        "tpm": TPM,
        **_PRICES,
    }
    models = [{"model_name": "gpt-4o-mini", "litellm_params": parameters}]
    return yaml.safe_dump({"model_list": models}, sort_keys=False)

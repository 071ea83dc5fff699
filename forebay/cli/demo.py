"""``forebay demo``: see it work."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from forebay.cli.command import Command
from forebay.cli.options import AsJson
from forebay.cli.screen import say, show_json, show_table, stdout
from forebay.cli.server import INTERRUPTED

if TYPE_CHECKING:
    from forebay.demo.report import Summary
    from forebay.demo.run import Files

_REAL_THING: Final = """
OPENAI_API_KEY is set. To run the same batch on the real thing (this demo never calls it), put into config.yaml:

  model_list:
    - model_name: gpt-4o-mini
      litellm_params:
        model: openai/gpt-4o-mini
        api_key: os.environ/OPENAI_API_KEY
        rpm: 500

then: forebay up --config config.yaml
and, with the FOREBAY_API_KEY that it prints: forebay submit {input} --out answers.jsonl"""


def demo(
    *,
    requests: Annotated[int, typer.Option("--requests", min=10, help="How many, a fifth of them repeats.")] = 320,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the files go.")] = Path("forebay-demo"),
    as_json: AsJson = False,
) -> None:
    """See it work: a real batch, on a simulated provider.

    Needs no server, no network and no key, and takes about half a minute. Leaves the batch and its
    answers in the OpenAI Batch format, the configuration and the logs.
    """
    import asyncio

    from forebay.demo.run import Files

    files = Files(out)
    try:
        summary, samples = asyncio.run(_until_ended(files, requests))
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("\nThe demo was stopped, and everything it had started.")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        show_json(summary)
    else:
        _show(summary, samples, files)
    if summary.failed:
        raise typer.Exit(1)


async def _until_ended(files: "Files", requests: int) -> tuple["Summary", dict[str, str]]:
    import asyncio
    import signal

    from forebay.demo.run import run_demo
    from shared.domain.clock import SystemClock

    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    return await run_demo(files, requests, SystemClock())


def _show(summary: "Summary", samples: dict[str, str], files: "Files") -> None:
    console = stdout()
    show_table("What came back", ("", ""), summary.rows(), console)
    show_table(
        "Some of the answers, made up by the simulated provider",
        ("docstring of", "answer"),
        list(samples.items()),
        console,
    )
    typer.echo(f"The batch: {files.input}\nIts answers: {files.output}\nThe configuration: {files.config}")
    if os.environ.get("OPENAI_API_KEY"):
        typer.echo(_REAL_THING.format(input=files.input))


DEMO: Final = Command("demo", demo, ("forebay demo --requests 500 --out my-demo",))

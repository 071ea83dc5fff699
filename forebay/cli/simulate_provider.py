"""``forebay simulate-provider``: an OpenAI-compatible provider to try things out on."""

import sys
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from forebay.cli.command import Command
from forebay.cli.options import DEFAULT_HOST, AsJson, Host
from forebay.cli.screen import show_json
from shared.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from forebay.simulated_provider import Options

DEFAULT_PROVIDER_PORT: Final = 9000

Number = TypeVar("Number", int, float)


def simulate_provider(  # noqa: PLR0913 - each is a flag of the command
    *,
    host: Host = DEFAULT_HOST,
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65_535, help="The port to listen on; 0: any free one.")
    ] = DEFAULT_PROVIDER_PORT,
    rpm: Annotated[int | None, typer.Option("--rpm", min=0, help="Requests a minute, of each key and model.")] = None,
    tpm: Annotated[int | None, typer.Option("--tpm", min=0, help="Tokens a minute, of each key and model.")] = None,
    max_parallel: Annotated[int | None, typer.Option("--max-parallel", min=0, help="Calls at once.")] = None,
    latency: Annotated[
        str, typer.Option("--latency", metavar="S | LOW-HIGH", help="Seconds an answer takes, drawn evenly.")
    ] = "0",
    output_tokens: Annotated[
        str, typer.Option("--output-tokens", metavar="N | LOW-HIGH", help="Tokens of an answer, drawn evenly.")
    ] = "20-200",
    error_rate: Annotated[float, typer.Option("--error-rate", min=0, max=1, help="Share of calls that get a 500.")] = 0,
    hang_rate: Annotated[
        float, typer.Option("--hang-rate", min=0, max=1, help="Share of calls that get no answer.")
    ] = 0,
    disconnect_rate: Annotated[
        float, typer.Option("--disconnect-rate", min=0, max=1, help="Share of calls that get a closed connection.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Of the answers, and of everything drawn.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Simulate a provider, with true rate limits and faults.

    It is OpenAI-compatible: any key is accepted and every model exists. What it served is counted at /_simulator/stats.
    """
    from forebay.simulated_provider import Options

    options = Options(
        host=host,
        port=port,
        rpm=rpm,
        tpm=tpm,
        max_parallel=max_parallel,
        latency_s=_range(latency, float, "--latency"),
        output_tokens=_range(output_tokens, int, "--output-tokens"),
        error_rate=error_rate,
        hang_rate=hang_rate,
        disconnect_rate=disconnect_rate,
        seed=seed,
    )
    _serve(options, as_json=as_json)


def _serve(options: "Options", *, as_json: bool) -> None:
    import signal

    from forebay.simulated_provider import run

    def show(url: str) -> None:
        if as_json:
            show_json({"url": url})
        else:
            typer.echo(f"The simulated provider answers at {url}")
            typer.echo(f"  in config.yaml: {{model: openai/NAME, api_base: {url}, api_key: any}}")
        sys.stdout.flush()

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(options, show)
    except KeyboardInterrupt:
        raise typer.Exit from None
    except OSError as error:
        raise ConfigurationError(
            "--host/--port", f"{options.host}:{options.port}", f"a free address ({error.strerror})"
        ) from None


def _range(text: str, number: type[Number], flag: str) -> tuple[Number, Number]:
    low, _, high = text.partition("-")
    try:
        found = number(low), number(high or low)
    except ValueError:
        raise typer.BadParameter("a number, or two with `-` between them", param_hint=flag) from None
    if found[0] < 0 or found[1] < found[0]:
        raise typer.BadParameter("the lower number first, and none below 0", param_hint=flag)
    return found


SIMULATE_PROVIDER: Final = Command(
    "simulate-provider",
    simulate_provider,
    ("forebay simulate-provider --port 9000 --rpm 600 --tpm 60000 --latency 0.4-1.2 --error-rate 0.01",),
)

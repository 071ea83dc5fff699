"""The visible list of commands, and what is common to all: --version, errors, exit status."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from forebay.cli.api import API
from forebay.cli.cancel import CANCEL
from forebay.cli.check import CHECK
from forebay.cli.couriers import COURIERS
from forebay.cli.demo import DEMO
from forebay.cli.dlq import DLQ
from forebay.cli.jobs import JOBS
from forebay.cli.keys import KEYS
from forebay.cli.lanes import LANES
from forebay.cli.schedule import SCHEDULE
from forebay.cli.scheduler import SCHEDULER
from forebay.cli.screen import say_error
from forebay.cli.simulate_provider import SIMULATE_PROVIDER
from forebay.cli.submit import SUBMIT
from forebay.cli.up import UP
from forebay.cli.watch import WATCH
from forebay.cli.worker import WORKER
from shared.domain.errors import ConfigurationError, ForebayError

COMMANDS: Final = (
    DEMO,
    UP,
    CHECK,
    SUBMIT,
    WATCH,
    JOBS,
    CANCEL,
    LANES,
    SCHEDULE,
    *KEYS,
    *DLQ,
    API,
    WORKER,
    SCHEDULER,
    COURIERS,
    SIMULATE_PROVIDER,
)

GROUPS: Final = {
    "keys": "Make, list and revoke API keys.",
    "dlq": "Look at dead letters, have them run again, throw them away.",
}
"""Commands that have commands of their own."""


class _Forebay(TyperGroup):
    """Turns our own errors into one line each and exit status 1."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own type is private
        try:
            return super().invoke(ctx)
        except ForebayError as error:
            for wrong in error.each if isinstance(error, ConfigurationError) else (error,):
                say_error(wrong.message)
            raise typer.Exit(1) from error
        except OSError as error:  # a file that cannot be read or written
            if error.filename is None:
                raise
            say_error(f"{error.filename}: {error.strerror}")
            raise typer.Exit(1) from error
        except ExceptionGroup as group:  # several roles in one process fail as a group
            ours, others = group.split(ForebayError)
            if ours is None or others is not None:
                raise
            for leaf in _leaves(ours):
                say_error(str(leaf))
            raise typer.Exit(1) from group


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the flag's value
    if wanted:
        from importlib.metadata import version

        typer.echo(f"forebay {version('forebay')}")
        raise typer.Exit


def _forebay(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A queue between your programs and LLM providers: nothing lost, limits kept, answers reused."""


def _make_app() -> typer.Typer:
    app = typer.Typer(
        cls=_Forebay,
        callback=_forebay,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # the boxes of the other modes cost half a second at every --help
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="\b\nExample:\n  forebay demo",
    )
    groups: dict[str, typer.Typer] = {"": app}
    for command in COMMANDS:
        group, _, name = command.name.rpartition(" ")
        if group not in groups:
            groups[group] = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
            app.add_typer(groups[group], name=group, help=GROUPS[group], epilog=command.epilog)
        groups[group].command(name, help=command.help, epilog=command.epilog)(command.run)
    return app


app: Final = _make_app()

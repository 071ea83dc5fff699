"""``forebay lanes``: what waits in each lane and what its limits let through; pause and resume."""

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from forebay.cli.command import Command
from forebay.cli.options import AsJson
from forebay.cli.screen import make_table, say, show_json, stdout
from forebay.cli.server import talk
from shared.domain.lanes import Priority

if TYPE_CHECKING:
    from rich.table import Table

    from forebay.client import AsyncClient

Action = Literal["pause", "resume"]
Lanes = list[dict[str, Any]]

_LOOK_EVERY_S: Final = 1.0
_BAR: Final = 10
_COLUMNS: Final = ("lane", *Priority, "calls", "jobs/s", "limit in use", "breaker", "")
_BROKEN: Final = ("open", "half_open", "ramping", "closed")
"""States of breakers, the worst first."""


def lanes(
    action: Annotated[Action | None, typer.Argument(metavar="pause|resume", help="Without it: show all.")] = None,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Which lane to pause or resume.")] = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again each second, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show every lane, or pause and resume one.

    A paused lane still takes jobs in, and none of them starts; those that run go on. Pausing needs an administrator's key.
    """
    if action is not None:
        if name is None:
            raise typer.BadParameter(f"which lane? For example: forebay lanes {action} gpt-4o-mini", param_hint="NAME")
        if watch:
            raise typer.BadParameter("only a look at all lanes can be repeated", param_hint="--watch")
        _switch(action, name, as_json=as_json)
    elif watch:
        talk(lambda client: _watch(client, as_json=as_json))
    else:
        _show(talk(lambda client: client.lanes()), as_json=as_json)


def _switch(action: Action, name: str, *, as_json: bool) -> None:
    lane = talk(lambda client: client.pause_lane(name) if action == "pause" else client.resume_lane(name))
    if as_json:
        show_json(lane)
    else:
        waiting = "1 job waits" if lane["backlog"] == 1 else f"{lane['backlog']:,} jobs wait"
        typer.echo(f"{lane['lane']} is {'paused' if lane['paused'] else 'running'}; {waiting} in it")


def _show(found: Lanes, *, as_json: bool) -> None:
    if as_json:
        show_json({"object": "list", "data": found})
    elif not found:
        say("There are no lanes: the configuration names no models.")
    else:
        stdout().print(_table(found))


async def _watch(client: "AsyncClient", *, as_json: bool) -> None:
    from rich.live import Live

    from shared.domain.clock import SystemClock

    clock, console = SystemClock(), stdout()
    if as_json or not console.is_terminal:
        while True:
            _show(await client.lanes(), as_json=as_json)
            await clock.sleep(_LOOK_EVERY_S)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(_table(await client.lanes()), refresh=True)
            await clock.sleep(_LOOK_EVERY_S)


def _table(found: Lanes) -> "Table":
    rows: list[tuple[str, ...]] = []
    for lane in found:
        rows.append(_lane_row(lane))
        if len(lane["deployments"]) > 1:
            rows += [_deployment_row(deployment) for deployment in lane["deployments"]]
    return make_table("", _COLUMNS, rows)


def _lane_row(lane: dict[str, Any]) -> tuple[str, ...]:
    deployments = lane["deployments"]
    used = [deployment["utilisation"] for deployment in deployments]
    known = [share for share in used if share is not None]
    breakers = {deployment["breaker"] for deployment in deployments}
    jobs = lane["rate_per_second"]["jobs"]
    return (
        lane["lane"],
        *(f"{_waiting(lane['depth'], priority):,}" for priority in Priority),
        f"{sum(deployment['in_flight'] for deployment in deployments):,}",
        "?" if jobs is None else f"{jobs:,.4g}",
        _bar(sum(known) / len(known) if known else None),
        next((state for state in _BROKEN if state in breakers), ""),
        "paused" if lane["paused"] else "",
    )


def _deployment_row(deployment: dict[str, Any]) -> tuple[str, ...]:
    closed = deployment["closed_until"]
    return (
        f"  {deployment['id']}",
        *("" for _ in Priority),
        f"{deployment['in_flight']:,}",
        "",
        _bar(deployment["utilisation"]),
        deployment["breaker"],
        f"until {closed[11:19]} UTC" if closed else "",
    )


def _waiting(depth: dict[str, dict[str, int]], priority: Priority) -> int:
    """Add up the classes of a priority, their surplus and windows included."""
    return sum(sum(counts.values()) for name, counts in depth.items() if name.partition(".")[0] == priority)


def _bar(share: float | None) -> str:
    if share is None:
        return "?"
    filled = min(_BAR, round(share * _BAR))
    return f"{'█' * filled}{'░' * (_BAR - filled)} {share:4.0%}"


LANES: Final = Command(
    "lanes", lanes, ("forebay lanes --watch", "forebay lanes pause gpt-4o-mini", "forebay lanes resume gpt-4o-mini")
)

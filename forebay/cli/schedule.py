"""``forebay schedule``: which scheduler leads, what runs when, and what it did."""

from datetime import datetime
from typing import Any, Final

from forebay.cli.command import Command
from forebay.cli.options import AsJson
from forebay.cli.screen import make_table, say, show_json, stdout
from forebay.cli.server import talk

_COLUMNS: Final = ("duty", "times", "next run", "last run", "took", "did", "failed")


def schedule(*, as_json: AsJson = False) -> None:
    """Show which scheduler leads, and of each duty its next and its last run.

    `--json` has more of its last runs. Times are in UTC. It needs an administrator's key.
    """
    found = talk(lambda client: client.schedule())
    if as_json:
        show_json(found)
    elif found["leader"] is None:
        say("No scheduler has run yet: start one with `forebay scheduler`.")
    else:
        stdout().print(make_table(_title(found["leader"]), _COLUMNS, [_row(duty) for duty in found["duties"]]))


def _title(leader: dict[str, Any]) -> str:
    since = _shown(leader["since"])
    if leader["is_leading"]:
        return f"{leader['name']} leads since {since}, in term {leader['term']}"
    return f"nobody leads; {leader['name']} did until {_shown(leader['until'])}, in term {leader['term']}"


def _row(duty: dict[str, Any]) -> tuple[str, ...]:
    runs = duty["last_runs"]
    last = next((run for run in runs if run["ended_at"]), None)
    failed = [run for run in runs if run["error"]]
    return (
        duty["name"],
        duty["times"],
        _shown(duty["next_run_at"]),
        _shown(last["began_at"]) if last else "",
        _took(last) if last else "",
        _did(last) if last else "",
        f"{len(failed)} of {len(runs)}: {failed[0]['error']}" if failed else "",
    )


def _did(run: dict[str, Any]) -> str:
    parts = ", ".join(f"{name}: {count:,}" for name, count in run["did_of"].items())
    return f"{run['did']:,}" + (f" ({parts})" if parts else "")


def _took(run: dict[str, Any]) -> str:
    took = datetime.fromisoformat(run["ended_at"]) - datetime.fromisoformat(run["began_at"])
    return f"{took.total_seconds():.3g} s"


def _shown(moment: str | None) -> str:
    return moment[:19].replace("T", " ") if moment else ""


SCHEDULE: Final = Command("schedule", schedule, ("forebay schedule", "forebay schedule --json"))

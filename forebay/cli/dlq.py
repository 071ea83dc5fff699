"""``forebay dlq``: the dead letters: list, show, replay, drop."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from forebay.cli.command import Command
from forebay.cli.options import AsJson
from forebay.cli.paging import first_of
from forebay.cli.screen import say, say_error, show_json, show_table, stdout
from forebay.cli.server import talk

if TYPE_CHECKING:
    from forebay.client import AsyncClient

_COLUMNS: Final = ("id", "team", "model", "reason", "died (UTC)", "bytes", "attempts", "job is")
_SHOWN_APART: Final = ("object", "error", "replayed_at", "attempts", "request", "body")
_LARGEST_PAGE: Final = 100
_LONGEST_REASON: Final = 40
_EXAMPLE_ID: Final = "job_01k9b6x0v5e8m3t2r7q4w1y9za"

Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Only those with this reason.")]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Only those of this model, or lane.")]
Team = Annotated[str | None, typer.Option("--team", metavar="NAME", help="Only this team's.")]
LetterId = Annotated[str | None, typer.Argument(metavar="ID", help="One letter; else say which with the flags.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


def list_(
    *,
    reason: Reason = None,
    model: Model = None,
    team: Team = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the first to die first; what was asked is not shown. Needs an administrator's key."""
    selection = _named(reason, model, team)

    async def fetch(client: "AsyncClient") -> list[dict[str, Any]]:
        return await first_of(client.dead_letters.each(selection, page=min(limit, _LARGEST_PAGE)), limit)

    found = talk(fetch)
    if as_json:
        show_json({"object": "list", "data": found})
    elif not found:
        say("There are no such dead letters." if selection else "There are no dead letters.")
    else:
        show_table("", _COLUMNS, [_row(letter) for letter in found], stdout())


def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As `forebay dlq list` shows it.")],
    *,
    request: Annotated[bool, typer.Option("--request", help="Show what was asked as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a dead letter with the whole history of its job."""
    letter = talk(lambda client: client.dead_letters.one(letter_id, with_request=request))
    if as_json:
        show_json(letter)
        return
    for name, value in letter.items():
        if name not in _SHOWN_APART and value is not None:
            typer.echo(_labelled(name, value))
    if letter["error"] is not None:
        typer.echo(_labelled("error", letter["error"]["message"]))
    for number, attempt in enumerate(letter["attempts"] or ()):
        if number in letter["replayed_at"]:
            typer.echo(_labelled("replay", "began"))
        times = f"{attempt['started']} to {attempt['ended']}"
        typer.echo(_labelled("attempt", f"{times}  {attempt['deployment']}  {attempt['outcome']}"))
    for name in ("request", "body"):
        if letter.get(name) is not None:
            typer.echo(_labelled(name, ""), nl=False)
            show_json(letter[name])


def replay(
    letter_id: LetterId = None,
    *,
    reason: Reason = None,
    model: Model = None,
    team: Team = None,
    everything: All = False,
    as_json: AsJson = False,
) -> None:
    """Have the jobs of dead letters run again.

    Their attempts count anew, and a deadline that is over binds them no more. Letters that cannot be replayed stay.
    """
    selection = _chosen("replay", letter_id, _named(reason, model, team), everything=everything)
    done = talk(
        lambda client: (
            client.dead_letters.replay_all(selection) if letter_id is None else client.dead_letters.replay(letter_id)
        )
    )
    if as_json:
        show_json(done)
        return
    typer.echo(f"{done['replayed']:,} replayed, {done['kept']:,} kept{_more(done)}")
    for problem in done["problems"]:
        say_error(f"{problem['id']}: {problem['message']}")


def drop(
    letter_id: LetterId = None,
    *,
    reason: Reason = None,
    model: Model = None,
    team: Team = None,
    everything: All = False,
    as_json: AsJson = False,
) -> None:
    """Throw dead letters away, for good. Their jobs stay as they are."""
    selection = _chosen("drop", letter_id, _named(reason, model, team), everything=everything)
    done = talk(
        lambda client: (
            client.dead_letters.drop_all(selection) if letter_id is None else client.dead_letters.drop(letter_id)
        )
    )
    if as_json:
        show_json(done)
    else:
        typer.echo(f"{done['dropped']:,} dropped{_more(done)}")


def _labelled(name: str, value: object) -> str:
    return f"{name:<12}{value}"


def _named(reason: str | None, model: str | None, team: str | None) -> dict[str, str]:
    named = {"reason": reason, "model": model, "team": team}
    return {name: value for name, value in named.items() if value is not None}


def _chosen(action: str, letter_id: str | None, named: dict[str, str], *, everything: bool) -> dict[str, Any]:
    """Give the selection; one way to choose is needed, and two are refused."""
    ways = (letter_id is not None, bool(named), everything)
    if sum(ways) > 1:
        given = ("ID", " and ".join(f"--{name}" for name in named), "--all")
        both = " and ".join(name for name, is_given in zip(given, ways, strict=True) if is_given)
        raise typer.BadParameter(f"{both} exclude each other; give one of them", param_hint="ID")
    if not any(ways):
        raise typer.BadParameter(
            f"which letters? An ID, or --reason, --model or --team, or --all. For example: forebay dlq {action} --reason overloaded",
            param_hint="ID",
        )
    return {"all": True} if everything else dict(named)


def _row(letter: dict[str, Any]) -> tuple[str, ...]:
    reason, attempts = letter["reason"], letter["attempts"]
    return (
        letter["id"],
        letter["team"] or "?",
        letter["model"] or letter["lane"] or letter["queue"] or "?",
        reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…",
        (letter["died_at"] or "?")[:16].replace("T", " "),
        f"{letter['size']:,}",
        "?" if attempts is None else f"{len(attempts)}",
        letter["job_status"] or "?",
    )


def _more(done: dict[str, Any]) -> str:
    return "; there are more, so do it again" if done["has_more"] else ""


DLQ: Final = (
    Command("dlq list", list_, ("forebay dlq list --reason overloaded",)),
    Command("dlq show", show, (f"forebay dlq show {_EXAMPLE_ID} --request",)),
    Command("dlq replay", replay, (f"forebay dlq replay {_EXAMPLE_ID}", "forebay dlq replay --model gpt-4o-mini")),
    Command("dlq drop", drop, (f"forebay dlq drop {_EXAMPLE_ID}", "forebay dlq drop --team search")),
)

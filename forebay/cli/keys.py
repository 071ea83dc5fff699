"""``forebay keys``: make, list and revoke API keys."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from forebay.cli.command import Command
from forebay.cli.options import AsJson
from forebay.cli.paging import first_of
from forebay.cli.screen import say, show_json, show_table, stdout
from forebay.cli.server import talk
from shared.domain.allowances import OnLimit
from shared.domain.tenants import DEFAULT_SCOPES, Scope

if TYPE_CHECKING:
    from forebay.client import AsyncClient

_COLUMNS: Final = ("id", "team", "name", "key", "scopes", "limits", "created (UTC)", "revoked (UTC)")
_LARGEST_PAGE: Final = 100


def create(  # noqa: PLR0913 - a flag for each member of the key
    *,
    team: Annotated[str, typer.Option("--team", metavar="NAME", help="Whose key it is.")],
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="For people, to tell keys apart.")] = "",
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            "--scope", metavar="submit|read|admin", help="What it may do, once for each. [default: submit, read]"
        ),
    ] = None,
    rpm: Annotated[int | None, typer.Option("--rpm", min=0, metavar="N", help="Requests a minute.")] = None,
    tpm: Annotated[int | None, typer.Option("--tpm", min=0, metavar="N", help="Tokens a minute.")] = None,
    rpd: Annotated[int | None, typer.Option("--rpd", min=0, metavar="N", help="Requests a day.")] = None,
    tpd: Annotated[int | None, typer.Option("--tpd", min=0, metavar="N", help="Tokens a day.")] = None,
    on_limit: Annotated[
        OnLimit | None, typer.Option("--on-limit", help="Over a limit: refuse a job, or let it wait for its turn.")
    ] = None,
    max_input_tokens: Annotated[
        int | None, typer.Option("--max-input-tokens", min=1, metavar="N", help="Of one request.")
    ] = None,
    max_output_tokens: Annotated[
        int | None, typer.Option("--max-output-tokens", min=1, metavar="N", help="Of one request.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key for a team.

    It is shown this once; the server keeps only its hash. Limits are beside those of the team in the configuration.
    """
    limits = {"rpm": rpm, "tpm": tpm, "rpd": rpd, "tpd": tpd}
    wish: dict[str, Any] = {
        "team": team,
        "name": name,
        "scopes": list(dict.fromkeys(scope or DEFAULT_SCOPES)),
        "limits": {name: limit for name, limit in limits.items() if limit is not None},
        "on_limit": on_limit,
        "max_input_tokens": max_input_tokens,
        "max_output_tokens": max_output_tokens,
    }
    made = talk(lambda client: client.create_key(wish))
    if as_json:
        show_json(made)
    else:
        say(f"{made['id']} for team {made['team']}. The key is shown only this once:")
        typer.echo(made["key"])


def list_(
    *,
    team: Annotated[str | None, typer.Option("--team", metavar="NAME", help="Only this team's keys.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List keys, newest first, revoked ones too. None is shown in the clear."""

    async def fetch(client: "AsyncClient") -> list[dict[str, Any]]:
        return await first_of(client.keys(team, page=min(limit, _LARGEST_PAGE)), limit)

    found = talk(fetch)
    if as_json:
        show_json({"object": "list", "data": found})
    elif not found:
        say("There are no keys but the administrator's." if team is None else f"Team {team} has no keys.")
    else:
        show_table("", _COLUMNS, [_row(key) for key in found], stdout())


def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id (key_…), not the key itself.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Revoke a key.

    Within a second it opens nothing any more. Jobs that were submitted with it go on.
    """
    if key_id.startswith("fb-"):
        raise typer.BadParameter(
            "that is a key itself; name its id (key_…), as `forebay keys list` shows it", param_hint="ID"
        )
    key = talk(lambda client: client.revoke_key(key_id))
    if as_json:
        show_json(key)
    else:
        typer.echo(f"{key['id']} of team {key['team']} is revoked")


def _row(key: dict[str, Any]) -> tuple[str, ...]:
    limits = (f"{limit:,} {name}" for name, limit in key["limits"].items() if limit is not None)
    return (
        key["id"],
        key["team"],
        key["name"],
        key["hint"],
        ", ".join(key["scopes"]),
        ", ".join(limits),
        _minute(key["created_at"]),
        _minute(key["revoked_at"] or ""),
    )


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


KEYS: Final = (
    Command(
        "keys create",
        create,
        (
            "forebay keys create --team search --name nightly",
            "forebay keys create --team ads --rpm 60 --on-limit queue",
        ),
    ),
    Command("keys list", list_, ("forebay keys list --team search",)),
    Command("keys revoke", revoke, ("forebay keys revoke key_01k9b6x0v5e8m3t2r7q4w1y9za",)),
)

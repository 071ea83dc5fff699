"""The allowances of our own users, where all processes meet.

The owners within a team share the team's slot of a cluster; the ceiling of all teams has one of its own. So a charge is up
to two scripts, sent together: if one of them refuses, what the other took is given back.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import CEILING, ceiling_receipt, of_team
from shared.adapters.redis.round_trips import Argument, RoundTrips, ScriptCall
from shared.adapters.redis.scripts import SETTLE_ALLOWANCE, TAKE_ALLOWANCE
from shared.domain.allowances import (
    EVERYBODY,
    MEASURES,
    Allowance,
    Charge,
    Charged,
    KnownAlready,
    OverLimit,
    Owner,
    owners_of,
)
from shared.domain.job import JobSpec

RECEIPT_S: Final = 8 * 86_400.0
"""Seconds for which a charge can be settled: longer than patient work waits."""

SHORT_RECEIPT_S: Final = 60.0
"""The same where no tokens are counted, so that a receipt is of use only while its own charge may be repeated."""

NOTHING: Final = (0.0, 0.0)

Moment = Callable[[], Argument]
"""Gives the moment of a step (seconds since the epoch), or an empty string for the server's own clock."""

Answer = Charged | KnownAlready | OverLimit
Limited = tuple[tuple[Owner, Allowance], ...]


class RedisAllowances:
    """Implements ``Allowances``."""

    def __init__(self, client: Client, moment: Moment = lambda: "") -> None:
        """``moment``: other than the server's own clock only where a test moves the time."""
        self._server = RoundTrips(client)
        self._moment = moment

    async def take(self, charges: Sequence[Charge]) -> list[Answer]:
        """Take each charge from all of its owners or from none."""
        parts = [(place, *part) for place, charge in enumerate(charges) for part in self._parts_of(charge)]
        replies = await self._server.run_all([call for _, _, call in parts]) if parts else []
        answers: list[Answer] = [Charged() for _ in charges]
        touched: set[int] = set()
        for (place, limited, _), reply in zip(parts, replies, strict=True):
            answer = _answer_from(reply, limited)
            answers[place] = _together(answers[place], answer)
            if isinstance(answer, Charged):
                touched.add(place)
        in_vain = [charges[place].spec for place in touched if not isinstance(answers[place], Charged)]
        if in_vain:
            await self._settle_all(in_vain, NOTHING)
        return answers

    async def settle(self, spec: JobSpec, amounts: tuple[float, float]) -> None:
        """Say what a charged job really took."""
        await self._settle_all([spec], amounts)

    async def _settle_all(self, specs: Sequence[JobSpec], amounts: tuple[float, float]) -> None:
        await self._server.run_all([call for spec in specs for call in self._settlements(spec, amounts)])

    def _parts_of(self, charge: Charge) -> Iterator[tuple[Limited, ScriptCall]]:
        keys, key = of_team(charge.spec.team), charge.idempotency_key
        has_ceiling = not charge.ceiling.is_unlimited
        if charge.owners or (has_ceiling and key is not None):
            receipt = keys.receipt(charge.spec.id)
            known = receipt if key is None else keys.idempotency(key)
            names = [receipt, known, *(keys.allowance(owner) for owner, _ in charge.owners)]
            yield charge.owners, self._taking(charge, names, charge.owners)
        if has_ceiling:
            receipt = ceiling_receipt(charge.spec.id)
            limited = ((EVERYBODY, charge.ceiling),)
            yield limited, self._taking(charge, [receipt, receipt, CEILING], limited)

    def _taking(self, charge: Charge, names: Sequence[str], limited: Limited) -> ScriptCall:
        kept_s = RECEIPT_S if charge.counts_tokens else SHORT_RECEIPT_S
        arguments: list[Argument] = [self._moment(), charge.patience_s, kept_s, *charge.amounts]
        for owner, allowance in limited:
            arguments += [_letter(owner), *("" if limit is None else limit for limit in allowance.limits)]
        return ScriptCall(TAKE_ALLOWANCE, names, arguments)

    def _settlements(self, spec: JobSpec, amounts: tuple[float, float]) -> Iterator[ScriptCall]:
        keys, owners = of_team(spec.team), owners_of(spec)
        of_owners = [keys.receipt(spec.id), *map(keys.allowance, owners)]
        of_ceiling = [ceiling_receipt(spec.id), CEILING]
        for names, charged in ((of_owners, owners), (of_ceiling, (EVERYBODY,))):
            yield ScriptCall(SETTLE_ALLOWANCE, names, [self._moment(), *amounts, *map(_letter, charged)])


def _letter(owner: Owner) -> str:
    return owner.kind[0]


def _answer_from(reply: Sequence[Any], limited: Limited) -> Answer:
    if reply[0] == b"known":
        return KnownAlready()
    if reply[0] == b"charged":
        return Charged(float(reply[1]))
    owner, allowance = limited[reply[2] - 1]
    limit, measure = allowance.limits[reply[3] - 1], MEASURES[reply[3] - 1]
    assert limit is not None
    return OverLimit(owner, limit, measure, float(reply[1]))


def _together(one: Answer, other: Answer) -> Answer:
    """Give what both of them say of a charge: the first that takes nothing, or that it may go on when the later may."""
    if isinstance(one, Charged) and isinstance(other, Charged):
        return Charged(max(one.wait_s, other.wait_s))
    return other if isinstance(one, Charged) else one

"""The allowances of our own users, where all processes meet.

The owners within a team share the team's slot of a cluster; the ceiling of all teams has one of its own. So a charge goes
through up to two scripts, sent together: if one of them refuses, what the other took is given back. Charges with the same
owners go through one run of a script.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
    OwnerKind,
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


@dataclass(frozen=True, slots=True)
class _Purse:
    """The buckets that one run of the script takes from, all in one slot. team: None: those of all teams together."""

    team: str | None
    limited: Limited

    def keys_of(self, charge: Charge) -> tuple[str, str]:
        """The receipt of a charge, and what its idempotency key stands for; of the ceiling that is not asked."""
        if self.team is None:
            receipt = ceiling_receipt(charge.spec.id)
            return receipt, receipt
        keys, key = of_team(self.team), charge.idempotency_key
        receipt = keys.receipt(charge.spec.id)
        return receipt, receipt if key is None else keys.idempotency(key)

    @property
    def buckets(self) -> list[str]:
        """The owners' keys."""
        return [_bucket(owner) for owner, _ in self.limited]

    @property
    def arguments(self) -> list[Argument]:
        """The owners' kinds and limits."""
        texts: list[Argument] = [len(self.limited)]
        for owner, allowance in self.limited:
            texts += [_letter(owner), *("" if limit is None else limit for limit in allowance.limits)]
        return texts


class RedisAllowances:
    """Implements ``Allowances``."""

    def __init__(self, client: Client, moment: Moment = lambda: "") -> None:
        """``moment``: other than the server's own clock only where a test moves the time."""
        self._server = RoundTrips(client)
        self._moment = moment

    async def take(self, charges: Sequence[Charge]) -> list[Answer]:
        """Take each charge from all of its owners or from none."""
        answers, freed = await self._take(charges)
        again = [place for place, answer in enumerate(answers) if freed and _is_over_ceiling(answer)]
        if again:  # what others of this group took of the ceiling in vain may be enough for them
            for place, answer in zip(again, (await self._take([charges[place] for place in again]))[0], strict=True):
                answers[place] = answer
        return answers

    async def settle(self, spec: JobSpec, amounts: tuple[float, float]) -> None:
        """Say what a charged job really took."""
        await self._server.run_all([self._settling(spec, team, amounts) for team in (spec.team, None)])

    async def _take(self, charges: Sequence[Charge]) -> tuple[list[Answer], bool]:
        """Give the answers, and whether something of the ceiling was taken in vain and given back."""
        purses: dict[tuple[_Purse, bool], list[int]] = {}
        for place, charge in enumerate(charges):
            for purse in _purses_of(charge):
                purses.setdefault((purse, charge.counts_tokens), []).append(place)
        # Those of the team first, so that it is their answer that counts where both refuse.
        groups = sorted(purses.items(), key=lambda group: group[0][0].team is None)
        calls = [self._taking(purse, counts, [charges[at] for at in places]) for (purse, counts), places in groups]
        answers: list[Answer] = [Charged() for _ in charges]
        taken: list[tuple[int, str | None]] = []
        for ((purse, _), places), replies in zip(
            groups, await self._server.run_all(calls) if calls else (), strict=True
        ):
            for place, reply in zip(places, replies, strict=True):
                answer = _answer_from(reply, purse.limited)
                answers[place] = _together(answers[place], answer)
                if isinstance(answer, Charged) and purse.limited:
                    taken.append((place, purse.team))
        in_vain = [(charges[place].spec, team) for place, team in taken if not isinstance(answers[place], Charged)]
        if in_vain:
            await self._server.run_all([self._settling(spec, team, NOTHING) for spec, team in in_vain])
        return answers, any(team is None for _, team in in_vain)

    def _taking(self, purse: _Purse, counts_tokens: bool, charges: Sequence[Charge]) -> ScriptCall:  # noqa: FBT001 - a part of the group's name
        names, kept_s = purse.buckets, RECEIPT_S if counts_tokens else SHORT_RECEIPT_S
        arguments = [self._moment(), kept_s, *purse.arguments]
        for charge in charges:
            names += purse.keys_of(charge)
            arguments += [*charge.amounts, charge.patience_s]
        return ScriptCall(TAKE_ALLOWANCE, names, arguments)

    def _settling(self, spec: JobSpec, team: str | None, amounts: tuple[float, float]) -> ScriptCall:
        owners = (EVERYBODY,) if team is None else owners_of(spec)
        receipt = ceiling_receipt(spec.id) if team is None else of_team(team).receipt(spec.id)
        arguments = [self._moment(), *amounts, *map(_letter, owners)]
        return ScriptCall(SETTLE_ALLOWANCE, [receipt, *map(_bucket, owners)], arguments)


def _purses_of(charge: Charge) -> Iterator[_Purse]:
    has_ceiling = not charge.ceiling.is_unlimited
    if charge.owners or (has_ceiling and charge.idempotency_key is not None):
        yield _Purse(charge.spec.team, charge.owners)
    if has_ceiling:
        yield _Purse(None, ((EVERYBODY, charge.ceiling),))


def _bucket(owner: Owner) -> str:
    return CEILING if owner.kind is OwnerKind.INSTALLATION else of_team(owner.team).allowance(owner)


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


def _is_over_ceiling(answer: Answer) -> bool:
    return isinstance(answer, OverLimit) and answer.owner is EVERYBODY

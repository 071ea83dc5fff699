"""The limits of our own users, at the door: who is over one is told so, or is given a turn."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from producer_api.drafts import Draft
from shared.domain.allowances import Allowances, Charge, Charged, OverLimit
from shared.domain.clock import Clock
from shared.domain.errors import LimitExceeded, StoreUnavailable
from shared.domain.job import JobSpec

UNUSED = (0.0, 0.0)
"""Requests and tokens of a job that came to nothing."""


class Metering:
    """Charges jobs before they are recorded."""

    def __init__(self, allowances: Allowances, clock: Clock) -> None:
        """``clock`` only tells when a turn is; how much there is left is counted by the store's."""
        self._allowances = allowances
        self._clock = clock

    async def take(self, drafts: Sequence[Draft]) -> list[Draft | LimitExceeded]:
        """Charge each draft that somebody limits, all of them in one round trip.

        A draft that is known already, by its idempotency key, is not charged. Raises ``StoreUnavailable``.
        """
        charges = [draft.charge for draft in drafts if draft.charge is not None]
        answers = iter(await self._allowances.take(charges) if charges else ())
        metered: list[Draft | LimitExceeded] = []
        for draft in drafts:
            charge = draft.charge
            if charge is None:
                metered.append(draft)
                continue
            answer = next(answers)
            if isinstance(answer, OverLimit):
                metered.append(_refusal(answer, charge))
            elif not isinstance(answer, Charged):
                metered.append(replace(draft, charge=None))
            else:
                metered.append(self._in_turn(draft, answer.wait_s) if answer.wait_s > 0 else draft)
        return metered

    async def give_back(self, specs: Sequence[JobSpec]) -> None:
        """Undo the charges of jobs that came to nothing; without the store they stand."""
        with suppress(StoreUnavailable):
            for spec in specs:
                await self._allowances.settle(spec, UNUSED)

    def _in_turn(self, draft: Draft, wait_s: float) -> Draft:
        return draft.later(self._clock.now() + wait_s)


def _refusal(over: OverLimit, charge: Charge) -> LimitExceeded:
    seconds = max(1, math.ceil(over.wait_s))
    if over.limit == 0:
        when = "Nothing is let in."
    elif charge.patience_s > 0:
        when = f"Its turn would come in {seconds} s, which is after its deadline or more than a week ahead."
    else:
        when = f"There is room again in {seconds} s."
    return LimitExceeded(f"Over a limit: {over}. {when}", over.wait_s)

"""The keys and models that have called: the limits of each, and what each was served."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from forebay.simulated_provider.counters import Arrivals, Contents, Tally
from forebay.simulated_provider.limits import Limits, Meter


@dataclass(frozen=True, slots=True)
class Account:
    """One key's use of one model."""

    meter: Meter
    tally: Tally = field(default_factory=Tally)


class Accounts:
    """Every account by its key and model, and the sum of all."""

    def __init__(self, limits: Limits) -> None:
        """``limits``: of each account, until others are set."""
        self._limits_at_start = limits
        self.forget()

    def forget(self) -> None:
        """Begin anew: the first limits, full buckets, counts at nothing. Calls in flight go on and count no more."""
        self._limits = self._limits_at_start
        self._limits_of_model: dict[str, Limits] = {}
        self._accounts: dict[tuple[str, str], Account] = {}
        self.total = Tally()
        self.contents = Contents()
        self.arrivals = Arrivals()

    def of(self, key: str, model: str, now: float) -> Account:
        """Give the account of a key and model."""
        account = self._accounts.get((key, model))
        if account is None:
            account = Account(Meter(self._limits_of_model.get(model, self._limits), now))
            self._accounts[key, model] = account
        return account

    def limit(self, changes: dict[str, int | float | None], model: str | None, now: float) -> None:
        """Change limits of one model, or of all, from now on; raises ``TypeError`` for an unknown limit."""
        if model is None:
            self._limits = replace(self._limits, **changes)  # type: ignore[arg-type]  # read from JSON, checked there
            self._limits_of_model.clear()
        else:
            now_set = self._limits_of_model.get(model, self._limits)
            self._limits_of_model[model] = replace(now_set, **changes)  # type: ignore[arg-type]  # as above
        for (_, called), account in self._accounts.items():
            if model in {None, called}:
                account.meter.set(self._limits_of_model.get(called, self._limits), now)

    def report(self, *, with_contents: bool, with_arrivals: bool = False) -> dict[str, Any]:
        """Give all counts. A key is shown as the first 12 digits of its SHA-256."""
        accounts = [
            {"key": name_of(key), "model": model, **account.tally.report()}
            for (key, model), account in self._accounts.items()
        ]
        report: dict[str, Any] = {"total": self.total.report(), "accounts": accounts}
        if with_contents:
            report["contents"] = self.contents.report()
        if with_arrivals:
            report["arrivals"] = self.arrivals.report()
        return report


def name_of(key: str) -> str:
    """Give the name by which reports know a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]

"""Tell the teams which deployments went down, and which came back."""

from collections.abc import AsyncIterator

from scheduler.duties.parts import DutyParts
from shared.domain.notices import Announcer, Notice
from shared.domain.provider_changes import ProviderChange, change_after, never_down


class TellProviderChanges:
    """A duty. Running it twice at once does no harm: a change is noted once, and put into each outbox once.

    It ends what an earlier run began before it looks for what is new. Notices that cannot be published stay in the outbox.
    """

    def __init__(self, parts: DutyParts) -> None:
        """Look at the breakers of ``parts.lanes``, and at what was told last."""
        self._lanes = parts.lanes
        self._limits = parts.limits
        self._changes = parts.provider_changes
        self._announcer = Announcer(parts.queue, parts.outbox)

    async def __call__(self) -> dict[str, int]:
        """Do it; give how many went down and how many came back. Raises ``Unavailable``."""
        last = {(change.lane, change.deployment): change for change in await self._changes.last()}
        notices, told = list[Notice](), dict[str, int]()
        for place, change in last.items():
            if not change.is_told:
                notices += await self._told(change)
                last[place] = change.as_told()
        async for before, change in self._new(last):
            if await self._changes.note(before, change):
                notices += await self._told(change)
                told[change.status.value] = told.get(change.status.value, 0) + 1
        await self._announcer.tell(notices)
        return told

    async def _told(self, change: ProviderChange) -> list[Notice]:
        """Put a noted change into the outboxes; give the notices."""
        notices = await self._changes.tell(change)
        await self._changes.note(change, change.as_told())
        return list(notices)

    async def _new(
        self, last: dict[tuple[str, str], ProviderChange]
    ) -> AsyncIterator[tuple[ProviderChange, ProviderChange]]:
        """Give each change that is not noted yet, behind the one before it."""
        for lane in self._lanes:
            states = await self._limits.look(lane.name, lane.deployments)
            for deployment, state in zip(lane.deployments, states, strict=True):
                before = last.get((lane.name, deployment.id)) or never_down(lane.name, deployment.id)
                change = change_after(before, state.circuit, state.at)
                if change is not None:
                    yield before, change

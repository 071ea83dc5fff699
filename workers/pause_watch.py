"""A worker's eye on the lanes that administrators pause: it turns its switch as the store says."""

from collections.abc import Iterable
from typing import Final

from shared.domain.clock import Clock
from shared.domain.errors import StoreUnavailable
from shared.domain.events import Emit, LaneSwitched
from shared.domain.lane_pauses import LanePauses
from workers.lane_switch import LaneSwitch

LOOK_EVERY_S: Final = 0.5
"""Seconds between two looks, so that a worker follows within one."""


class PauseWatch:
    """Follows the pauses; while the store is away, all stays as it was last known."""

    def __init__(self, pauses: LanePauses, switch: LaneSwitch, lanes: Iterable[str], clock: Clock, emit: Emit) -> None:
        """``switch`` is turned for each of the ``lanes``."""
        self._pauses = pauses
        self._switch = switch
        self._lanes = tuple(lanes)
        self._clock = clock
        self._emit = emit

    async def look(self) -> None:
        """Look once."""
        try:
            paused = await self._pauses.paused()
        except StoreUnavailable:
            return
        for lane in self._lanes:
            if self._switch.is_paused(lane) is not (lane in paused):
                (self._switch.pause if lane in paused else self._switch.resume)(lane)
                self._emit(LaneSwitched(lane, lane in paused))

    async def keep_looking(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            await self.look()

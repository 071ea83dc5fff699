"""A scheduler in a process of its own, for the tests: it has two duties, which write down who did them.

``python -m tests.integration.scheduler_process STORE_URL LEASE_S INTERVAL_S``
"""

import asyncio
import os
import signal
import sys

from redis.asyncio import Redis

from scheduler.scheduler import Scheduler
from scheduler.timetable import Row, every
from shared.adapters.redis.connection import connect
from shared.adapters.redis.schedule import RedisSchedule
from shared.domain.clock import SystemClock

DUTIES = ("one duty", "another duty")


def done_key(duty: str) -> str:
    """A list: the process of each time that a duty was really done."""
    return f"done:{duty}"


async def main(url: str, lease_s: float, interval_s: float) -> None:
    client = connect(url)
    assert isinstance(client, Redis)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    def row(name: str) -> Row:
        async def duty() -> int:
            return await client.rpush(done_key(name), os.getpid())

        return Row(name, every(interval_s), duty)

    rows = [row(name) for name in DUTIES]
    await Scheduler(rows, RedisSchedule(client), SystemClock(), lambda _: None, lease_s).run(stop)
    await client.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))

import asyncio

from workers.room import ON_THE_WAY, Room


async def test_only_a_few_jobs_are_on_their_way_at_a_time() -> None:
    room = Room(100)
    for number in range(ON_THE_WAY):
        await room.free()
        room.enter(f"job-{number}")
    coming = asyncio.create_task(room.free())
    await asyncio.sleep(0)
    assert not coming.done()
    room.leave("job-0")
    await coming


async def test_no_more_jobs_run_than_there_are_slots() -> None:
    room = Room(2)
    for job in ("job-0", "job-1"):
        await room.free()
        room.enter(job)
        room.leave(job)
    coming = asyncio.create_task(room.free())
    await asyncio.sleep(0)
    assert not coming.done()
    room.end("job-1")
    await coming

import pytest

from shared.domain.lanes import CLASSES, JobClass, Priority
from workers.room import PLACES, Room

INTERACTIVE, STANDARD, BULK = JobClass("interactive"), JobClass("standard"), JobClass("bulk")
DEFERRABLE = [job_class for job_class in CLASSES if job_class.window]
NOW = 0.0


def fill(room: Room, job_class: JobClass, *, through_the_gate: bool = False) -> int:
    """Let jobs of a class come until there is no place for another; give how many those are."""
    count = 0
    while room.has_place_for(job_class):
        room.enter(f"{job_class.name}-{count}", job_class, NOW)
        if through_the_gate:
            room.leave(f"{job_class.name}-{count}")
        count += 1
    return count


def test_only_a_few_jobs_of_a_class_are_on_their_way_at_a_time() -> None:
    room = Room(100)
    assert fill(room, BULK) == PLACES[Priority.BULK]
    room.leave("bulk-0")
    assert room.has_place_for(BULK)


@pytest.mark.parametrize("waiting", CLASSES)
def test_what_waits_for_capacity_keeps_out_no_other_class(waiting: JobClass) -> None:
    room = Room(100)
    fill(room, waiting)
    others = [each for each in CLASSES if each != waiting and not (each.window and waiting.window)]
    assert all(room.has_place_for(each) for each in others)


def test_deferrable_work_holds_two_places_over_all_its_windows() -> None:
    room = Room(100)
    assert [fill(room, job_class) for job_class in DEFERRABLE] == [2, 0, 0, 0]


def test_no_more_jobs_run_than_there_are_slots() -> None:
    room = Room(20)
    assert fill(room, INTERACTIVE, through_the_gate=True) == 20
    room.end("interactive-3", INTERACTIVE)
    assert room.has_place_for(INTERACTIVE)


def test_interactive_work_has_slots_of_its_own() -> None:
    room = Room(20, interactive_reserve=0.1)
    assert fill(room, BULK, through_the_gate=True) == 18
    assert not room.has_place_for(STANDARD)
    assert fill(room, INTERACTIVE, through_the_gate=True) == 2


def test_the_only_slot_is_for_everybody() -> None:
    assert Room(1, interactive_reserve=0.9).has_place_for(DEFERRABLE[0])


def test_it_is_said_when_there_is_more_room() -> None:
    told = list[str]()
    room = Room(1)
    room.listen(lambda: told.append("more room"))
    room.enter("job", BULK, NOW)
    assert told == []
    room.leave("job")
    room.end("job", BULK)
    assert len(told) == 2


def test_a_job_that_comes_twice_holds_two_slots_and_one_place() -> None:
    room = Room(100)
    for _ in range(PLACES[Priority.BULK]):
        room.enter("job", BULK, NOW)
    assert room.has_place_for(BULK)
    for _ in range(PLACES[Priority.BULK]):
        room.end("job", BULK)
    assert fill(room, BULK) == PLACES[Priority.BULK]


def test_it_knows_how_long_a_job_is_on_the_way() -> None:
    room = Room(100)
    room.enter("early", BULK, 10.0)
    room.enter("late", INTERACTIVE, 25.0)
    room.enter("through", INTERACTIVE, 25.0)
    room.leave("through")
    assert room.kept_waiting(30.0) == {"early": 20.0, "late": 5.0}

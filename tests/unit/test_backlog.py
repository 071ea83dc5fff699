"""What waits ahead of a new job, when its turn comes, and whether there is room for it."""

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.backlog import (
    BacklogPolicy,
    Full,
    LaneOutlook,
    Projection,
    Room,
    TooLate,
    WaitingRoom,
    judge,
    waiting_rooms,
)
from shared.domain.circuit import Circuit
from shared.domain.lanes import CLASSES, DEFAULT_WEIGHTS, JobClass, Priority
from shared.domain.limit_state import LimitState
from shared.domain.rate_limit import Rates
from shared.domain.routing import ClientKind, ConfiguredLimits, Deployment
from shared.domain.throughput import Throughput
from shared.domain.turns import Turns
from shared.domain.work_queue import QueueDepth

NOW = 1_000.0
INTERACTIVE, STANDARD, BULK, DAY = (JobClass(name) for name in ("interactive", "standard", "bulk", "deferrable.24h"))


def ten_a_second(**changes: Any) -> Throughput:  # noqa: ANN401 - any field
    return Throughput(**{"requests_per_s": 10.0, "tokens_per_s": None, "opens_at": NOW} | changes)


def outlook(waiting: dict[JobClass, int], *throughputs: Throughput, **changes: Any) -> LaneOutlook:  # noqa: ANN401 - any field
    depths = dict.fromkeys(CLASSES, QueueDepth(0, 0)) | {each: QueueDepth(n, 0) for each, n in waiting.items()}
    rooms = waiting_rooms(depths, 0, DEFAULT_WEIGHTS)
    return LaneOutlook(NOW, rooms, sum(waiting.values()), throughputs or (ten_a_second(),), **changes)


def projected(found: LaneOutlook, job_class: JobClass) -> Projection:
    projection = found.projection(job_class)
    assert projection is not None
    return projection


def turns_before(job_class: JobClass, waiting: dict[JobClass, int]) -> int:
    """Count by the real rule of turns what is served before a job that joins the end of its class."""
    left = dict(waiting)
    left[job_class] = left.get(job_class, 0) + 1
    turns = Turns(DEFAULT_WEIGHTS)
    served = 0
    while True:
        chosen = turns.next([each for each, count in left.items() if count > 0])
        left[chosen] -= 1
        if chosen == job_class and left[chosen] == 0:
            return served
        served += 1


def test_a_job_of_an_empty_lane_starts_at_once() -> None:
    assert projected(outlook({}), BULK) == Projection(0, NOW, NOW)


def test_a_job_starts_when_those_of_its_class_that_came_before_it_have() -> None:
    assert projected(outlook({BULK: 600}), BULK) == Projection(600, NOW + 60, NOW + 60)


def test_an_interactive_job_hardly_waits_for_bulk_work() -> None:
    assert projected(outlook({BULK: 100_000}), INTERACTIVE).starts_at == pytest.approx(NOW, abs=0.1)


def test_bulk_work_waits_for_all_interactive_work_that_its_weight_lets_go_first() -> None:
    assert projected(outlook({INTERACTIVE: 500, BULK: 100}), BULK).jobs_ahead == 600
    assert projected(outlook({INTERACTIVE: 100_000, BULK: 100}), BULK).jobs_ahead == 100 + 101 * 16


@pytest.mark.parametrize("job_class", [INTERACTIVE, STANDARD, BULK])
@pytest.mark.parametrize(
    "waiting",
    [
        {INTERACTIVE: 40, STANDARD: 300, BULK: 900},
        {INTERACTIVE: 2_000, STANDARD: 30, BULK: 10},
        {STANDARD: 500, BULK: 500},
        {BULK: 50},
    ],
    ids=str,
)
def test_the_estimate_agrees_with_the_turns_that_are_really_taken(
    job_class: JobClass, waiting: dict[JobClass, int]
) -> None:
    estimated = projected(outlook(waiting), job_class).jobs_ahead
    assert estimated == pytest.approx(turns_before(job_class, waiting), abs=20)


def test_a_surplus_job_waits_for_the_main_class_and_for_the_surplus_before_it() -> None:
    waiting = {BULK: 100, BULK.surplus: 5_000}
    assert projected(outlook(waiting), BULK).jobs_ahead == pytest.approx(100, abs=100 / 15 + 1)
    assert projected(outlook(waiting), BULK.surplus).jobs_ahead == 5_100
    few_before_it = {BULK: 10_000, BULK.surplus: 9}
    assert projected(outlook(few_before_it), BULK.surplus).jobs_ahead == 9 + 10 * 15


def test_deferrable_work_waits_for_everything_that_is_more_urgent() -> None:
    waiting = {INTERACTIVE: 10, STANDARD: 2_000, BULK.surplus: 3_000, DAY: 50}
    assert projected(outlook(waiting), DAY).jobs_ahead == 5_060


def test_jobs_sent_since_the_look_wait_ahead_as_well() -> None:
    later = outlook({BULK: 10}).joined_by(BULK, 4).joined_by(BULK).joined_by(BULK.surplus, 7)
    assert (projected(later, BULK).jobs_ahead, projected(later, BULK.surplus).jobs_ahead) == (16, 22)
    assert (projected(later.joined_by(DAY, 3), DAY).jobs_ahead, later.backlog) == (25, 22)


def test_a_closed_deployment_helps_only_once_it_opens() -> None:
    closed = ten_a_second(opens_at=NOW + 30)
    assert projected(outlook({}, closed), BULK).starts_at == NOW + 30
    pair = outlook({BULK: 100}, ten_a_second(), closed)
    assert projected(pair, BULK).starts_at == NOW + 10
    assert projected(outlook({BULK: 500}, ten_a_second(), closed), BULK).starts_at == NOW + 30 + 200 / 20


def test_tokens_bound_the_pace_where_they_are_what_is_short() -> None:
    by_tokens = ten_a_second(tokens_per_s=1_000.0)
    assert projected(outlook({BULK: 100}, by_tokens, tokens_per_job=500), BULK).starts_at == NOW + 50
    measured = ten_a_second(tokens_per_s=1_000.0, tokens_per_call=200.0)
    assert projected(outlook({BULK: 100}, measured, tokens_per_job=500), BULK).starts_at == NOW + 20


def test_calls_at_once_bound_the_pace_once_it_is_known_how_long_one_takes() -> None:
    busy = ten_a_second(parallel=4, latency_s=2.0)
    assert projected(outlook({BULK: 10}, busy), BULK) == Projection(10, NOW + 5, NOW + 7)


def test_an_unknown_pace_gives_no_estimate() -> None:
    unknown = ten_a_second(requests_per_s=None)
    assert outlook({BULK: 10}, unknown).projection(BULK) is None
    assert outlook({BULK: 10}, ten_a_second(), unknown).projection(BULK) is None


def test_a_lane_that_lets_nothing_through_or_is_paused_gives_no_estimate() -> None:
    assert outlook({}, ten_a_second(requests_per_s=0.0)).projection(BULK) is None
    assert outlook({}, is_paused=True).projection(BULK) is None


def test_of_the_messages_in_hand_those_under_way_have_started() -> None:
    depths = {INTERACTIVE: QueueDepth(0, 30), BULK: QueueDepth(100, 10), BULK.surplus: QueueDepth(7, 0)}
    for in_flight, interactive, bulk in ((20, 15, 105), (0, 30, 110), (99, 0, 100)):
        assert waiting_rooms(depths, in_flight, DEFAULT_WEIGHTS) == (
            WaitingRoom(Priority.INTERACTIVE, 64, {INTERACTIVE: interactive}, interactive),
            WaitingRoom(Priority.BULK, 4, {BULK: bulk, BULK.surplus: 7}, bulk + 7),
        )


def deployment(**limits: int) -> Deployment:
    return Deployment("d1", "m", "openai/m", ClientKind.HTTP, limits=ConfiguredLimits(**limits))


def test_a_configured_limit_is_known_from_the_start_and_cut_by_what_was_learned() -> None:
    configured = deployment(requests_per_minute=600, tokens_per_minute=60_000)
    fresh = LimitState.missing(Rates.of(configured.limits), 5.0)
    assert Throughput.of(configured, fresh, NOW) == Throughput(10.0, 1_000.0, NOW)
    halved = LimitState(at=5.0, share=0.5, closed_until=25.0, held={"r1": 9.0})
    assert Throughput.of(configured, halved, NOW) == Throughput(5.0, 500.0, NOW + 20, in_flight=1)


def test_what_calls_took_of_late_is_taken_over() -> None:
    limited = deployment(requests_per_minute=600, tokens_per_minute=60_000, max_parallel_requests=4)
    state = LimitState(at=5.0, share=1.0, flow=(2.0, 300.0, 0.0, 0.0), latency_s=1.5)
    measured = Throughput(10.0, 1_000.0, NOW, parallel=4, latency_s=1.5, tokens_per_call=150.0)
    assert Throughput.of(limited, state, NOW) == measured
    assert Throughput.of(limited, replace(state, flow=(0.01, 9.0, 0.0, 0.0)), NOW).tokens_per_call is None


@pytest.mark.parametrize(("open_until", "opens_at"), [(0.0, NOW), (12.0, NOW + 7), (4.0, NOW)])
def test_a_deployment_whose_breaker_is_open_helps_once_it_may_be_probed(open_until: float, opens_at: float) -> None:
    broken = LimitState(at=5.0, share=1.0, circuit=Circuit(opened_at=1.0, open_until=open_until))
    assert Throughput.of(deployment(requests_per_minute=600), broken, NOW).opens_at == opens_at


def test_a_limit_that_is_searched_for_is_not_known_before_its_first_refusal() -> None:
    unlimited = deployment()
    searching = LimitState(at=5.0, share=40.0)
    found = LimitState(at=5.0, share=30.0, cut_at=4.0)
    assert Throughput.of(unlimited, searching, NOW).starts_per_s(0) is None
    assert Throughput.of(unlimited, found, NOW).starts_per_s(0) == 30


def test_a_job_that_would_be_done_too_late_is_refused_with_what_is_expected_of_it() -> None:
    lane = outlook({STANDARD: 600})
    assert judge(lane, BacklogPolicy(), STANDARD, NOW + 61) == Room(Projection(600, NOW + 60, NOW + 60))
    assert judge(lane, BacklogPolicy(), STANDARD, NOW + 50) == TooLate(Projection(600, NOW + 60, NOW + 60), 10)
    assert isinstance(judge(lane, BacklogPolicy(), STANDARD, None), Room)


def test_deferrable_work_is_refused_only_when_not_even_the_whole_lane_could_do_it() -> None:
    lane = outlook({BULK: 100_000, DAY: 600})
    assert isinstance(judge(lane, BacklogPolicy(), DAY, NOW + 61), Room)
    assert judge(lane, BacklogPolicy(), DAY, NOW + 50) == TooLate(Projection(600, NOW + 60, NOW + 60), 10)


def test_a_full_backlog_takes_nothing_more_and_says_when_there_may_be_room() -> None:
    policy = BacklogPolicy(max_jobs=600)
    assert isinstance(judge(outlook({BULK: 599}), policy, BULK, None), Room)
    full = judge(outlook({BULK: 590}).joined_by(STANDARD, 30), policy, INTERACTIVE, None)
    assert isinstance(full, Full)
    assert full.retry_after_s == pytest.approx(21 / 10)


def test_nobody_is_told_to_wait_longer_than_clients_are_willing_to() -> None:
    late = judge(outlook({STANDARD: 100_000}), BacklogPolicy(), STANDARD, NOW + 1)
    full = judge(outlook({BULK: 9}, ten_a_second(requests_per_s=None)), BacklogPolicy(max_jobs=5), BULK, None)
    assert isinstance(late, TooLate)
    assert full == Full(None, 120)
    assert late.retry_after_s == 120


@pytest.mark.parametrize(("backlog", "is_surplus"), [(1, False), (100, False), (101, True)])
def test_the_jobs_of_a_team_beyond_its_share_are_surplus(backlog: int, *, is_surplus: bool) -> None:
    assert BacklogPolicy().is_surplus(backlog, others=20_000) is is_surplus


@pytest.mark.parametrize(("others", "is_surplus"), [(0, True), (49, True), (50, False), (20_000, False)])
def test_a_team_that_has_more_than_all_others_gets_few_places(others: int, *, is_surplus: bool) -> None:
    assert BacklogPolicy().is_surplus(50, others) is is_surplus


def test_the_first_few_jobs_of_every_team_are_in_front() -> None:
    assert [BacklogPolicy().is_surplus(backlog, 0) for backlog in (1, 10, 11)] == [False, False, True]

"""The allowances in the store do what the specification in ``shared/domain/token_bucket.py`` says."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.redis.connection import connect
from shared.adapters.redis.keys import CEILING, of_team
from shared.domain.allowances import (
    EVERYBODY,
    MEASURES,
    UNLIMITED,
    Allowance,
    Charge,
    Charged,
    KnownAlready,
    OverLimit,
    Owner,
    OwnerKind,
    owners_of,
)
from shared.domain.token_bucket import Refused, TokenBucket, take
from tests.contracts.allowance_rig import TEAM, Rig, policies

SIXTY_A_MINUTE = policies(Allowance(requests_per_minute=60))


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    client = connect(valkey_url)
    yield Rig(client)
    await client.aclose()


async def test_a_window_s_worth_may_be_taken_at_once_and_flows_in_again(rig: Rig) -> None:
    assert await rig.passes(SIXTY_A_MINUTE) == 60
    rig.clock.seconds += 0.9
    assert await rig.passes(SIXTY_A_MINUTE) == 0
    rig.clock.seconds += 0.2
    assert await rig.passes(SIXTY_A_MINUTE) == 1
    rig.clock.seconds += 3_600
    assert await rig.passes(SIXTY_A_MINUTE) == 60


async def test_no_window_of_any_length_gets_more_than_its_share_and_one_bucket(rig: Rig) -> None:
    passed = 0
    for step in range(200):
        passed += await rig.passes(SIXTY_A_MINUTE)
        assert passed <= 60 + step + 1e-6
        rig.clock.seconds += 1
    assert passed == 60 + 199


async def test_what_is_over_tells_which_limit_of_whom_and_when_there_is_room(rig: Rig) -> None:
    agreed = policies(
        Allowance(requests_per_minute=600, tokens_per_minute=60_000),
        each_user=Allowance(tokens_per_day=1_000),
        features={"titles": Allowance(requests_per_minute=2)},
    )
    assert isinstance(await rig.take(rig.charge(agreed, rig.spec("u-1"), (1, 900))), Charged)
    over = await rig.take(rig.charge(agreed, rig.spec("u-1"), (1, 200)))
    assert isinstance(over, OverLimit)
    assert str(over) == "user u-1 of team search: 1,000 tokens per day"
    assert over.wait_s == pytest.approx(100 / 1_000 * 86_400)
    for _ in range(2):
        await rig.take(rig.charge(agreed, rig.spec(feature="titles")))
    assert str(await rig.take(rig.charge(agreed, rig.spec(feature="titles")))) == (
        "feature titles of team search: 2 requests per minute"
    )


async def test_who_is_refused_by_one_of_its_owners_takes_nothing_from_the_others(rig: Rig) -> None:
    agreed = policies(Allowance(requests_per_minute=10), each_user=Allowance(requests_per_minute=1))
    assert await rig.passes(agreed, user="u-1") == 1
    assert isinstance(await rig.take(rig.charge(agreed, rig.spec("u-1"))), OverLimit)
    assert await rig.passes(agreed) == 9


async def test_each_user_has_a_bucket_of_its_own(rig: Rig) -> None:
    agreed = policies(each_user=Allowance(requests_per_minute=2))
    assert [await rig.passes(agreed, user=f"u-{number}") for number in range(3)] == [2, 2, 2]


async def test_a_key_s_own_limit_holds_beside_its_team_s(rig: Rig) -> None:
    for number in range(3):
        charge = rig.charge(SIXTY_A_MINUTE, rig.spec(key="key_1"), of_key=Allowance(requests_per_minute=2))
        answer = await rig.take(charge)
        assert isinstance(answer, Charged if number < 2 else OverLimit)
    assert str(answer) == "key key_1: 2 requests per minute"
    assert await rig.passes(SIXTY_A_MINUTE) == 58


async def test_the_ceiling_holds_for_all_teams_together_and_gives_the_team_its_share_back(rig: Rig) -> None:
    agreed = policies(Allowance(requests_per_minute=60), ceiling=Allowance(requests_per_minute=5))
    assert await rig.passes(agreed) == 5
    over = await rig.take(rig.charge(agreed))
    assert str(over) == "the whole installation: 5 requests per minute"
    assert await rig.passes(SIXTY_A_MINUTE) == 55


async def test_a_team_over_its_limit_takes_nothing_from_the_ceiling(rig: Rig) -> None:
    ceiling = Allowance(requests_per_minute=10)
    noisy = policies(Allowance(requests_per_minute=2), ceiling=ceiling)
    for _ in range(20):
        await rig.take(rig.charge(noisy))
    assert await rig.passes(policies(ceiling=ceiling)) == 8


async def test_a_limit_of_nothing_lets_nothing_in_and_nobody_queue(rig: Rig) -> None:
    shut = policies(Allowance(requests_per_minute=0))
    for patience_s in (0.0, 1e6):
        assert isinstance(await rig.take(rig.charge(shut, patience_s=patience_s)), OverLimit)


async def test_a_charge_that_is_repeated_takes_nothing_more(rig: Rig) -> None:
    """Row 12: the reply was lost, and the script runs again."""
    agreed = policies(Allowance(requests_per_minute=3), ceiling=Allowance(requests_per_minute=3))
    charge = rig.charge(agreed)
    answers = [await rig.take(charge) for _ in range(5)]
    assert answers == [Charged()] * 5
    assert await rig.passes(agreed) == 2


async def test_whoever_queues_is_told_its_turn_and_the_turns_are_a_window_s_worth_apart(rig: Rig) -> None:
    agreed = policies(Allowance(requests_per_minute=60))
    await rig.passes(agreed)
    waits = []
    for _ in range(3):
        answer = await rig.take(rig.charge(agreed, patience_s=3.5))
        assert isinstance(answer, Charged)
        waits.append(answer.wait_s)
    assert waits == pytest.approx([1, 2, 3])
    impatient = await rig.take(rig.charge(agreed, patience_s=3.5))
    assert isinstance(impatient, OverLimit)
    assert impatient.wait_s == pytest.approx(4)
    rig.clock.seconds += 3
    assert await rig.passes(agreed) == 0  # the debt is paid, and nothing is left yet


async def test_a_turn_of_the_ceiling_is_waited_for_as_one_of_the_team(rig: Rig) -> None:
    agreed = policies(Allowance(requests_per_minute=60), ceiling=Allowance(requests_per_minute=30))
    await rig.passes(agreed)
    answer = await rig.take(rig.charge(agreed, patience_s=60))
    assert isinstance(answer, Charged)
    assert answer.wait_s == pytest.approx(2)


async def test_what_was_estimated_and_not_used_is_given_back_once(rig: Rig) -> None:
    agreed = policies(Allowance(tokens_per_minute=1_000), ceiling=Allowance(tokens_per_minute=1_000))
    charge = rig.charge(agreed, amounts=(1, 800))
    assert isinstance(await rig.take(charge), Charged)
    for _ in range(3):
        await rig.allowances().settle(charge.spec, (1, 100))
    assert await rig.passes(agreed, (1, 10)) == 90


async def test_what_was_used_beyond_the_estimate_is_paid_before_the_next(rig: Rig) -> None:
    agreed = policies(Allowance(tokens_per_minute=600))
    charge = rig.charge(agreed, amounts=(1, 100))
    await rig.take(charge)
    await rig.allowances().settle(charge.spec, (1, 1_100))
    over = await rig.take(rig.charge(agreed, amounts=(1, 100)))
    assert isinstance(over, OverLimit)
    assert over.wait_s == pytest.approx(60)  # from 500 in debt to 100


async def test_a_debt_is_entered_even_when_the_bucket_was_full_and_forgotten(rig: Rig) -> None:
    agreed = policies(Allowance(tokens_per_minute=600), ceiling=Allowance(tokens_per_minute=600))
    charge = rig.charge(agreed, amounts=(1, 100))
    await rig.take(charge)
    rig.clock.seconds += 3_600
    buckets = of_team(TEAM).allowance(Owner(OwnerKind.TEAM, TEAM, TEAM))
    assert [await rig.client.delete(buckets), await rig.client.delete(CEILING)] == [1, 1]
    await rig.allowances().settle(charge.spec, (1, 600))
    assert await rig.passes(agreed, (1, 1)) == 100


async def test_a_request_larger_than_the_whole_limit_waits_for_a_full_bucket_and_leaves_a_debt(rig: Rig) -> None:
    agreed = policies(Allowance(tokens_per_minute=600))
    assert isinstance(await rig.take(rig.charge(agreed, amounts=(1, 1_200))), Charged)
    over = await rig.take(rig.charge(agreed, amounts=(1, 10)))
    assert isinstance(over, OverLimit)
    assert over.wait_s == pytest.approx(61)


async def test_what_costs_no_tokens_passes_though_all_tokens_are_gone(rig: Rig) -> None:
    """An answer from the cache."""
    agreed = policies(Allowance(requests_per_minute=60, tokens_per_minute=600))
    await rig.take(rig.charge(agreed, amounts=(1, 1_200)))
    assert await rig.take(rig.charge(agreed, amounts=(1, 0))) == Charged()


async def test_a_receipt_is_kept_for_as_long_as_it_is_of_use(rig: Rig) -> None:
    counting, not_counting = policies(Allowance(tokens_per_day=900)), policies(Allowance(requests_per_day=900))
    for agreed, amounts, longest in (
        (counting, (1, 5), 8 * 86_400),
        (counting, (1, 0), 60),
        (not_counting, (1, 5), 60),
    ):
        charge = rig.charge(agreed, amounts=amounts)
        await rig.take(charge)
        left_s = await rig.client.pttl(of_team(TEAM).receipt(charge.spec.id)) / 1_000
        assert longest - 60 < left_s <= longest
    await rig.allowances().settle(charge.spec, (0, 0))
    assert await rig.client.exists(of_team(TEAM).receipt(charge.spec.id)) == 0


async def test_an_idempotency_key_that_stands_for_an_earlier_job_is_not_charged(rig: Rig) -> None:
    agreed = policies(Allowance(requests_per_minute=1), ceiling=Allowance(requests_per_minute=2))
    await rig.client.hset(of_team(TEAM).idempotency("k-1"), mapping={"job": "job_first"})
    for _ in range(5):
        assert await rig.take(rig.charge(agreed, idempotency_key="k-1")) == KnownAlready()
    assert await rig.passes(policies(ceiling=agreed.ceiling)) == 2
    assert isinstance(await rig.take(rig.charge(policies(), idempotency_key="k-2")), Charged)


async def test_a_limit_that_is_raised_or_lowered_counts_at_once(rig: Rig) -> None:
    assert await rig.passes(policies(Allowance(requests_per_minute=10))) == 10
    rig.clock.seconds += 60
    assert await rig.passes(policies(Allowance(requests_per_minute=20))) == 20
    rig.clock.seconds += 60
    assert await rig.passes(policies(Allowance(requests_per_minute=5))) == 5


async def test_ten_of_two_hundred_pass_where_there_is_room_for_ten(rig: Rig) -> None:
    agreed = policies(Allowance(requests_per_day=10), ceiling=Allowance(requests_per_day=1_000))
    answers = await asyncio.gather(*(rig.take(rig.charge(agreed)) for _ in range(200)))
    assert sum(isinstance(answer, Charged) for answer in answers) == 10


async def test_the_store_s_clock_counts_and_no_other(rig: Rig) -> None:
    """Row 35: without a test's clock, no moment leaves this process."""
    agreed = policies(Allowance(requests_per_day=3))
    rig.clock.seconds += 86_400
    allowances = type(rig.allowances())(rig.client)
    answers = [(await allowances.take([rig.charge(agreed)]))[0] for _ in range(4)]
    assert [isinstance(answer, Charged) for answer in answers] == [True, True, True, False]


AMOUNTS = st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0, 70.0, 2_000.0]))
LIMIT = st.sampled_from([None, None, 0, 1, 60, 100_000])
ALLOWANCE = st.builds(Allowance, LIMIT, LIMIT, LIMIT, LIMIT)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), AMOUNTS, st.sampled_from([0.0, 0.0, 5.0, 90_000.0])),
        st.tuples(st.just("settle"), AMOUNTS, st.none()),
        st.tuples(st.just("pass"), st.sampled_from([0.001, 0.125, 1.0, 40.0, 4_000.0, 90_000.0]), st.none()),
    ),
    max_size=40,
)


class Specification:
    """The same schedule, run on the specification alone."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[Owner, int], TokenBucket] = {}
        self._charged: dict[str, Charge] = {}

    def take(self, charge: Charge, now: float) -> Charged | OverLimit:
        answers = []
        groups = [charge.owners, ((EVERYBODY, charge.ceiling),)]
        for group in groups:
            limited = [
                (owner, place, limit)
                for owner, allowance in group
                for place, limit in enumerate(allowance.limits)
                if limit is not None
            ]
            buckets = [self._bucket(owner, place, limit, now) for owner, place, limit in limited]
            amounts = [charge.amounts[MEASURES[place].amount_of] for _, place, _ in limited]
            answer, after = take(buckets, amounts, charge.patience_s)
            if isinstance(answer, Refused):
                owner, place, limit = limited[answer.place]
                return OverLimit(owner, limit, MEASURES[place], answer.wait_s)
            answers.append(
                (answer, {(owner, place): left for (owner, place, _), left in zip(limited, after, strict=True)})
            )
        for _, left in answers:
            self._buckets |= left
        self._charged[charge.spec.id] = charge
        return Charged(max(turn.wait_s for turn, _ in answers))

    def settle(self, charge: Charge, amounts: tuple[float, float], now: float) -> None:
        if self._charged.pop(charge.spec.id, None) is None:
            return
        for owner, allowance in (*charge.owners, (EVERYBODY, charge.ceiling)):
            for place, limit in enumerate(allowance.limits):
                if limit is not None:
                    which = MEASURES[place].amount_of
                    moved = self._bucket(owner, place, limit, now).moved(charge.amounts[which] - amounts[which])
                    self._buckets[owner, place] = moved

    def _bucket(self, owner: Owner, place: int, limit: int, now: float) -> TokenBucket:
        full = TokenBucket.full(limit, MEASURES[place].window_s, now)
        return self._buckets.get((owner, place), full).advanced(now)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ALLOWANCE, ALLOWANCE, ALLOWANCE, st.just(UNLIMITED) | ALLOWANCE, STEPS)
async def test_any_schedule_has_the_same_answers_as_the_specification(
    rig: Rig, team: Allowance, user: Allowance, key: Allowance, ceiling: Allowance, steps: list[tuple[object, ...]]
) -> None:
    await rig.client.execute_command("FLUSHDB")
    rig.clock.seconds = 1_700_000_000.0
    agreed = policies(team, each_user=user, ceiling=ceiling)
    model, made = Specification(), list[Charge]()
    for number, (kind, one, other) in enumerate(steps):
        now = rig.clock.now()
        match kind, one, other:
            case "take", tuple(amounts), float(patience_s):
                spec = rig.spec(user=f"u-{number % 2}", key="key_1")
                charge = rig.charge(agreed, spec, amounts, of_key=key, patience_s=patience_s)
                expected, answer = model.take(charge, now), await rig.take(charge)
                if isinstance(expected, OverLimit):
                    assert isinstance(answer, OverLimit)
                    assert (answer.owner, answer.measure) == (expected.owner, expected.measure)
                    assert answer.wait_s == pytest.approx(expected.wait_s, rel=1e-6, abs=1e-6)
                else:
                    assert isinstance(answer, Charged)
                    assert answer.wait_s == pytest.approx(expected.wait_s, rel=1e-6, abs=1e-6)
                    made.append(charge)
            case "settle", tuple(amounts), _ if made:
                charge = made[number % len(made)]
                model.settle(charge, amounts, now)
                await rig.allowances().settle(charge.spec, amounts)
            case "pass", float(seconds), _:
                rig.clock.seconds += seconds


GROUP = st.lists(st.tuples(AMOUNTS, st.sampled_from([0.0, 5.0, 90_000.0]), st.integers(0, 1)), max_size=12)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ALLOWANCE, ALLOWANCE, GROUP)
async def test_a_group_has_the_same_answers_as_its_jobs_one_by_one(
    rig: Rig, team: Allowance, user: Allowance, group: list[tuple[tuple[float, float], float, int]]
) -> None:
    await rig.client.execute_command("FLUSHDB")
    model, agreed = Specification(), policies(team, each_user=user)
    by_user = sorted(group, key=lambda job: job[2])  # those with the same owners go together
    charges = [
        rig.charge(agreed, rig.spec(f"u-{who}"), amounts, patience_s=patience_s) for amounts, patience_s, who in by_user
    ]
    expected = [model.take(charge, rig.clock.now()) for charge in charges]
    answers = await rig.allowances().take(charges)
    assert [(type(answer), getattr(answer, "measure", None)) for answer in answers] == [
        (type(answer), getattr(answer, "measure", None)) for answer in expected
    ]
    waits = [getattr(answer, "wait_s", None) for answer in answers]
    assert waits == pytest.approx([answer.wait_s for answer in expected], rel=1e-6, abs=1e-6)


async def test_what_one_user_of_a_group_takes_of_the_ceiling_in_vain_is_there_for_the_next(rig: Rig) -> None:
    agreed = policies(each_user=Allowance(requests_per_day=3), ceiling=Allowance(requests_per_day=5))
    users = ["noisy"] * 40 + ["quiet"] * 2
    answers = await rig.allowances().take([rig.charge(agreed, rig.spec(user)) for user in users])
    passed = [user for user, answer in zip(users, answers, strict=True) if isinstance(answer, Charged)]
    assert passed == ["noisy"] * 3 + ["quiet"] * 2
    assert await rig.passes(policies(ceiling=agreed.ceiling)) == 0


async def test_a_job_may_be_charged_to_its_team_user_feature_and_key(rig: Rig) -> None:
    named = [str(owner) for owner in owners_of(rig.spec("u-1", "titles", "key_1"))]
    assert named == ["team search", "user u-1 of team search", "feature titles of team search", "key key_1"]

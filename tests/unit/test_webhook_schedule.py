import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.webhook_endpoints import GIVEN_UP_AFTER_S, STILL_THE_SAME_S, Endpoint, Failing
from shared.domain.webhook_schedule import HORIZON_S, JITTER, DeliveryStatus, Round, Ruling, Schedule
from shared.domain.webhook_secrets import OlderSecret, SigningSecret, new_secret
from shared.domain.webhook_sender import Receipt
from shared.domain.webhooks import EventType, WebhookEvent, event_id

BEGAN = 1_700_000_000.0


def lowest(low: float, _high: float) -> float:
    return low


def highest(_low: float, high: float) -> float:
    return high


def after(receipt: Receipt, tried: int = 1, now: float = BEGAN, schedule: Schedule = Schedule(lowest)) -> Ruling:  # noqa: B008 - it never changes
    return schedule.ruling(receipt, Round(tried, BEGAN), now)


def answered(status: int | None, retry_after_s: float | None = None) -> Receipt:
    return Receipt(status, None if status else "timed out", retry_after_s, 0.1)


def waits(schedule: Schedule) -> list[float]:
    """The seconds before each attempt after the first, of a receiver that never answers."""
    now = BEGAN
    found: list[float] = []
    for tried in range(1, 100):
        ruling = after(answered(None), tried, now, schedule)
        if ruling.next_attempt_at is None:
            assert ruling.status is DeliveryStatus.FAILED
            return found
        found.append(ruling.next_attempt_at - now)
        now = ruling.next_attempt_at
    raise AssertionError(found)


def test_the_attempts_follow_the_contract() -> None:
    hours = 3600.0
    assert waits(Schedule(lowest)) == pytest.approx(
        [5, 300, 1800, 2 * hours, 5 * hours, 10 * hours, 14 * hours, 20 * hours, 24 * hours]
    )


def test_jitter_makes_a_wait_longer_and_never_shorter_and_all_of_them_fit_into_the_horizon() -> None:
    longest = waits(Schedule(highest))
    assert longest == pytest.approx([wait * (1 + JITTER) for wait in waits(Schedule(lowest))])
    assert sum(longest) < HORIZON_S


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_2xx_is_success(status: int) -> None:
    assert after(answered(status)) == Ruling(DeliveryStatus.DELIVERED)


@pytest.mark.parametrize("status", [100, 199, 300, 301, 302, 308, 400, 401, 404, 408, 429, 500, 503, 600, None])
def test_everything_else_is_tried_again_redirects_included(status: int | None) -> None:
    assert after(answered(status)) == Ruling(DeliveryStatus.PENDING, BEGAN + 5)


def test_410_ends_it_at_once() -> None:
    assert after(answered(410)) == Ruling(DeliveryStatus.FAILED, is_gone=True)


@given(st.floats(0, 10**9), st.integers(1, 9))
def test_retry_after_makes_a_wait_longer_never_shorter_and_is_bounded_by_a_day(asked_s: float, tried: int) -> None:
    plain, asked = after(answered(503), tried), after(answered(503, asked_s), tried)
    assert plain.next_attempt_at is not None
    assert asked.next_attempt_at == max(plain.next_attempt_at, BEGAN + min(asked_s, 86_400))


def test_no_attempt_is_made_beyond_the_horizon() -> None:
    late = BEGAN + HORIZON_S - 10
    assert after(answered(503, 9), 2, late - 300).status is DeliveryStatus.PENDING
    assert after(answered(503, 11), 1, late) == Ruling(DeliveryStatus.FAILED)


def an_endpoint(*events: EventType, failing: Failing | None = None, disabled_at: float | None = None) -> Endpoint:
    secret = SigningSecret(new_secret())
    return Endpoint("we_1", "red", "https://example.com", events, secret, BEGAN, disabled_at, failing=failing)


def an_event(kind: EventType) -> WebhookEvent:
    return WebhookEvent("evt_1", "red", kind, "job_1", BEGAN, 1)


def test_an_endpoint_wants_all_events_or_those_it_names_and_none_when_disabled() -> None:
    assert an_endpoint().wants(an_event(EventType.PROVIDER_DOWN))
    assert an_endpoint(EventType.JOB_FAILED).wants(an_event(EventType.JOB_FAILED))
    assert not an_endpoint(EventType.JOB_FAILED).wants(an_event(EventType.JOB_SUCCEEDED))
    assert not an_endpoint(disabled_at=BEGAN).wants(an_event(EventType.JOB_FAILED))


def test_an_endpoint_is_given_up_after_five_days_of_failing_at_every_attempt() -> None:
    failing, now = None, BEGAN
    while now < BEGAN + GIVEN_UP_AFTER_S:
        failing = an_endpoint(failing=failing).failed_at(now)
        assert not failing.is_too_long
        now += STILL_THE_SAME_S
    assert an_endpoint(failing=failing).failed_at(now).is_too_long


def test_two_failures_with_nothing_tried_in_between_for_longer_than_a_wait_are_not_five_days_of_failing() -> None:
    first = an_endpoint().failed_at(BEGAN)
    assert an_endpoint(failing=first).failed_at(BEGAN + GIVEN_UP_AFTER_S + 1) == Failing(
        BEGAN + GIVEN_UP_AFTER_S + 1, BEGAN + GIVEN_UP_AFTER_S + 1
    )


def test_an_events_id_is_the_subjects_and_says_how_often_it_was_started_anew() -> None:
    assert event_id("job_01k9") == "evt_01k9"
    assert event_id("batch_01k9", 2) == "evt_01k9_r2"


def test_a_secret_is_long_random_and_not_shown() -> None:
    secret = new_secret()
    assert secret.startswith("whsec_")
    assert secret != new_secret()
    assert len(secret) == 50
    assert secret not in repr(SigningSecret(secret, (OlderSecret(secret, 1.0),)))

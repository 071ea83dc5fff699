import pytest

from shared.domain.lanes import CLASSES, DeferrableWindow, JobClass, Priority, class_for, classes_with


@pytest.mark.parametrize("priority", [Priority.INTERACTIVE, Priority.STANDARD, Priority.BULK])
def test_work_that_is_waited_for_goes_to_the_class_of_its_priority(priority: Priority) -> None:
    assert class_for(priority, seconds_to_deadline=5) == JobClass(priority)


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        (None, "deferrable.7d"),
        (10 * 86_400, "deferrable.7d"),
        (86_400, "deferrable.24h"),
        (86_399.9, "deferrable.24h"),  # some milliseconds pass between asking for 24 h and being queued
        (85_000, "deferrable.4h"),
        (3_600, "deferrable.1h"),
        (3_500, "standard"),
    ],
)
def test_deferrable_work_waits_in_the_longest_window_that_ends_before_its_deadline(
    seconds: float | None, name: str
) -> None:
    assert class_for(Priority.DEFERRABLE, seconds) == JobClass(name)


def test_windows_may_be_as_short_as_seconds() -> None:
    windows = (DeferrableWindow.of("5s"), DeferrableWindow.of("20s"))
    assert [job_class.name for job_class in classes_with(windows)[-2:]] == ["deferrable.5s", "deferrable.20s"]
    waiting = [class_for(Priority.DEFERRABLE, seconds, windows).name for seconds in (None, 21, 19, 4)]
    assert waiting == ["deferrable.20s", "deferrable.20s", "deferrable.5s", "standard"]


@pytest.mark.parametrize("window", [DeferrableWindow.of(label) for label in ("5s", "1h", "7d")])
def test_whoever_waits_in_a_window_leaves_it_before_its_deadline(window: DeferrableWindow) -> None:
    nearest = next(seconds / 1_000 for seconds in range(1_000) if window.fits(window.seconds * seconds / 1_000))
    assert window.patience_s < window.seconds * nearest


def test_every_class_knows_its_priority_and_its_sibling() -> None:
    assert [job_class.priority for job_class in CLASSES] == [
        *[Priority.INTERACTIVE] * 2,
        *[Priority.STANDARD] * 2,
        *[Priority.BULK] * 2,
        *[Priority.DEFERRABLE] * 4,
    ]
    assert JobClass("bulk.surplus").sibling == JobClass("bulk")
    assert JobClass("deferrable.1h").sibling == JobClass("deferrable.1h")

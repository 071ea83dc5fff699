import pytest

from shared.domain.lanes import CLASSES, JobClass, Priority, class_for


@pytest.mark.parametrize("priority", [Priority.INTERACTIVE, Priority.STANDARD, Priority.BULK])
def test_work_that_is_waited_for_goes_to_the_class_of_its_priority(priority: Priority) -> None:
    assert class_for(priority, seconds_to_deadline=5) == JobClass(priority)


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        (None, "deferrable.7d"),
        (10 * 86_400, "deferrable.7d"),
        (86_400, "deferrable.24h"),
        (86_399, "deferrable.4h"),
        (3_600, "deferrable.1h"),
        (3_599, "standard"),
    ],
)
def test_deferrable_work_waits_in_the_longest_window_that_ends_before_its_deadline(
    seconds: float | None, name: str
) -> None:
    assert class_for(Priority.DEFERRABLE, seconds) == JobClass(name)


def test_every_class_knows_its_priority_and_its_sibling() -> None:
    assert [job_class.priority for job_class in CLASSES] == [
        *[Priority.INTERACTIVE] * 2,
        *[Priority.STANDARD] * 2,
        *[Priority.BULK] * 2,
        *[Priority.DEFERRABLE] * 4,
    ]
    assert JobClass("bulk.surplus").sibling == JobClass("bulk")
    assert JobClass("deferrable.1h").sibling == JobClass("deferrable.1h")

from shared.domain.class_shares import ClassShares, Restraint
from shared.domain.lanes import JobClass

SHARES = ClassShares(interactive_reserve=0.1, idle_share=0.5, is_off_peak=lambda now: now >= 100)


def test_interactive_work_leaves_nothing_to_others() -> None:
    assert SHARES.restraint(JobClass("interactive"), 0) == Restraint()


def test_work_that_people_wait_for_leaves_the_reserve() -> None:
    for name in ("interactive.surplus", "standard", "standard.surplus", "bulk", "bulk.surplus"):
        assert SHARES.restraint(JobClass(name), 0) == Restraint(0.1)


def test_deferrable_work_takes_only_what_is_idle() -> None:
    assert SHARES.restraint(JobClass("deferrable.24h"), 99) == Restraint(0.5, only_idle=True)


def test_in_off_peak_hours_deferrable_work_is_as_any_other() -> None:
    assert SHARES.restraint(JobClass("deferrable.24h"), 100) == Restraint(0.1)


def test_without_off_peak_hours_no_moment_is_one() -> None:
    assert ClassShares().restraint(JobClass("deferrable.1h"), 1e9).only_idle

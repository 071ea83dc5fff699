from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ids import ALPHABET, created_at, new_id

MOMENTS = st.floats(min_value=0, max_value=2**40)


@given(MOMENTS, st.integers(0, 2**80 - 1))
def test_an_id_tells_when_it_was_made(now: float, random: int) -> None:
    moment = created_at(new_id("job", now, lambda _: random))
    assert moment is not None
    assert abs(moment - now) < 0.0011


@given(MOMENTS, MOMENTS)
def test_ids_sort_by_the_time_of_their_making(one: float, other: float) -> None:
    earlier, later = sorted((one, other))
    assert new_id("job", earlier, lambda _: 0) <= new_id("job", later, lambda _: 0)


def test_an_id_has_a_prefix_and_26_plain_characters() -> None:
    prefix, _, encoded = new_id("batch", 1.0).partition("_")
    assert (prefix, len(encoded)) == ("batch", 26)
    assert set(encoded) <= set(ALPHABET)


def test_what_is_no_id_of_ours_has_no_time() -> None:
    assert [created_at(text) for text in ("", "job_", "job_abc", "job_" + "u" * 26)] == [None] * 4

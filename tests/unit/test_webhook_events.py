"""What there is to tell of."""

from shared.domain.batches import Batch
from shared.wire.webhook_events import event_of_batch


def test_a_batch_that_is_open_has_no_end_to_tell_of_whatever_else_its_record_says() -> None:
    assert event_of_batch(Batch("batch_1", "red", None, 1.0, is_open=True, total=2, finished_at=2.0)) is None
    assert event_of_batch(Batch("batch_1", "red", None, 1.0, is_open=False, total=2, succeeded=1)) is None

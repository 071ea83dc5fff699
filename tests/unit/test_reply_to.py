import pytest

from shared.domain.door import check_reply_to, is_direct
from shared.domain.errors import InvalidInput


@pytest.mark.parametrize(
    ("queue", "is_a_clients"),
    [("amq.rabbitmq.reply-to", True), ("amq.rabbitmq.reply-to.g1h2=.x", True), ("forebay.reply.a", False)],
)
def test_a_reply_goes_to_a_client_or_to_a_queue_made_for_replies(queue: str, *, is_a_clients: bool) -> None:
    check_reply_to(queue)
    assert is_direct(queue) is is_a_clients


@pytest.mark.parametrize(
    "queue",
    ["", " forebay.reply.a", "forebay.reply", "forebay.reply.", "Forebay.reply.a", "forebay.replies", "amq.rabbitmq"],
)
def test_a_reply_goes_nowhere_else(queue: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_reply_to(queue)
    assert (refused.value.param, refused.value.error_code) == ("reply_to", "reply_to_not_allowed")
    assert repr(queue) in refused.value.message


def test_a_name_is_quoted_only_in_part() -> None:
    with pytest.raises(InvalidInput) as refused:
        check_reply_to("x" * 255)
    assert "x" * 61 not in refused.value.message

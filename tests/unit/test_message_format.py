from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.common import FieldTable
from pamqp.header import ContentHeader

from shared.adapters.rabbitmq.message_format import message_in
from shared.domain.work_queue import Message


def test_a_submission_that_the_broker_gave_up_shows_no_key() -> None:
    headers: FieldTable = {"Authorization": "Bearer fb-x", "X-API-Key": "fb-y", "x-death": [], "number": 7}
    header = ContentHeader(properties=Basic.Properties(headers=headers))
    delivered = DeliveredMessage(Basic.GetOk(), header, b"{}", None)  # type: ignore[arg-type]  # nobody asks its channel
    assert message_in(delivered) == Message(b"{}", "", {"number": "7"})

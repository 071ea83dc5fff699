import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.adapters.rabbitmq.names import DEAD, HOPS, RUNGS, delay_name, queue_name, routing_key
from shared.domain.errors import ConfigurationError
from shared.domain.lanes import CLASSES, JobClass, Mailbox, QueueName

lanes = st.text(min_size=1, max_size=60)
queues = st.builds(QueueName, lane=lanes, job_class=st.sampled_from(CLASSES))


@pytest.mark.parametrize("model", ["gpt-4o-mini", "openai/gpt-4.1", "meta-llama/Llama-3.1-8B:free", "qwen2.5:7b@q4_0"])
def test_an_ordinary_model_name_stays_readable(model: str) -> None:
    assert queue_name(QueueName(model, JobClass("standard"))) == f"forebay.requests.{model}.standard"


@pytest.mark.parametrize("lane", ["*", "#", "a.*.b", "a.#", "50%", "two words", "größe", "new\nline"])
def test_what_a_broker_would_misread_is_escaped(lane: str) -> None:
    name = queue_name(QueueName(lane, JobClass("bulk")))
    assert name.isascii()
    assert name.isprintable()
    assert not set("*# ") & set(name)


@given(one=queues, other=queues)
def test_different_queues_have_different_names(one: QueueName, other: QueueName) -> None:
    assume(
        _fits(one) and _fits(other) and not one.lane.startswith("forebay.") and not other.lane.startswith("forebay.")
    )
    assert (queue_name(one) == queue_name(other)) == (one == other)


@given(queue=queues)
def test_every_name_fits_into_amqp(queue: QueueName) -> None:
    assume(_fits(queue) and not queue.lane.startswith("forebay."))  # no model is named so
    assert len(queue_name(queue).encode()) <= 255
    assert queue_name(queue) == f"forebay.requests.{routing_key(queue)}"


@pytest.mark.parametrize("lane", ["", "x" * 219, "é" * 40])
def test_a_lane_whose_name_cannot_be_a_queues_is_refused_for_all_classes(lane: str) -> None:
    for job_class in CLASSES:
        with pytest.raises(ConfigurationError, match="the name of a lane"):
            queue_name(QueueName(lane, job_class))


def test_the_names_are_those_of_the_contract() -> None:
    assert DEAD == "forebay.dead"
    assert delay_name(RUNGS[0]) == "forebay.delay.1"
    assert delay_name(RUNGS[-1]) == "forebay.delay.3600"
    assert queue_name(HOPS) == routing_key(HOPS) == "forebay.hops"
    assert [queue_name(mailbox.queue) for mailbox in Mailbox] == ["forebay.webhooks", "forebay.replies"]


def _fits(queue: QueueName) -> bool:
    try:
        queue_name(queue)
    except ConfigurationError:
        return False
    return True

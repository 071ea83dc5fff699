import pytest

from shared.domain.token_estimate import FIRST_OUTPUT, TokenEstimator, characters
from shared.domain.usage import Usage

CHAT = {"model": "m", "messages": [{"role": "user", "content": "x" * 396}]}


def test_before_anything_is_learned_four_characters_are_a_token() -> None:
    cost = TokenEstimator().cost("m", CHAT)
    assert (cost.requests, cost.input_tokens, cost.output_tokens) == (1, 100, FIRST_OUTPUT)


@pytest.mark.parametrize("bound", ["max_tokens", "max_completion_tokens"])
def test_an_answer_is_counted_as_long_as_the_request_allows_for_each_choice(bound: str) -> None:
    assert TokenEstimator().cost("m", CHAT | {bound: 50, "n": 3}).output_tokens == 150


def test_the_ratio_of_a_model_is_learned_from_its_counts() -> None:
    estimator = TokenEstimator()
    for _ in range(200):
        estimator.learn("m", CHAT, Usage(200, 10))
    assert estimator.cost("m", CHAT).input_tokens == pytest.approx(200, rel=0.01)
    assert estimator.cost("other", CHAT).input_tokens == 100


def test_an_unbounded_answer_is_counted_as_long_as_the_longest_of_late() -> None:
    estimator = TokenEstimator()
    estimator.learn("m", CHAT, Usage(100, 900))
    assert estimator.cost("m", CHAT).output_tokens == 900
    for _ in range(2_000):
        estimator.learn("m", CHAT, Usage(100, 40))
    assert estimator.cost("m", CHAT).output_tokens == 40


def test_embeddings_have_no_output() -> None:
    assert TokenEstimator().cost("e", {"model": "e", "input": ["abcd", "efgh"]}).tokens == 2


def test_a_picture_is_not_counted_by_its_characters() -> None:
    content = [{"type": "text", "text": "ab"}, {"type": "image_url", "image_url": {"url": "data:" + "x" * 9_999}}]
    assert characters({"messages": [{"role": "user", "content": content}]}) < 40


def test_a_strange_request_is_still_estimated() -> None:
    assert TokenEstimator().cost("m", {"messages": None, "max_tokens": "many", "n": 0}).output_tokens == FIRST_OUTPUT

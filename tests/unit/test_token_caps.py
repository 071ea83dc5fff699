from typing import Any

import pytest

from shared.domain.allowances import Terms
from shared.domain.errors import InvalidInput
from shared.domain.token_caps import TokenCaps

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}]}


def test_the_stricter_of_the_key_s_and_the_team_s_terms_holds() -> None:
    caps = TokenCaps.of(Terms(max_input_tokens=10), Terms(max_input_tokens=20, max_output_tokens=5))
    assert caps == TokenCaps(10, 5)
    assert TokenCaps.of(Terms(), Terms()).is_open


def test_a_request_within_its_caps_is_sent_as_it_is() -> None:
    request = CHAT | {"max_tokens": 5}
    assert TokenCaps(10, 5).applied(request, 10) is request


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"max_tokens": 6}, "request.max_tokens"),
        ({"max_completion_tokens": 6}, "request.max_completion_tokens"),
        ({"max_completion_tokens": 5, "max_tokens": 6}, "request.max_tokens"),
        ({"max_tokens": 2, "n": 3}, "request.max_tokens"),
        ({"n": 6}, "request.n"),
        ({"max_tokens": "6"}, "request.max_tokens"),
        ({"max_tokens": 6.5}, "request.max_tokens"),
        ({"max_tokens": True}, "request.max_tokens"),
        ({"max_tokens": -1}, "request.max_tokens"),
        ({"max_tokens": 1, "n": "9"}, "request.n"),
    ],
)
def test_what_asks_for_more_or_cannot_be_compared_is_refused(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        TokenCaps(output_tokens=5).applied(CHAT | members, 1)
    assert refused.value.param == param


@pytest.mark.parametrize(("members", "set_to"), [({}, 6), ({"n": 2}, 3), ({"max_tokens": None}, 6)])
def test_an_answer_without_a_bound_gets_one_for_all_of_its_choices(members: dict[str, Any], set_to: int) -> None:
    request = CHAT | members
    assert TokenCaps(output_tokens=6).applied(request, 1)["max_tokens"] == set_to
    assert request == CHAT | members


def test_an_embedding_has_an_input_and_no_answer_to_be_bounded() -> None:
    request = {"input": "x"}
    assert TokenCaps(output_tokens=6).applied(request, 1) is request
    with pytest.raises(InvalidInput) as refused:
        TokenCaps(input_tokens=6).applied(request, 7)
    assert refused.value.param == "request.input"

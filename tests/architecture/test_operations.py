"""``docs/operations.md`` names each duty and each queue that there is."""

import re

import pytest

from shared.domain.durations import parse_duration
from shared.domain.lanes import Mailbox
from tests.architecture.tree import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
TIMETABLE = (ROOT / "scheduler" / "timetable.py").read_text(encoding="utf-8")


def test_what_runs_when_is_what_the_timetable_says() -> None:
    told = re.findall(
        r"^\| ([a-z ]+) \| ([0-9]+ (?:s|min)) \| .+ \|$", OPERATIONS.partition("## What runs when")[2], re.MULTILINE
    )
    rows = re.findall(r'\bRow\("([^"]+)", every\(([0-9]+)\)', TIMETABLE)
    assert len(rows) == TIMETABLE.count("Row(")
    assert [(name, parse_duration(every.replace(" ", "").removesuffix("in"))) for name, every in told] == [
        (name, float(seconds)) for name, seconds in rows
    ]


@pytest.mark.parametrize("mailbox", Mailbox)
def test_every_mailbox_is_among_the_queues(mailbox: Mailbox) -> None:
    queues = OPERATIONS.partition("## Queues")[2].partition("\n## ")[0]
    assert f"`{mailbox}`" in queues

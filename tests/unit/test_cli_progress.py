"""Progress where there is no terminal."""

import io

from rich.console import Console

from forebay.cli.progress import LineMeter, meter


def test_a_long_way_is_at_most_eleven_lines() -> None:
    written = io.StringIO()
    shown = LineMeter("answering", Console(file=written))
    for done in range(10_001):
        shown.show(done, 10_000, f"{done} of 10000")
    lines = written.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[0] == "answering    0 %  0 of 10000"
    assert lines[-1] == "answering  100 %  10000 of 10000"


def test_an_unknown_total_is_no_error() -> None:
    written = io.StringIO()
    with meter("submitting", Console(file=written)) as shown:
        shown.show(0, 0)
    assert written.getvalue() == "submitting    0 %\n"


def test_a_terminal_gets_a_bar() -> None:
    written = io.StringIO()
    with meter("submitting", Console(file=written, force_terminal=True, width=120)) as shown:
        shown.show(5, 10, "5 lines")
    assert "50%" in written.getvalue()
    assert "5 lines" in written.getvalue()

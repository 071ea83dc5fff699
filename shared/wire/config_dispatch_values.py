"""The kinds of values that say what is dispatched when and where: fallbacks, windows, time zones."""

import difflib
from datetime import tzinfo
from typing import Annotated, Final
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from shared.domain.lanes import DeferrableWindow
from shared.domain.off_peak import WeeklyWindow
from shared.wire.config_values import PublicName, empty_is_no_list, public_name

LONGEST_WINDOW_S: Final = 49 * 86_400.0
"""What RabbitMQ takes for the time that a message may wait: 32 bits of milliseconds."""

LONGEST_LABEL: Final = 8
"""So that no class has a longer name than ``interactive.surplus``: it becomes part of queue names."""

MOST_WINDOWS: Final = 16
"""Each is a queue of every lane."""


def _one_entry(value: object) -> object:
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError("one model and the list of its fallbacks, such as {gpt-4o-mini: [claude-haiku]}")
    return value


def _model(value: object) -> str:
    if not isinstance(value, str):
        allowed = "the name of a model (LiteLLM's form with a model and messages of its own is not supported)"
        raise ValueError(allowed)  # noqa: TRY004 - pydantic reports a ValueError with its path, and lets a TypeError pass
    return public_name(value)


def _window(value: object) -> DeferrableWindow:
    if isinstance(value, DeferrableWindow):
        return value
    allowed = f"a duration of 1s to 49d such as 4h, in at most {LONGEST_LABEL} characters"
    try:
        window = DeferrableWindow.of(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(allowed) from None
    if not 1 <= window.seconds <= LONGEST_WINDOW_S or len(window.label) > LONGEST_LABEL:
        raise ValueError(allowed)
    return window


def _in_order(windows: tuple[DeferrableWindow, ...]) -> tuple[DeferrableWindow, ...]:
    if not 0 < len({window.seconds for window in windows}) == len(windows) <= MOST_WINDOWS:
        raise ValueError(f"1 to {MOST_WINDOWS} durations, no two of them equally long")
    return tuple(sorted(windows, key=lambda window: window.seconds))


def _weekly_window(value: object) -> WeeklyWindow:
    return value if isinstance(value, WeeklyWindow) else WeeklyWindow.of(value if isinstance(value, str) else "")


def _zone(value: object) -> tzinfo:
    if isinstance(value, tzinfo):
        return value
    name = value if isinstance(value, str) else ""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # no such zone; a path that leads out of their folder; a folder of zones
        close = difflib.get_close_matches(name, sorted(available_timezones()), n=1, cutoff=0.8)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"the name of a time zone, such as Europe/Zurich or UTC{hint}") from None


ModelNames = Annotated[list[Annotated[str, BeforeValidator(_model)]], BeforeValidator(empty_is_no_list)]
FallbackEntries = Annotated[
    list[Annotated[dict[PublicName, ModelNames], BeforeValidator(_one_entry)]], BeforeValidator(empty_is_no_list)
]
"""A list of models, each with those that come after it."""
DeferrableWindows = Annotated[
    tuple[Annotated[DeferrableWindow, PlainValidator(_window)], ...], AfterValidator(_in_order)
]
"""The shortest first, however they are written."""
OffPeakWindows = Annotated[
    tuple[Annotated[WeeklyWindow, PlainValidator(_weekly_window)], ...], BeforeValidator(empty_is_no_list)
]
Zone = Annotated[tzinfo, PlainValidator(_zone)]
Share = Annotated[float, Field(ge=0, le=1)]

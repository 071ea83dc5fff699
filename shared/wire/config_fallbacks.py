"""From the fallbacks of LiteLLM's settings to the whole way that each lane's jobs may go."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.catalog import Fallbacks
from shared.domain.errors import ConfigurationError
from shared.domain.fallback_chain import chain_of, loop_in
from shared.wire.config_faults import Faults
from shared.wire.config_litellm import ConfigFile
from shared.wire.config_loading import Described

OF_ALL_OTHERS: Final = "*"
"""Stands, as in LiteLLM, for every model without an entry of its own."""

_ALLOWED: Final = "fallbacks that never lead back to where they began (an alias counts as its model)"


@dataclass(frozen=True, slots=True)
class FallbackStep:
    """A lane, one that comes right after it, and where that is configured."""

    lane: str
    following: str
    path: str


@dataclass(frozen=True, slots=True)
class ConfiguredFallbacks:
    """All that comes after each lane, and each step by itself.

    missing: steps to models that are not there. warnings: what else has no effect. Sentences that begin with a path.
    """

    by_lane: Mapping[str, Fallbacks]
    steps: tuple[FallbackStep, ...]
    missing: tuple[str, ...]
    warnings: tuple[str, ...]


def configured_fallbacks(
    file: ConfigFile, lanes: frozenset[str], aliases: Mapping[str, str], faults: Faults
) -> ConfiguredFallbacks:
    """Read the fallbacks of ``lanes``; ``aliases`` are other names of them.

    Faults: some form a loop, which the message spells out.
    """
    kinds = [_Kind.read(file, name, lanes, aliases) for name in _KINDS]
    for kind in kinds:
        kind.look_for_loop(faults)
    general, context_window, content_policy = (kind.chains() for kind in kinds)
    return ConfiguredFallbacks(
        by_lane={
            lane: Fallbacks(general.get(lane, ()), context_window.get(lane), content_policy.get(lane)) for lane in lanes
        },
        steps=tuple(step for kind in kinds for step in kind.steps()),
        missing=tuple(sentence for kind in kinds for sentence in kind.missing()),
        warnings=(*_said_twice(file), *(sentence for kind in kinds for sentence in kind.in_vain())),
    )


_KINDS: Final = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")


@dataclass(frozen=True, slots=True)
class _Entry:
    """What comes after a lane, by lanes' names as far as there are such lanes."""

    lane: str
    following: tuple[str, ...]
    path: str


@dataclass(frozen=True, slots=True)
class _Kind:
    """The fallbacks for one kind of failure. ``valid``: of each lane the entry that counts."""

    lanes: frozenset[str]
    written: Sequence[_Entry]
    valid: Mapping[str, _Entry]

    @classmethod
    def read(cls, file: ConfigFile, name: str, lanes: frozenset[str], aliases: Mapping[str, str]) -> "_Kind":
        written = [
            _Entry(aliases.get(lane, lane), tuple(aliases.get(model, model) for model in following), path)
            for lane, following, path in _written(file, name)
        ]
        valid: dict[str, _Entry] = {}
        for entry in written:
            valid.setdefault(entry.lane, entry)
        return cls(lanes, written, valid)

    def look_for_loop(self, faults: Faults) -> None:
        loop = loop_in({lane: entry.following for lane, entry in self.valid.items() if lane != OF_ALL_OTHERS})
        if loop is not None:
            found = Described(f"the loop {' → '.join(loop)}")
            faults.add(ConfigurationError(self.valid[loop[0]].path, found, _ALLOWED))

    def chains(self) -> dict[str, tuple[str, ...]]:
        """Give all that comes after each lane about which something is said."""
        following = {lane: self._there(entry) for lane in self.lanes if (entry := self._of(lane))}
        return {lane: chain_of(lane, following) for lane in following}

    def steps(self) -> Iterator[FallbackStep]:
        for lane in sorted(self.lanes):
            if entry := self._of(lane):
                for following in self._there(entry):
                    if following != lane:
                        yield FallbackStep(lane, following, entry.path)

    def missing(self) -> Iterator[str]:
        for entry in self._in_force():
            for model in entry.following:
                if model not in self.lanes:
                    yield f"{entry.path}: there is no model {model} in model_list; no job ever falls back to it."

    def in_vain(self) -> Iterator[str]:
        for entry in self.written:
            if entry.lane not in self.lanes and entry.lane != OF_ALL_OTHERS:
                yield f"{entry.path}: there is no model {entry.lane} in model_list; the entry has no effect."
            elif self.valid[entry.lane] is not entry:
                yield f"{entry.path}: has no effect; {self.valid[entry.lane].path} says what comes after it."

    def _in_force(self) -> Iterator[_Entry]:
        return (entry for lane, entry in self.valid.items() if lane in self.lanes or lane == OF_ALL_OTHERS)

    def _of(self, lane: str) -> _Entry | None:
        return self.valid.get(lane, self.valid.get(OF_ALL_OTHERS))

    def _there(self, entry: _Entry) -> tuple[str, ...]:
        return tuple(model for model in entry.following if model in self.lanes)


def _written(file: ConfigFile, name: str) -> Iterator[tuple[str, Sequence[str], str]]:
    """Give each entry of a kind with its path; what the router's settings say takes the place of the others'."""
    section, path = (
        (file.router_settings, "router_settings")
        if getattr(file.router_settings, name)
        else (file.litellm_settings, "litellm_settings")
    )
    if name == "fallbacks":
        yield from _default(file)
    for index, entry in enumerate(getattr(section, name)):
        for model, following in entry.items():
            yield model, following, f"{path}.{name}[{index}].{model}"


def _default(file: ConfigFile) -> Iterator[tuple[str, Sequence[str], str]]:
    for section, path in ((file.router_settings, "router_settings"), (file.litellm_settings, "litellm_settings")):
        if section.default_fallbacks:
            yield OF_ALL_OTHERS, section.default_fallbacks, f"{path}.default_fallbacks"
            return


def _said_twice(file: ConfigFile) -> Iterator[str]:
    for name in (*_KINDS, "default_fallbacks"):
        if getattr(file.router_settings, name) and getattr(file.litellm_settings, name):
            yield f"litellm_settings.{name}: has no effect; router_settings.{name} says what counts."

"""What a command is: its name, what it runs, and an example of its use."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """One command. ``run``'s docstring and parameters make its help; ``examples`` end it, one a line."""

    name: str
    run: Callable[..., None]
    examples: tuple[str, ...]

    @property
    def help(self) -> str:
        """The docstring."""
        return inspect.cleandoc(self.run.__doc__ or "")

    @property
    def epilog(self) -> str:
        """The last lines of the command's help."""
        title = "Example:" if len(self.examples) == 1 else "Examples:"
        return "\n".join(["\b", title, *(f"  {example}" for example in self.examples)])

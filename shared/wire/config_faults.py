"""What is wrong in a configuration, gathered so that all of it is told in one go."""

from shared.domain.errors import ConfigurationError


class Faults:
    """Values that cannot be used. Whoever finds one goes on with another in its place, which nobody will see."""

    def __init__(self) -> None:
        """Begin with none."""
        self._found: list[ConfigurationError] = []

    def add(self, fault: ConfigurationError) -> None:
        """Note one; of what is said about the same path, the first counts."""
        if all(fault.path != known.path for known in self._found):
            self._found.append(fault)

    def together(self) -> ConfigurationError:
        """Give all of them, of which there must be some, as one error."""
        return ConfigurationError.together(self._found)

    def refuse(self) -> None:
        """Raise all of them as one ``ConfigurationError``, if there are any."""
        if self._found:
            raise self.together()

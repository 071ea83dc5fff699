import inspect
from types import ModuleType

import pytest

from shared.domain import errors, provider_errors
from shared.domain.errors import ConfigurationError, ForebayError
from shared.domain.provider_errors import ProviderError


def defined_in(module: ModuleType) -> list[type[ForebayError]]:
    """The errors that a module defines, the root of the tree left out."""
    classes = [member for _, member in inspect.getmembers(module, inspect.isclass) if issubclass(member, ForebayError)]
    return [each for each in classes if each.__module__ == module.__name__ and each is not ForebayError]


@pytest.mark.parametrize(("module", "elsewhere"), [(errors, {"ProviderError"}), (provider_errors, set())])
def test_the_tree_in_the_docstring_is_the_tree_in_the_code(module: ModuleType, elsewhere: set[str]) -> None:
    drawn = {line.strip("│├└─ ").split()[0] for line in (module.__doc__ or "").splitlines() if "──" in line}
    assert drawn - elsewhere == {each.__name__ for each in defined_in(module) if each is not ProviderError}


def test_every_error_has_a_sentence_to_show() -> None:
    everything = [*defined_in(errors), *defined_in(provider_errors)]
    assert all(each().message for each in everything if each is not ConfigurationError)

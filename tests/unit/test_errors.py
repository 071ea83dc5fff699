import inspect

from shared.domain import errors


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = {line.strip("│├└─ ").split()[0] for line in (errors.__doc__ or "").splitlines() if "──" in line}
    defined = {
        name
        for name, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, errors.ForebayError) and member is not errors.ForebayError
    }
    assert drawn == defined


def test_every_error_has_a_sentence_to_show() -> None:
    classes = [member for _, member in inspect.getmembers(errors, inspect.isclass) if member.__doc__]
    plain = [c for c in classes if issubclass(c, errors.ForebayError) and c is not errors.ConfigurationError]
    assert all(c().message for c in plain)

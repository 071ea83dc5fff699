"""The command line: one file a command."""


def main() -> None:
    """Run the ``forebay`` command and exit with its status: 0, 1 (failed) or 2 (wrong usage)."""
    from forebay.cli.app import app

    app(prog_name="forebay")

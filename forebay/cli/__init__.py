"""The command line: one file a command."""

from forebay.cli.app import app


def main() -> None:
    """Run the ``forebay`` command and exit with its status: 0, 1 (failed) or 2 (wrong usage)."""
    app(prog_name="forebay")

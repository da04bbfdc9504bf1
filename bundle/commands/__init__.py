"""What `python -m bundle` runs, one file for each command, each with `add_arguments(parser)` and `run(arguments)`."""

from .words import add_reading_arguments, reading_options

__all__ = ["add_reading_arguments", "reading_options"]

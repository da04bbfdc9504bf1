"""What `python -m bundle` runs, one file for each command, each with `add_arguments(parser)` and `run(arguments)`."""

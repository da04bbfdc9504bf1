"""Maintainers' programs, told apart by what they are for; no config and no command needs them.

- ``release``: makes the shipped weights, and the picture of the worst cases on their card
- ``platforms`` and ``check_platforms.sh``: checks a release on the platforms that take it
- ``benchmarks``: measures, into docs/results
- ``tables``: remakes pages and tables of results that are committed, ``python -m scripts.tables.results``
- ``experiments``: the trainings behind docs/results.md; their result files are committed, and a part that is done is
  not run again
"""

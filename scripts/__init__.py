"""Maintainers' programs, told apart by what they are for; no config and no command needs them.

- ``release``: makes the shipped weights, and the picture of the worst cases on their card
- ``shipped``: measures the shipped weights on VessMAP
- ``platforms`` and ``check_platforms.sh``: checks a release on the platforms that take it
- ``benchmarks``: measures all else, into docs/results
- ``tables``: remakes pages and tables of results that are committed, ``python -m scripts.tables.results``

Experiments that are over have left their scores in docs/results; docs/experiments names the commit that holds the
programs that made them.
"""

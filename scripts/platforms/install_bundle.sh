#!/usr/bin/env bash
# The bundle's dependencies and those of its export, not the bundle itself, which has to run without being installed.
set -euo pipefail
# shellcheck disable=SC2046 # a word for each dependency
python -m pip install --quiet -c constraints.txt $(python scripts/platforms/dependencies.py export) jsonschema

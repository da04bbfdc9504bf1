#!/usr/bin/env bash
# What packages the resource (the bundle's dependencies and those of its export), and the zoo's own tool. pydantic from
# 2.13 on breaks the packaging of bioimageio.spec 0.5.12, which bioimageio.core 0.11 asks for; constraints.txt pins a later
# one for other packages, so that it does not apply to the tool.
set -euo pipefail
# shellcheck disable=SC2046 # a word for each dependency
python -m pip install --quiet -c constraints.txt $(python scripts/platforms/dependencies.py export)
python -m pip install --quiet 'bioimageio.core==0.11.*' 'pydantic<2.13'

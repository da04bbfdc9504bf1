#!/usr/bin/env bash
# The bundle's dependencies with those of its cluster, and Slurm with munge from Debian's packages where they are not there.
set -euo pipefail
# shellcheck disable=SC2046 # a word for each dependency
python -m pip install --quiet -c constraints.txt $(python scripts/platforms/dependencies.py cluster)
if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    $as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
fi

#!/usr/bin/env bash
# The bundle's dependencies with those of `export --to fiji`; from Debian's packages ImageJ, the program that Fiji is
# built around, with Java, and a screen that nobody sees.
set -euo pipefail
# shellcheck disable=SC2046 # a word for each dependency
python -m pip install --quiet -c constraints.txt $(python scripts/platforms/dependencies.py fiji)
if [ ! -e /usr/share/java/ij.jar ] || ! command -v xvfb-run >/dev/null || ! command -v java >/dev/null; then
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    $as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends imagej default-jre xvfb xauth >/dev/null
fi

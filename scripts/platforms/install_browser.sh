#!/usr/bin/env bash
# The bundle's dependencies, Selenium, and Chromium with its driver from Debian's packages where they are not there.
set -euo pipefail
# shellcheck disable=SC2046 # a word for each dependency
python -m pip install --quiet -c constraints.txt $(python scripts/platforms/dependencies.py browser)
if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    $as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends chromium chromium-driver fonts-dejavu-core >/dev/null
fi

#!/usr/bin/env bash
# The bundle itself as a package, since napari finds plugins among what is installed; napari with Qt 6 beside the pins;
# and from Debian's packages a screen that nobody sees, with what Qt asks of it.
set -euo pipefail
python -m pip install --quiet -c constraints.txt -e '.[napari]'
if ! command -v Xvfb >/dev/null; then
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    $as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends xvfb libegl1 libgl1 \
        libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxcb-xinerama0 \
        libxcb-render-util0 libxcb-image0 libdbus-1-3 fonts-dejavu-core >/dev/null
fi

#!/usr/bin/env bash
# Runs the bundle on a platform, the real one, in an environment of its own: a line for each claim, status 1 if one fails.
#   bash scripts/check_platforms.sh bundle|browser|label|deploy|bioimage|napari|fiji|cluster [--record]
# The environment lies in runs/platforms/NAME/venv. It has the pinned torch and what scripts/platforms/install_NAME.sh
# installs, and is used again until one of these changes; with VENV=FOLDER it is that environment, to which what is missing
# is added. --record writes docs/results/platforms_NAME.csv.
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:-}
shift || true
install=scripts/platforms/install_$name.sh
check=scripts/platforms/check_$name.py
if [ ! -f "$install" ] || [ ! -f "$check" ]; then
    echo "usage: bash scripts/check_platforms.sh bundle|browser|label|deploy|bioimage|napari|fiji|cluster [--record]" >&2
    exit 2
fi

home=$PWD/runs/platforms/$name
made_from=$(cat scripts/check_platforms.sh "$install" constraints.txt pyproject.toml | cksum)
if [ -z "${VENV:-}" ] && [ "$(cat "$home/complete" 2>/dev/null)" != "$made_from" ]; then
    echo "== making the environment of $name"
    rm -rf "$home/venv" "$home/complete"
    mkdir -p "$home"
    "${PYTHON:-python3}" -m venv "$home/venv"
fi
venv=${VENV:-$home/venv}
bin=$(cd "$venv" && pwd)/bin
[ -d "$bin" ] || bin=$(cd "$venv" && pwd)/Scripts  # Windows
export PATH=$bin:$PATH
# neither a folder on the way nor the user's own packages may stand in for what is to be found in the environment
unset PYTHONPATH
export PYTHONNOUSERSITE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
if [ -n "${VENV:-}" ]; then
    bash "$install"
elif [ "$(cat "$home/complete" 2>/dev/null)" != "$made_from" ]; then
    python -m pip install --quiet "$(grep '^torch==' constraints.txt)" # alone: the CPU build, where pip is told of one
    bash "$install"
    echo "$made_from" >"$home/complete"
fi

echo "== checking $name"
exec python "$check" "$@"

#!/usr/bin/env bash
# Makes .venv and installs editq into it, from deploy/requirements.txt. A second run finds its own stamp
# (a digest of what decides the installation) and does nothing.
#
#   PYTHON              the interpreter to make .venv with; python3 by default
#   EDITQ_TORCH_INDEX   the package index to take torch and torchvision from; pip's own by default
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3}
torch=(torch==2.13.0 torchvision==0.28.0)
stamp=.venv/.editq-installed

say() { printf '%s\n' "$*"; }
fail() { printf 'editq: %s\n' "$*" >&2; exit 1; }

digest() { # of everything that decides what gets installed
    { cat deploy/requirements.txt pyproject.toml deploy/install.sh; pwd; } | sha256sum | cut -d' ' -f1
}

usable() { # whether .venv is there, starts, and was made at this very path
    [ -x .venv/bin/python ] &&
        .venv/bin/python -c 'import os, sys; sys.exit(not os.path.samefile(sys.prefix, ".venv"))' 2>/dev/null &&
        .venv/bin/python -m pip --version >/dev/null 2>&1
}

if usable && [ "$(cat "$stamp" 2>/dev/null)" = "$(digest)" ]; then
    exit 0
fi

command -v "$python" >/dev/null ||
    fail "no $python found. editq needs Python 3.11 or newer (on Debian: apt-get install python3 python3-venv)."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "editq needs Python 3.11 or newer; $python is $("$python" -V 2>&1). Set PYTHON to a newer one."
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python cannot make virtual environments. On Debian: apt-get install python3-venv."

if ! usable; then
    say "==> making .venv with $("$python" -V)"
    "$python" -m venv --clear .venv
fi
rm -f "$stamp"
pip=(.venv/bin/python -m pip --disable-pip-version-check --no-input install)

say "==> 1/3 the pinned dependencies (deploy/requirements.txt)"
"${pip[@]}" --no-deps --requirement deploy/requirements.txt

say "==> 2/3 ${torch[*]}${EDITQ_TORCH_INDEX:+ from EDITQ_TORCH_INDEX}"
"${pip[@]}" ${EDITQ_TORCH_INDEX:+--index-url "$EDITQ_TORCH_INDEX"} "${torch[@]}"

say "==> 3/3 editq itself"
"${pip[@]}" --no-deps --no-build-isolation --editable .

digest >"$stamp"
say "==> installed into .venv"

#!/usr/bin/env bash
# Creates .venv with funsearch and its extras (EXTRAS, default cpu,dev). Called by `make setup`.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "funsearch needs Python 3.11 or newer; $python is $("$python" --version 2>&1). Set PYTHON=..." >&2
  exit 1
}
[ -x .venv/bin/python ] || "$python" -m venv .venv || {
  echo "Cannot create a virtual environment: install Python's venv module (Debian, Ubuntu: apt install python3-venv)." >&2
  exit 1
}
.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip --upgrade >/dev/null  # environments of uv have no pip
.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.5"

# The CPU build of PyTorch comes from a folder of wheels if pip is configured with one that contains it, otherwise from
# PyTorch's own index.
links=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-$(.venv/bin/python -m pip config get global.find-links 2>/dev/null || true)}}
torch=(--torch-backend=cpu)
for folder in ${links//,/ }; do
  if compgen -G "$folder/torch-*cpu*.whl" >/dev/null; then
    export UV_FIND_LINKS=${links// /,}
    torch=()
  fi
done
case ",${EXTRAS:-cpu,dev}," in *,gpu,*) torch=(--torch-backend=auto) ;; esac

export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300}
.venv/bin/uv pip install --python .venv/bin/python "${torch[@]}" --editable ".[${EXTRAS:-cpu,dev}]"

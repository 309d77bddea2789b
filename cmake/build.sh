#!/usr/bin/env bash
# Configures a preset the first time, then builds the targets (everything if none is named).
#   build.sh [--quiet] PRESET [TARGET...]
# --quiet shows one line before a build that takes long, and the log only when it fails. Extra
# configure arguments come from CMAKE_ARGS.
set -euo pipefail
cd "$(dirname "$0")/.."

quiet=no
if [[ "${1:-}" == --quiet ]]; then
  quiet=yes
  shift
fi
preset=$1
shift
directory=build
[[ "$preset" == release ]] || directory=build/$preset

if ! command -v cmake >/dev/null || ! command -v g++ >/dev/null; then
  echo "cmake or g++ is missing: run \`make setup\` first." >&2
  exit 1
fi
if command -v ninja >/dev/null; then
  export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
fi

run() {
  if [[ ! -f "$directory/CMakeCache.txt" || -n "${CMAKE_ARGS:-}" ]]; then
    # shellcheck disable=SC2086  # CMAKE_ARGS is a list of words
    cmake --preset "$preset" ${CMAKE_ARGS:-} || return
  fi
  cmake --build "$directory" --parallel "$(nproc)" ${1:+--target "$@"}
}

if [[ $quiet == no ]]; then
  run "$@"
else
  mkdir -p "$directory"
  log=$directory/build.log
  if [[ ! -x "$directory/bin/${1:-}" ]]; then
    echo "Building Farsight in $directory/ (a few minutes the first time; log: $log) ..." >&2
  fi
  if ! run "$@" >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
  fi
fi

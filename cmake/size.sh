#!/usr/bin/env bash
# make size: lines of our own text, per folder and in all.
set -euo pipefail
cd "$(dirname "$0")/.."

total=0
count() {  # LABEL, then find's arguments
  local label=$1 lines files
  shift
  [[ -e "$1" ]] || return 0  # git keeps no empty folders
  files=$(find "$@" -type f -print | wc -l)
  lines=$(find "$@" -type f -exec cat {} + | wc -l)
  printf '%-12s %4d files %7d lines\n' "$label" "$files" "$lines"
  total=$((total + lines))
}
for folder in core autograd ops cuda models data train eval; do
  count "$folder/" "$folder" '(' -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' ')'
done
printf '%-12s %17d lines\n\n' "engine" "$total"
for folder in tests bench; do
  count "$folder/" "$folder" '(' -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.sh' -o -name '*.py' ')'
done
count "build system" CMakeLists.txt CMakePresets.json Makefile cmake .ci
printf '%-12s %17d lines\n' "total" "$total"

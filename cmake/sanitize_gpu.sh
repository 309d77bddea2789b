#!/usr/bin/env bash
# make sanitize-gpu: the operations' GPU tests at tiny shapes under compute-sanitizer, one line a tool.
#   sanitize_gpu.sh PROGRAM        for example build/bin/farsight_tests
set -uo pipefail
cd "$(dirname "$0")/.." || exit
program=$1
export FARSIGHT_TEST_TINY=1 FARSIGHT_REQUIRE_GPU=1 FARSIGHT_TUNE=0

sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
if [[ ! -x "$sanitizer" ]]; then
  echo "sanitize-gpu: compute-sanitizer is missing; it comes with NVIDIA's full toolkit" >&2
  exit 1
fi

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
tools=(memcheck racecheck initcheck synccheck)
for tool in "${tools[@]}"; do
  timeout "${SANITIZE_SECONDS:-900}" "$sanitizer" --tool "$tool" "$program" \
    -tc="gpu: operations agree*,gpu: a gradient that is already there*" >"$logs/$tool" 2>&1 &
done
wait

failed=0
for tool in "${tools[@]}"; do
  tests=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$logs/$tool" | tail -n 1)
  errors=$(grep -oE '(ERROR|RACECHECK) SUMMARY: .*' "$logs/$tool" | tail -n 1)
  echo "$tool: ${tests:-did not finish}; ${errors:-no summary}"
  if [[ "$tests" != *" 0 failed"* || ! "$errors" =~ ": 0 " ]]; then
    failed=1
    grep -E '^=========' "$logs/$tool" | head -n 40
  fi
done
exit "$failed"

#!/usr/bin/env bash
# Runs the test program of a build and, for the release build, the tests of the developer commands
# (tests/*_test.sh). The last line adds everything up: "N passed, N failed, N skipped".
#   run_tests.sh BUILD_DIRECTORY [ARGUMENT OF THE TEST PROGRAM ...]
set -uo pipefail
cd "$(dirname "$0")/.." || exit
directory=$1
shift

passed=0
failed=0
skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Shows a test program's output without its closing line, which goes into the sums. A program that
# ends without one has crashed: one failure.
add() {
  local name=$1
  shift
  echo "== $name"
  "$@" 2>&1 | tee "$log" | sed -E '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/d'
  local status=${PIPESTATUS[0]}
  local closing='^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$'
  if [[ "$(tail -n 1 "$log")" =~ $closing ]]; then
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
    skipped=$((skipped + BASH_REMATCH[3]))
    if ((status != 0 && BASH_REMATCH[2] == 0)); then
      echo "FAILED  $name: exit status $status, although no test case failed"
      failed=$((failed + 1))
    fi
  else
    echo "FAILED  $name: ended with status $status before its closing line"
    failed=$((failed + 1))
  fi
}

export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
add "unit tests ($directory/bin/farsight_tests)" "$directory/bin/farsight_tests" "$@"
if [[ "$directory" == build && $# -eq 0 ]]; then
  for script in tests/*_test.sh; do
    add "$script" bash "$script"
  done
fi

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))

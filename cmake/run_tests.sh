#!/usr/bin/env bash
# Runs the test program of a build and, for the release build, the tests of the developer commands
# (tests/*_test.sh). The last line adds everything up: "N passed, N failed, N skipped".
#   run_tests.sh BUILD_DIRECTORY [ARGUMENT OF THE TEST PROGRAM ...]
# Test cases run in TEST_JOBS processes (one a processor; those of a GPU in one), some cases each.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
directory=$1
shift

passed=0
failed=0
skipped=0
log=$(mktemp)
shares=$(mktemp -d)
trap 'rm -rf "$log" "$shares"' EXIT

# Shows a test program's output without its closing line, which goes into the sums. A program that
# ends without one has crashed: one failure.
add() {
  local name=$1
  shift
  [[ -z "$name" ]] || echo "== $name"
  "$@" 2>&1 | tee "$log" | sed -E '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/d'
  local status=${PIPESTATUS[0]}
  local closing='^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$'
  if [[ "$(tail -n 1 "$log")" =~ $closing ]]; then
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
    skipped=$((skipped + BASH_REMATCH[3]))
    if ((status != 0 && BASH_REMATCH[2] == 0)); then
      echo "FAILED  ${name:-a share of the unit tests}: exit status $status, although no test case failed"
      failed=$((failed + 1))
    fi
  else
    echo "FAILED  ${name:-a share of the unit tests}: ended with status $status before its closing line"
    failed=$((failed + 1))
  fi
}

# The test cases COUNT * share / all to COUNT * (share + 1) / all; their output goes to a file of the share.
run_share() { # SHARE ALL COUNT [ARGUMENT ...]
  local share=$1 first=$(($1 * $3 / $2 + 1)) last=$((($1 + 1) * $3 / $2))
  shift 3
  "$directory/bin/farsight_tests" --first=$first --last=$last "$@" >"$shares/$share.log" 2>&1
  echo $? >"$shares/$share.status"
}

export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
jobs=${TEST_JOBS:-$(nproc)}
[[ -z "${FARSIGHT_REQUIRE_GPU:-}" ]] || jobs=1
count=$("$directory/bin/farsight_tests" "$@" --count 2>/dev/null | grep -oE 'filters: [0-9]+' | grep -oE '[0-9]+')
if ((jobs <= 1 || ${count:-0} < 2 * jobs)); then
  add "unit tests ($directory/bin/farsight_tests)" "$directory/bin/farsight_tests" "$@"
else
  # Many small shares, so that the processes end together; shown in their order, and doctest's own words
  # only of those that failed.
  echo "== unit tests ($directory/bin/farsight_tests): $count cases in $jobs processes"
  trap 'trap - INT TERM; kill -TERM 0' INT  # what runs in the background does not hear of Ctrl-C
  twice=$("$directory/bin/farsight_tests" "$@" --list-test-cases | grep -v '^\[doctest\]\|^===' | sort | uniq -d)
  if [[ -n "$twice" ]]; then # in one process the program notices by itself
    echo "FAILED  several cases have this name: $twice"
    failed=$((failed + 1))
  fi
  all=$((16 * jobs < count ? 16 * jobs : count))
  for ((share = 0; share < all; share++)); do
    ((share < jobs)) || wait -n
    run_share $share $all "$count" "$@" &
  done
  wait
  for ((share = 0; share < all; share++)); do
    status=$(cat "$shares/$share.status")
    ((status != 0)) || sed -i -E '/^(\[doctest\] |={79}$)/d' "$shares/$share.log"
    add '' bash -c "cat '$shares/$share.log'; exit $status"
  done
fi
if [[ "$directory" == build && $# -eq 0 ]]; then
  for script in tests/*_test.sh; do
    add "$script" bash "$script"
  done
fi

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))

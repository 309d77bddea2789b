#!/usr/bin/env bash
# `farsight repro` as a user runs it, with models that learn nothing: all of it, interrupted, resumed,
# and a report over half of it.
#   repro_test.sh [BIN_DIRECTORY]     default build/bin
set -uo pipefail
cd "$(dirname "$0")/.." || exit
bin=${1:-build/bin}

passed=0
failed=0
ok() { passed=$((passed + 1)); }
bad() {
  failed=$((failed + 1))
  echo "FAILED  repro: $1"
}
contains() { # NAME TEXT PART
  if [[ "$2" == *"$3"* ]]; then ok; else bad "$1: '$3' is not in: $2"; fi
}
equals() { # NAME GOT EXPECTED
  if [[ "$2" == "$3" ]]; then ok; else bad "$1: got '$2', expected '$3'"; fi
}

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
repro() { "$bin/farsight" repro --level micro --device cpu --out "$out/repro" "$@" 2>&1; }

text=$(repro --dry-run)
equals "a plan ends well" "$?" 0
contains "the plan counts the runs" "$text" "32 runs"
contains "the plan names tests" "$text" "ngram-robustness"
if [[ -e "$out/repro" ]]; then bad "a plan writes something"; else ok; fi

text=$(repro)
equals "everything ends well" "$?" 0
contains "every run is told" "$text" "[32/32]"
contains "verdicts are printed" "$text" "order relations"
for file in repro.html repro.md repro.json figures/figure-6b.csv figures/figure-10.csv; do
  if [[ -s "$out/repro/$file" ]]; then ok; else bad "$file is not there"; fi
done
if grep -E "not there|Missing:" "$out/repro/repro.md"; then bad "the whole report misses that"; else ok; fi

text=$(repro --table 1)
equals "what is there is not run again" "$?" 0
contains "it says so" "$text" "there already: last-mamba-seed42"

text=$(repro --table 1 --steps 3)
equals "runs of other settings are not taken" "$?" 2
contains "the setting is named" "$text" "train.steps = 4 there, 3 wanted"
text=$(repro --tabel 1)
equals "an option that does not exist" "$?" 2
contains "the nearest option" "$text" "--table"

rm -r "$out/repro/runs/last-mamba-seed42"
text=$(repro --report-only --table 1)
equals "a report over a part ends well" "$?" 0
contains "what is missing is said" "$(<"$out/repro/repro.md")" "not started"

text=$(env -u FARSIGHT_DATA "$bin/farsight" repro --table 4 --level micro --dry-run --out "$out/text" 2>&1)
equals "no text, no plan" "$?" 2
contains "what is missing is asked for" "$text" "which text? Give --corpus FILES"

# Interrupted: long enough to be caught, checkpoints at every second step.
long() { repro --out "$out/long" --table 1 --jobs 2 --steps 300; }
long >"$out/log" &
pid=$!
for _ in {1..200}; do
  [[ -n "$(find "$out/long/runs" -name 'step-*' -print -quit 2>/dev/null)" ]] && break
  sleep 0.05
done
program=$(pgrep -P "$pid" -f "repro --level" | head -n 1)
kill -INT "${program:-$pid}"
wait "$pid"
equals "an interruption has its exit code" "$?" 130
contains "it says how to go on" "$(<"$out/log")" "The same command goes on from there"
text=$(long)
equals "it goes on" "$?" 0
contains "and comes to an end" "$text" "[3/3]"
contains "from its checkpoint" "$(cat "$out"/long/logs/*.log)" "resuming from"

echo "$passed passed, $failed failed, 0 skipped"
((failed == 0))

#!/usr/bin/env bash
# The scaling run: on two processes of the CPU all that it does; with programs that only pretend, that
# it notices what is not equal, and says which.  scaling_run_test.sh [BIN_DIRECTORY]
set -uo pipefail
cd "$(dirname "$0")/.." || exit
unset GPUS RANKS PARTS MODELS STEPS CHECK RUN_STEPS KILLS OUT LIMIT BUDGET SEED COMMIT

passed=0
failed=0
skipped=0
check() { # NAME CONDITION...
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED  scaling run: $name"
  fi
}
bin=${1:-build/bin}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
log=$scratch/log
lines=$scratch/lines.jsonl
has() { grep -qE -- "$1" "$2"; }

# Programs that pretend: after two ranks' training stands what HASH says.
mkdir "$scratch/bin"
cat >"$scratch/bin/farsight" <<'END'
#!/usr/bin/env bash
ranks=$3
folder=${!#}
mkdir -p "$folder"
echo '{"step":20,"tokens":10,"seconds":1}' >"$folder/metrics.jsonl"
hash=abc
((ranks == 2)) && hash=${HASH:-abc}
echo "{\"parameter_hash\": \"$hash\"}" >"$folder/result.json"
exit "${STATUS:-0}"
END
cp "$scratch/bin/farsight" "$scratch/bin/mamba"
chmod +x "$scratch/bin/"*
pretend() { env "$@" RANKS=2 OUT="$lines" bash cmake/scaling_run.sh "$scratch/bin" >"$log" 2>&1; }

check "equal weights are a success" pretend PARTS=reproducible
check "a line for every number of ranks" [ "$(grep -c '"equal":true' "$lines")" = 2 ]
pretend PARTS=reproducible HASH=def
check "other weights fail" [ "$?" = 1 ]
check "other weights are named" has "FAILED  --reproducible: 2 ranks end with other weights than fewer \(def, abc\)" "$log"
check "the line says so too" has '"ranks":2,"parameter_hash":"def","equal":false' "$lines"
pretend PARTS=speed MODELS=pythia STATUS=8
check "ranks that differ fail" [ "$?" = 1 ]
check "ranks that differ are named" has "FAILED  pythia-on-2 lost a rank, or its ranks' weights differ" "$log"
pretend PARTS=reproducible BUDGET=1
check "what is left out fails" [ "$?" = 1 ]
check "what is left out is named" has "FAILED  left out, .*: reproducible-on-1" "$log"
pretend PARTS=sped
check "an unknown part is a mistake" [ "$?" = 2 ]
RANKS=3 bash cmake/scaling_run.sh "$scratch/bin" >"$log" 2>&1
check "three ranks are a mistake" [ "$?" = 2 ]

if [[ -x $bin/farsight && -x $bin/mamba ]]; then
  rm -f "$lines"
  RANKS=2 MODELS=mamba STEPS=9 CHECK=3 RUN_STEPS=40 OUT=$lines bash cmake/scaling_run.sh "$bin" >"$log" 2>&1
  check "everything on two processes" [ "$?" = 0 ]
  check "a speed has an efficiency, and weights that were compared" \
    has '"model":"mamba","ranks":2,.*"efficiency_percent":[0-9.]+,"exposed_ms":.*"times_weights_were_compared_and_equal":3' "$lines"
  check "1 and 2 ranks have the same bits" [ "$(grep -c '"name":"reproducible".*"equal":true' "$lines")" = 2 ]
  check "a killed rank is noticed, and the run ends as if it had not been" \
    has '"name":"a rank killed".*"exit_code":8,"said":"rank [01] of 2 .* was lost.*"equal":true' "$lines"
  check "half as many ranks go on to the same bits" \
    has '"name":"resumed on half","ranks":2,"resumed_on":1,.*"equal":true' "$lines"
  check "as many lines as results" [ "$(wc -l <"$lines")" = 6 ]
  ((failed == 0)) || cat "$log"
else
  skipped=$((skipped + 1))
  echo "skipped scaling run: $bin has no programs"
fi

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))

#!/usr/bin/env bash
# A short pocket training that must learn: fails unless the pair accuracy on its own task, as
# result.json has it (percent), reaches the threshold. A model that only knows which values were
# seen, and guesses among them, gets 48.
#   pocket_smoke.sh [BIN_DIRECTORY]     default build/bin
# STEPS, THRESHOLD and ARGS (more options of `mamba train`) change the run. Closes with the counts.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
bin=${1:-build/bin}
threshold=${THRESHOLD:-60}
steps=${STEPS:-2500}  # of the preset's 8000: about a minute on two cores

if [[ ! -x "$bin/mamba" ]]; then
  echo "skipped pocket training: $bin/mamba does not exist"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
began=$SECONDS
# shellcheck disable=SC2086  # ARGS is a list of words
"$bin/mamba" train --task standard --model mamba --preset pocket --device cpu --seed 42 \
  --steps "$steps" --out "$out/run" ${ARGS:-}
status=$?
if ((status != 0)); then
  echo "FAILED  pocket training: exit status $status"
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi

accuracy=$(awk -v path=accuracy.standard.pair -f cmake/json_value.awk "$out/run/result.json")
if [[ -z "$accuracy" ]]; then
  echo "FAILED  pocket training: result.json holds no accuracy.standard.pair"
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi
echo "pocket training: pair accuracy $accuracy on standard, threshold $threshold, $((SECONDS - began)) s"
if awk "BEGIN {exit !($accuracy >= $threshold)}"; then
  echo "1 passed, 0 failed, 0 skipped"
else
  echo "FAILED  pocket training: it did not learn"
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi

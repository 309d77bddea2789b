#!/usr/bin/env bash
# What a second GPU is worth:  cmake/scale_gpus.sh FARSIGHT GPUS [STEPS] [words of `mamba train` ...]
# Trains Mamba-130M on 1 GPU and on GPUS of this machine, 65,536 tokens a GPU and step, and prints a
# line of JSON for each: tokens/s over the later steps, milliseconds a step, and how many of them the
# gradients of the other ranks were waited for after the backward. The last line is the efficiency.
# With the words --device cpu it runs on processes of the CPU, to be tried out.
set -euo pipefail

farsight=$1
gpus=$2
steps=${3:-60}
shift $(($# < 3 ? $# : 3))
rows=${ROWS:-128} # of 512 tokens, a GPU
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
count=--gpus
[[ " $* " == *" --device cpu "* ]] && count=--nproc

# field NAME FILE: the numbers of a field of metrics.jsonl, a line each.
field() {
  grep -o "\"$1\":[-0-9.e+]*" "$2" | cut -d: -f2
}

declare -A speed
for n in 1 "$gpus"; do
  "$farsight" launch "$count" "$n" -- mamba train --model mamba --preset full --dtype bf16 \
    --lengths 512 --batch-size $((rows * n)) --train.micro_tokens 65536 --steps "$steps" \
    --eval-interval 1000000000 --log-interval 5 --no-progress --no-tensorboard \
    --data.valid_examples_per_cell 1 --data.test_examples_per_cell 1 --ckpt-interval 1000000000 \
    "$@" --out "$out/$n" >"$out/$n.log" 2>&1 || { cat "$out/$n.log" >&2; exit 1; }
  metrics=$out/$n/metrics.jsonl
  paste <(field step "$metrics") <(field tokens "$metrics") <(field seconds "$metrics") \
    <(field exposed_ms "$metrics" || true) >"$out/$n.table"
  # From a third of the steps on: what is prepared once has been.
  line=$(awk -v n="$n" -v steps="$steps" '
    $1 >= steps / 3 && !began { began = 1; step = $1; tokens = $2; seconds = $3 }
    { last_step = $1; last_tokens = $2; last_seconds = $3 }
    began && $4 != "" { exposed += $4; counted++ }
    END {
      took = last_seconds - seconds
      ms = 1e3 * took / (last_step - step)
      waited = counted ? exposed / counted : 0
      printf "{\"ranks\":%d,\"tokens_per_second\":%.0f,\"step_ms\":%.2f,\"exposed_ms\":%.2f,\"exposed_percent\":%.2f,\"steps\":%d}",
        n, (last_tokens - tokens) / took, ms, waited, 100 * waited / ms, last_step - step
    }' "$out/$n.table")
  echo "$line"
  speed[$n]=$(grep -o '"tokens_per_second":[0-9]*' <<<"$line" | cut -d: -f2)
done
awk -v one="${speed[1]}" -v all="${speed[$gpus]}" -v n="$gpus" \
  'BEGIN { printf "{\"ranks\":%d,\"efficiency_percent\":%.2f}\n", n, 100 * all / (n * one) }'

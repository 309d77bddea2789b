#!/usr/bin/env bash
# make sanitize-gpu: the operations' GPU tests at tiny shapes under compute-sanitizer, one line a tool;
# the operations are dealt out to SANITIZE_SHARDS processes a tool, by default a quarter of the cores, and the
# processes to all GPUs: everything runs side by side.
#   [SANITIZE_TOOLS=racecheck] sanitize_gpu.sh PROGRAM        for example build/bin/farsight_tests
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
read -ra tools <<<"${SANITIZE_TOOLS:-memcheck racecheck initcheck synccheck}"
# racecheck takes the mbarriers of cuBLASLt's own kernels (nvjet_*) for races; what we launch is ours alone.
shards=${SANITIZE_SHARDS:-$((($(nproc) + 3) / 4))}
gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU')
[[ "$gpus" -gt 0 ]] || gpus=1
process=0
for tool in "${tools[@]}"; do
  filter=()
  [[ "$tool" == racecheck ]] && filter=(--kernel-name-exclude kns=nvjet)
  for ((shard = 0; shard < shards; shard++)); do
    gpu=${CUDA_VISIBLE_DEVICES:-$((process % gpus))}
    process=$((process + 1))
    CUDA_VISIBLE_DEVICES=$gpu FARSIGHT_TEST_SHARD=$shard/$shards timeout "${SANITIZE_SECONDS:-900}" \
      "$sanitizer" --tool "$tool" "${filter[@]}" "$program" \
      -tc="gpu: operations agree*,gpu: a gradient that is already there*" \
      >"$logs/$tool-$shard" 2>&1 &
  done
done
wait

failed=0
for tool in "${tools[@]}"; do
  clean=0
  assertions=0
  for ((shard = 0; shard < shards; shard++)); do
    log=$logs/$tool-$shard
    tests=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
    errors=$(grep -oE '(ERROR|RACECHECK) SUMMARY: .*' "$log" | tail -n 1)
    checked=$(grep -oE 'assertions: +[0-9]+' "$log" | grep -oE '[0-9]+' | tail -n 1)
    assertions=$((assertions + ${checked:-0}))
    if [[ "$tests" == *" 0 failed"* && "$errors" =~ ": 0 " ]]; then
      clean=$((clean + 1))
    else
      failed=1
      echo "$tool, shard $shard of $shards: ${tests:-did not finish}; ${errors:-no summary}"
      grep -E '^=========' "$log" | head -n 40
      [[ -n "$errors$tests" ]] || tail -n 5 "$log"
    fi
  done
  echo "$tool: $clean of $shards shards without an error, $assertions assertions"
done
exit "$failed"

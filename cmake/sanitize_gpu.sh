#!/usr/bin/env bash
# make sanitize-gpu: the operations' GPU tests at tiny shapes under compute-sanitizer, one line a tool.
# A process checks every SANITIZE_SHARDSth operation with one tool and one of the two tests; as many as there are
# processors (or SANITIZE_JOBS) run at a time, dealt out to all GPUs. racecheck is a hundred times slower than the
# others and most so for the scans: with 60 shards every operation has a process of its own.
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
read -ra tools <<<"${SANITIZE_TOOLS:-racecheck memcheck initcheck synccheck}"
cases=("gpu: operations agree*" "gpu: a gradient that is already there*")
shards=${SANITIZE_SHARDS:-60}
gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU')
[[ "$gpus" -gt 0 ]] || gpus=1

check() { # TOOL CASE SHARD
  local filter=() gpu
  # Of cuBLASLt's kernels racecheck takes the mbarriers of some for races and dies in others; what we
  # launch is ours alone.
  [[ "$1" == racecheck ]] && filter=(--kernel-name kns=farsight)
  gpu=${CUDA_VISIBLE_DEVICES:-$((($2 + $3) % gpus))}
  CUDA_VISIBLE_DEVICES=$gpu FARSIGHT_TEST_SHARD=$3/$shards timeout "${SANITIZE_SECONDS:-900}" \
    "$sanitizer" --tool "$1" "${filter[@]}" "$program" -tc="${cases[$2]}" >"$logs/$1-$2-$3" 2>&1
}

running=0
for tool in "${tools[@]}"; do
  for ((shard = 0; shard < shards; shard++)); do
    for case in "${!cases[@]}"; do
      if ((running >= ${SANITIZE_JOBS:-$(nproc)})); then
        wait -n
        running=$((running - 1))
      fi
      check "$tool" "$case" "$shard" &
      running=$((running + 1))
    done
  done
done
wait

failed=0
for tool in "${tools[@]}"; do
  clean=0
  all=0
  assertions=0
  for log in "$logs/$tool"-*; do
    all=$((all + 1))
    tests=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
    errors=$(grep -oE '(ERROR|RACECHECK) SUMMARY: .*' "$log" | tail -n 1)
    checked=$(grep -oE 'assertions: +[0-9]+' "$log" | grep -oE '[0-9]+' | tail -n 1)
    assertions=$((assertions + ${checked:-0}))
    if [[ "$tests" == *" 0 failed"* && "$errors" =~ ": 0 " ]]; then
      clean=$((clean + 1))
    else
      failed=1
      echo "${log##*/} of $shards: ${tests:-did not finish}; ${errors:-no summary}"
      grep -E '^=========' "$log" | head -n 40
      [[ -n "$errors$tests" ]] || tail -n 5 "$log"
    fi
  done
  echo "$tool: $clean of $all processes without an error, $assertions assertions"
done
exit "$failed"

#!/usr/bin/env bash
# The scaling run: everything that N GPUs of one host have to show, as lines of JSON.
#   GPUS=8 scaling_run.sh [BIN_DIRECTORY] [more words of `mamba train` for the measured runs]
#   RANKS=4 ...    the same on processes of the CPU, at pocket size: to try it out
# PARTS=speed,reproducible,kill,resume    what to do, in this order [all]
#   speed         tokens/s, efficiency and what of a step the gradients were waited for, on 1, 2, 4, .. N
#   reproducible  --reproducible ends with the same weights on 1, 2, 4, .. N
#   kill          a random rank gets SIGKILL at a random step: seconds until the others have ended, and
#                 the run, started again, ends with the weights of the undisturbed one
#   resume        a run of N ranks that was asked to end goes on with N/2, to the same weights
# MODELS=mamba,mamba-gs,pythia            of the speeds [all three]
# STEPS, CHECK     steps of a speed, a third of them to warm up [60]; how often all ranks compare their
#                  weights meanwhile [20, as is the default of training from 300 steps on: 100]
# RUN_STEPS, KILLS steps of the other runs [120; on the CPU 60], how many are killed [1]
# OUT              also append the lines to this file, or to scaling.jsonl in this folder
# LIMIT, BUDGET    seconds that one run [180] and the whole [none] may take; what they leave out is said
# SEED             of the random steps and ranks; COMMIT: where there is no git
# Fails, naming what, when a run fails, weights differ, or something was left out.
set -uo pipefail
export LC_ALL=C

home=$(cd "$(dirname "$0")/.." && pwd)
bin=${1:-build/bin}
shift $(($# < 1 ? $# : 1))
extra=("$@")
farsight=$bin/farsight

device=cuda
count=--gpus
most=${GPUS:-}
if [[ -z "$most" ]]; then
  device=cpu
  count=--nproc
  most=${RANKS:-}
fi
if [[ ! "$most" =~ ^(1|2|4|8)$ ]]; then
  echo "scaling_run: GPUS or RANKS must be 1, 2, 4 or 8, got '$most'" >&2
  exit 2
fi
for program in farsight mamba; do
  [[ -x "$bin/$program" ]] && continue
  echo "scaling_run: $bin/$program is not there; make build makes it" >&2
  exit 2
done

IFS=, read -ra parts <<<"${PARTS:-speed,reproducible,kill,resume}"
for part in "${parts[@]}"; do
  [[ "$part" =~ ^(speed|reproducible|kill|resume)$ ]] && continue
  echo "scaling_run: PARTS are speed, reproducible, kill and resume, got '$part'" >&2
  exit 2
done
IFS=, read -ra models <<<"${MODELS:-mamba,mamba-gs,pythia}"
steps=${STEPS:-60}
check=${CHECK:-$((steps < 300 ? 20 : 100))}
seed=${SEED:-$RANDOM}
RANDOM=$seed
limit=${LIMIT:-180}
budget=${BUDGET:-1000000}

rare=(--eval-interval 1000000000 --no-progress --no-tensorboard)
few=(--data.valid_examples_per_cell 2 --data.test_examples_per_cell 2)
if [[ "$device" == cuda ]]; then
  rows=128 # of 512 tokens
  length=512
  run_steps=${RUN_STEPS:-120}
  speed_words=(--preset full --dtype bf16 --train.micro_tokens 65536)
  run_words=(--preset tiny --dtype bf16)
  device_text="$(nvidia-smi -L | wc -l) x $(nvidia-smi -L | sed -nE '1s/^GPU 0: (.*) \(UUID.*/\1/p'), one host"
else
  rows=32
  length=64
  run_steps=${RUN_STEPS:-60}
  speed_words=(--preset pocket --train.micro_tokens 2048)
  run_words=(--preset pocket)
  # Each rank as many threads as it will have when all are there: else one rank would have all.
  export FARSIGHT_THREADS=$(($(nproc) > most ? $(nproc) / most : 1))
  device_text="$(nproc) x $(sed -nE '/^model name/{s/.*: //p;q}' /proc/cpuinfo), one host"
fi
save_every=$((run_steps < 12 ? 1 : run_steps / 6))
run_words+=(--device "$device" --steps "$run_steps" --reproducible --ckpt-interval "$save_every"
  --log-interval 1 "${rare[@]}" "${few[@]}")
commit=${COMMIT:-$(git -C "$home" rev-parse --short HEAD 2>/dev/null || echo unknown)}

out=${OUT:-}
[[ -n "$out" && -d "$out" ]] && out=$out/scaling.jsonl
work=$(mktemp -d)
launched=
end_all() {
  [[ -n "$launched" ]] && kill -TERM "$launched" 2>/dev/null && wait "$launched"
  rm -rf "$work"
}
trap end_all EXIT
trap 'exit 130' INT TERM

failures=()
failed() {
  failures+=("$1")
  echo "scaling_run: $1" >&2
}

# emit FIELDS: a line of JSON that begins with when, where and by what.
command_line=
emit() {
  local words=${command_line//\\/\\\\}
  local line
  line=$(printf '{"date":"%s","device":"%s","commit":"%s","command":"%s",%s}' "$(date -u +%F)" \
    "$device_text" "$commit" "${words//\"/\\\"}" "$1")
  echo "$line"
  [[ -z "$out" ]] || echo "$line" >>"$out"
}

# shellcheck source=cmake/scaling_parts.sh
source "$home/cmake/scaling_parts.sh"

for part in "${parts[@]}"; do
  case $part in
    speed) speed ;;
    reproducible) reproducible ;;
    kill) ((most == 1)) || kill_some ;;
    resume) ((most == 1)) || resume_on_half ;;
  esac
done
if ((${#failures[@]} > 0)); then
  printf 'FAILED  %s\n' "${failures[@]}" >&2
  exit 1
fi
echo "scaling run: everything asked for was done and is equal, in $SECONDS s" >&2

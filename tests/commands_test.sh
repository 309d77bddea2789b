#!/usr/bin/env bash
# The developer commands: what make passes on, what they print, how they fail.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
unset TASK MODEL PRESET DEVICE SEED OUT ARGS RUN LEVEL TABLE FIGURE SEEDS LRS INIT RECIPE JOBS GPUS RANKS  # make would take them from the environment

passed=0
failed=0
skipped=0
ok() { passed=$((passed + 1)); }
bad() {
  failed=$((failed + 1))
  echo "FAILED  commands: $1"
}
contains() { # NAME TEXT PART
  if [[ "$2" == *"$3"* ]]; then ok; else bad "$1: '$3' is not in: $2"; fi
}
lacks() { # NAME TEXT PART
  if [[ "$2" != *"$3"* ]]; then ok; else bad "$1: '$3' is in: $2"; fi
}
equals() { # NAME GOT EXPECTED
  if [[ "$2" == "$3" ]]; then ok; else bad "$1: got '$2', expected '$3'"; fi
}
# What make would run, as one line. MAKEFLAGS of the caller (a dry run, -k) must not leak in.
plan() { env -u MAKEFLAGS -u MAKELEVEL make --dry-run "$@" 2>&1 | tr -s ' \\\n\t' ' '; }

text=$(env -u MAKEFLAGS make)
for target in setup build train eval report repro test bench doctor format lint size asan clean help; do
  contains "make lists $target" $'\n'"$text" $'\n'"$target "
  contains "make shows an example of $target" "$text" "make $target"
done

text=$(plan train)
contains "train has defaults" "$text" \
  "build/bin/mamba train --task 'standard' --model 'mamba' --preset 'pocket' --device 'auto' --seed '42'"
lacks "train leaves the folder to the program" "$text" "--out"
text=$(plan train TASK=shuffle MODEL=mamba-gs PRESET=tiny DEVICE=cpu SEED=7 OUT=runs/mine 'ARGS=--lr 1e-3')
contains "train passes everything on" "$text" \
  "--task 'shuffle' --model 'mamba-gs' --preset 'tiny' --device 'cpu' --seed '7' --out 'runs/mine' --lr 1e-3"
contains "train runs the program of the family" "$(plan train MODEL=pythia-160m)" \
  "build/bin/pythia train --task 'standard' --model 'pythia-160m'"
contains "train runs the program of a variant's family" "$(plan train MODEL=hyena-safari)" \
  "build/bin/hyena train --task 'standard' --model 'hyena-safari'"
contains "train leaves a name that no family has to a program" "$(plan train MODEL=pythai)" \
  "build/bin/mamba train --task 'standard' --model 'pythai'"
text=$(plan eval RUN=runs/mine TASK=last)
contains "eval passes everything on" "$text" "build/bin/mamba eval --run 'runs/mine' --task 'last'"
lacks "eval of all tasks names none" "$(plan eval RUN=runs/mine)" "--task"
text=$(env -u MAKEFLAGS make eval 2>&1)
equals "eval without a run fails" "$?" 2
contains "eval without a run says so" "$text" "RUN="

text=$(plan repro TABLE=3 SEEDS=3 LRS=5e-4,1e-3 INIT=released JOBS=7 ARGS=--dry-run)
contains "repro passes everything on" "$text" \
  "build/bin/farsight repro --level 'pocket' --table '3' --seeds '3' --lrs '5e-4,1e-3' --init 'released' --jobs '7' --dry-run"
contains "repro builds all programs" "$text" "release farsight_program mamba pythia hyena rwkv"
contains "scale takes as many GPUs as are asked for" "$(plan scale GPUS=8)" "GPUS='8' bash cmake/scaling_run.sh build/bin"
contains "scale on the CPU asks for no GPU" "$(plan scale RANKS=4)" "GPUS='' bash cmake/scaling_run.sh build/bin"
contains "report names the run" "$(plan report RUN=runs/mine)" "build/bin/farsight report --run 'runs/mine'"
text=$(env -u MAKEFLAGS make report 2>&1)
equals "report without a run fails" "$?" 2
contains "report without a run says so" "$text" "RUN="

text=$(env PATH=/usr/bin:/bin bash cmake/doctor.sh)
contains "doctor names the compiler" "$text" "compiler"
if grep -vqE '^(ok   |warn |fail ) [A-Za-z ]{14} .+' <<<"$text"; then
  bad "doctor: not a verdict: $(grep -vE '^(ok   |warn |fail ) [A-Za-z ]{14} .+' <<<"$text" | head -n 1)"
else
  ok
fi

program=build/bin/farsight
if [[ -x $program ]]; then
  contains "farsight --version has the build type" "$($program --version)" "farsight 0."
  contains "farsight doctor names the BLAS kernels" "$($program doctor)" "kernels"
  contains "an unknown variable is noticed" "$(FARSIGHT_NOBODY=1 $program doctor)" \
    "warn  environment    FARSIGHT_NOBODY is set, but nothing reads it"
  $program nonsense 2>/dev/null
  equals "an unknown verb is a usage error" "$?" 2
  text=$(FARSIGHT_THREADS=two $program doctor)
  equals "a malformed thread count fails" "$?" 1
  contains "a malformed thread count says so" "$text" "got 'two'"
else
  skipped=$((skipped + 1))
  echo "skipped commands: $program: not built"
fi

# The JSON reader of the scripts.
file=$(mktemp)
trap 'rm -f "$file"' EXIT
echo '{"a": {"b": [1, {"c": 2}], "d,}": "x: \" y", "pair": 5e-1}, "pair": 9}' >"$file"
value() { awk -v path="$1" -f cmake/json_value.awk "$file"; }
equals "json: a nested value" "$(value a.pair)" 5e-1
equals "json: a top value" "$(value pair)" 9
equals "json: a missing value" "$(value a.nothing)" ""

# A missing package, a missing compiler and a wrong setting are one sentence each.
scratch=$(mktemp -d)
trap 'rm -rf "$file" "$scratch"' EXIT
text=$(cmake -S . -B "$scratch" -DFARSIGHT_CUDA=OFF -Dfmt_DIR=/nowhere -DCMAKE_DISABLE_FIND_PACKAGE_fmt=ON 2>&1)
contains "a missing package names its Debian package" "$(tr -s ' \n' ' ' <<<"$text")" "apt install libfmt-dev"
text=$(CUDACXX=/nowhere/nvcc cmake -S . -B "$scratch/on" -DFARSIGHT_CUDA=ON 2>&1)
contains "FARSIGHT_CUDA=ON fails without nvcc" "$(tr -s ' \n' ' ' <<<"$text")" "no working CUDA compiler was found"
text=$(cmake -S . -B "$scratch" -DFARSIGHT_CUDA=MAYBE 2>&1)
contains "a wrong FARSIGHT_CUDA is refused" "$text" "must be AUTO, ON or OFF, got 'MAYBE'"
text=$(cmake -S . -B "$scratch" -DFARSIGHT_CUDA=OFF -DFARSIGHT_CPU=pentium9 2>&1)
contains "a wrong FARSIGHT_CPU is refused" "$text" "FARSIGHT_CPU=pentium9 is not a -march"

# doctor holds each GPU against the architectures of the build, here of a build made of one header.
mkdir -p "$scratch/generated" "$scratch/path"
cat >"$scratch/path/nvidia-smi" <<'END'
#!/bin/sh
printf 'Tesla T4, 7.5, 15360 MiB\nA10, 8.6, 24564 MiB\nH100, 9.0, 81559 MiB\nB200, 10.0, 183359 MiB\n'
END
chmod +x "$scratch/path/nvidia-smi"
gpus() {
  echo "#define FARSIGHT_CUDA_ARCHITECTURES \"$1\"" >"$scratch/generated/version.h"
  PATH=$scratch/path:$PATH BUILD=$scratch bash cmake/doctor.sh | grep GPUs | cut -c 1-5 | xargs
}
equals "GPUs of a CPU build are a warning" "$(gpus "")" "warn warn warn warn"
equals "machine code serves its own generation" "$(gpus "80-real 90a-real")" "fail ok ok fail"
equals "PTX serves every newer generation" "$(gpus "80-real 90-real 90-virtual")" "fail ok ok ok"

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))

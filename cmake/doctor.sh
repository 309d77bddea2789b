#!/usr/bin/env bash
# make doctor: one verdict a line about this machine and this build; works before anything is built.
#   doctor.sh [cuda]     cuda: only what was found of CUDA (make setup ends with it)
# ok: as it should be.  warn: works, but read it.  fail: something asked for will not work.
# The exit status is 1 when a line says fail. What only a built program knows (BLAS kernels, threads,
# FARSIGHT_ variables) comes from `build/bin/farsight doctor`.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
build=${BUILD:-build}

failures=0
say() {  # VERDICT TOPIC SENTENCE
  printf '%-5s %-14s %s\n' "$1" "$2" "$3"
  [[ "$1" != fail ]] || failures=$((failures + 1))
}
first_line() { "$@" 2>/dev/null | head -n 1; }
define() {  # a string of the build's generated/version.h
  sed -n "s/^#define FARSIGHT_$1 \"\(.*\)\"/\1/p" "$build/generated/version.h" 2>/dev/null
}

check_compiler() {
  local version
  if ! version=$(g++ -dumpfullversion 2>/dev/null); then
    say fail compiler "g++ is missing: run \`make setup\`"
  elif ((${version%%.*} < 12)); then
    say fail compiler "g++ $version is too old for C++20 as used here: 12 or newer is needed"
  else
    say ok compiler "g++ $version"
  fi
}

check_cmake() {
  local version
  version=$(first_line cmake --version | grep -oE '[0-9]+\.[0-9.]+')
  if [[ -z "$version" ]]; then
    say fail cmake "cmake is missing: run \`make setup\`"
  elif [[ "$(printf '%s\n3.25\n' "$version" | sort -V | head -n 1)" != 3.25 ]]; then
    say fail cmake "cmake $version is too old: 3.25 or newer is needed"
  else
    local with=""
    command -v ninja >/dev/null && with+=", ninja $(ninja --version)"
    command -v ccache >/dev/null && with+=", $(first_line ccache --version)"
    say ok cmake "cmake $version$with"
  fi
}

check_cuda_toolkit() {
  local nvcc release
  nvcc=$(command -v nvcc || true)
  for place in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda; do
    [[ -n "$nvcc" || -z "$place" || ! -x "$place/bin/nvcc" ]] || nvcc=$place/bin/nvcc
  done
  if [[ -z "$nvcc" ]]; then
    say ok "CUDA toolkit" "none: the CPU backend is built (a GPU build needs NVIDIA's cuda-toolkit package)"
    return
  fi
  release=$("$nvcc" --version 2>/dev/null | grep -oE 'release [0-9.]+' | cut -d' ' -f2)
  if [[ -z "$release" ]]; then
    say warn "CUDA toolkit" "$nvcc is there but does not run: configure with -DFARSIGHT_CUDA=OFF"
  elif ((${release%%.*} < 12)); then
    say warn "CUDA toolkit" "nvcc $release is too old for the kernels: 12.0 or newer is needed"
  else
    say ok "CUDA toolkit" "nvcc $release ($nvcc)"
  fi
}

check_driver() {
  if [[ -r /proc/driver/nvidia/version ]]; then
    say ok driver "NVIDIA $(grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' /proc/driver/nvidia/version | head -n 1)"
  elif command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
    say ok driver "NVIDIA $(first_line nvidia-smi --query-gpu=driver_version --format=csv,noheader)"
  elif command -v nvidia-smi >/dev/null; then
    say warn driver "nvidia-smi is installed, but no NVIDIA driver answers: DEVICE=cuda will not work"
  else
    say ok driver "no NVIDIA driver: training runs on the CPU (drivers are never installed from here)"
  fi
}

# "8.0" runs code built for 80-real, or for any older architecture whose PTX was embedded
# (80-virtual, or plain 80).
gpu_is_covered() {  # CAPABILITY ARCHITECTURES
  local number=${1/./} architecture base
  for architecture in $2; do
    base=$(grep -oE '^[0-9]+' <<<"$architecture")
    [[ "$architecture" == *-virtual ]] || ((number / 10 != base / 10 || number < base)) || return 0
    [[ "$architecture" == *-real ]] || ((number < base)) || return 0
  done
  return 1
}

check_gpus() {
  local list architectures name capability memory
  list=$(nvidia-smi --query-gpu=name,compute_cap,memory.total --format=csv,noheader 2>/dev/null || true)
  if [[ -z "$list" ]]; then
    say ok GPUs "none on this machine"
    return
  fi
  architectures=$(define CUDA_ARCHITECTURES)
  while IFS=, read -r name capability memory; do
    capability=${capability// /}
    if [[ ! -f "$build/generated/version.h" ]]; then
      say ok GPUs "$name, compute capability $capability,$memory; nothing built yet"
    elif [[ -z "$architectures" ]]; then
      say warn GPUs "$name, compute capability $capability,$memory, but $build/ is a CPU-only build"
    elif gpu_is_covered "$capability" "$architectures"; then
      say ok GPUs "$name, compute capability $capability,$memory; built for $architectures"
    else
      say fail GPUs "$name has compute capability $capability, built for $architectures: configure with -DCMAKE_CUDA_ARCHITECTURES=${capability/./}"
    fi
  done <<<"$list"
}

check_nccl() {
  local library header=""
  library=$(ldconfig -p 2>/dev/null | grep -oE '/[^ ]*libnccl\.so\.[0-9.]+$' | head -n 1)
  for folder in "${CUDA_HOME:-}"/lib64 /usr/local/cuda/lib64 /usr/lib/x86_64-linux-gnu; do
    [[ -n "$library" || ! -e "$folder/libnccl.so.2" ]] || library=$folder/libnccl.so.2
  done
  for folder in /usr/include "${CUDA_HOME:-/usr/local/cuda}/include"; do
    [[ ! -e "$folder/nccl.h" ]] || header=$folder/nccl.h
  done
  if [[ -n "$library" && -n "$header" ]]; then
    local version
    version=$(sed -nE 's/^#define NCCL_(MAJOR|MINOR|PATCH) +([0-9]+).*/\2/p' "$header" | paste -sd.)
    say ok NCCL "$version ($library)"
  elif [[ -n "$library" ]]; then
    say ok NCCL "$library, without headers"
  else
    say ok NCCL "none: one GPU at most"
  fi
}

check_cpu() {
  local model features lacking="" feature
  model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
  features=$(define CPU_FEATURES)
  if [[ ! -f "$build/generated/version.h" ]]; then
    say ok CPU "${model:-unknown}; nothing built yet"
    return
  fi
  local running
  running=" $(sed -n 's/^flags[^:]*: //p' /proc/cpuinfo | head -n 1) "
  for feature in $features; do
    [[ "$running" == *" $feature "* ]] || lacking+=" $feature"
  done
  if [[ -n "$lacking" && "$running" != "  " ]]; then
    say fail CPU "${model:-unknown} lacks$lacking, which $build/ was compiled for: rebuild here (make clean build)"
  else
    say ok CPU "${model:-unknown}; compiled for $(define CPU_LEVEL)"
  fi
}

check_memory() {
  local total available limit=max
  total=$(awk '/^MemTotal/ {printf "%.1f", $2 / 1048576}' /proc/meminfo)
  available=$(awk '/^MemAvailable/ {printf "%.1f", $2 / 1048576}' /proc/meminfo)
  [[ ! -r /sys/fs/cgroup/memory.max ]] || limit=$(cat /sys/fs/cgroup/memory.max)
  local text="$available GiB available of $total GiB"
  [[ "$limit" == max ]] || text+=", this group may use $(awk "BEGIN {printf \"%.1f\", $limit / 1073741824}") GiB"
  if awk "BEGIN {exit !($available < 2)}"; then
    say warn memory "$text: the pocket preset needs about 1 GiB, a parallel build about 2 GiB"
  else
    say ok memory "$text"
  fi
}

check_disk() {
  local folder=runs free
  [[ -d runs ]] || folder=.
  free=$(df --output=avail -k "$folder" | tail -n 1)
  local text="$((free / 1048576)) GiB free for runs/"
  if [[ ! -w "$folder" ]]; then
    say fail disk "$(realpath "$folder") is not writable: pass OUT=another/folder"
  elif ((free < 2 * 1048576)); then
    say warn disk "$text: a checkpoint of the full preset takes about 1.5 GiB"
  else
    say ok disk "$text"
  fi
}

check_limits() {
  local files file_size
  files=$(ulimit -n)
  file_size=$(ulimit -f)
  if [[ "$files" != unlimited ]] && ((files < 256)); then
    say warn limits "only $files open files are allowed (ulimit -n): 256 or more are comfortable"
  elif [[ "$file_size" != unlimited ]]; then
    say warn limits "files may grow to $file_size KiB only (ulimit -f): checkpoints may not fit"
  else
    say ok limits "$files open files, file size $file_size"
  fi
}

check_gnuplot() {
  if command -v gnuplot >/dev/null; then
    say ok figures "$(first_line gnuplot --version)"
  else
    say warn figures "gnuplot is missing: reports get data and scripts, but no pictures (make setup)"
  fi
}

check_clock() {
  local now newest
  now=$(date +%s)
  newest=$(stat -c %Y CMakeLists.txt)
  if ((newest > now + 60)); then
    say warn clock "the clock reads $(date --iso-8601=seconds), but the sources are newer: builds may loop"
  elif ((now < 1700000000)); then
    say warn clock "the clock reads $(date --iso-8601=seconds): dates in runs/ will be wrong"
  else
    say ok clock "$(date --iso-8601=seconds)"
  fi
}

check_locale() {
  local name=${LC_ALL:-${LC_CTYPE:-${LANG:-C}}}
  if [[ "$name" == *[Uu][Tt][Ff]* ]]; then
    say ok locale "$name"
  else
    say ok locale "$name: output is plain ASCII where it can be"
  fi
}

if [[ "${1:-}" == cuda ]]; then
  check_cuda_toolkit
  check_driver
  check_gpus
  check_nccl
  exit 0
fi

check_compiler
check_cmake
check_cuda_toolkit
check_driver
check_gpus
check_nccl
check_cpu
check_memory
check_disk
check_limits
check_gnuplot
check_clock
check_locale
if [[ -x "$build/bin/farsight" ]] && ((failures == 0)); then
  "$build/bin/farsight" doctor || failures=$((failures + 1))
elif ((failures == 0)); then
  say ok build "nothing built yet: \`make build\`, then \`make doctor\` says more"
fi
((failures == 0))

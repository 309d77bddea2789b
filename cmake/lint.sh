#!/usr/bin/env bash
# make format: rewrites our sources in the project's style.
# make lint: checks the style of all of them, runs clang-tidy on those that differ from HEAD (ALL=1:
# on all) and shellcheck on the scripts.
#   lint.sh format|check
set -euo pipefail
cd "$(dirname "$0")/.."

newest() {  # the first of the named programs that is installed
  local name
  for name in "$@"; do
    if command -v "$name" >/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "$1 is missing: run \`make setup-dev\`." >&2
  return 1
}

folders=()
for folder in core autograd ops cuda models data train eval tests bench; do
  [[ ! -d $folder ]] || folders+=("$folder")  # git keeps no empty ones
done
mapfile -t sources < <(find "${folders[@]}" -type f \
  '(' -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' ')' | sort)
clang_format=$(newest clang-format-14 clang-format)  # one version: they format differently
if [[ "$1" == format ]]; then
  "$clang_format" -i "${sources[@]}"
  echo "formatted ${#sources[@]} files"
  exit
fi

failures=0
"$clang_format" --dry-run -Werror "${sources[@]}" || failures=$((failures + 1))

# clang-tidy before 16 does not know std::source_location.
clang_tidy=$(newest clang-tidy-19 clang-tidy-18 clang-tidy-17 clang-tidy-16)
if [[ -n "${ALL:-}" ]] || ! git rev-parse --quiet --verify HEAD >/dev/null 2>&1; then
  mapfile -t units < <(printf '%s\n' "${sources[@]}" | grep '\.cpp$')
else
  mapfile -t units < <({ git diff --name-only --diff-filter=d HEAD; git ls-files --others --exclude-standard; } |
    grep '\.cpp$' || true)
fi
if ((${#units[@]} > 0)); then
  [[ -f build/compile_commands.json ]] || bash cmake/build.sh release farsight_version
  # GCC's own options mean nothing to clang, and its idea of `native` may not be clang's.
  printf '%s\n' "${units[@]}" | xargs -P "$(nproc)" -n 1 "$clang_tidy" -p build --quiet \
    --extra-arg=-march=x86-64-v3 --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-ignored-optimization-argument ||
    failures=$((failures + 1))
fi

scripts=(cmake/*.sh tests/*_test.sh .ci/run)
if command -v shellcheck >/dev/null; then
  shellcheck "${scripts[@]}" || failures=$((failures + 1))
fi
echo "lint: ${#sources[@]} files formatted, ${#units[@]} units through $clang_tidy, ${#scripts[@]} scripts: $failures kinds of findings"
((failures == 0))

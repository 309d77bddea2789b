#!/usr/bin/env bash
# The compiled kernels hold no atomic operation on floats: looks through the SASS of every CUDA build
# that is there. Needs cuobjdump and nvdisasm, which come with NVIDIA's full toolkit.
#   float_atomics_test.sh [LIBRARY ...]
set -uo pipefail
cd "$(dirname "$0")/.." || exit

skip() {
  echo "skipped float atomics in the compiled kernels: $1"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
}

tool=$(command -v cuobjdump || true)
for place in "${CUDA_HOME:-}" /usr/local/cuda; do
  [[ -n "$tool" || ! -x "$place/bin/cuobjdump" ]] || tool=$place/bin/cuobjdump
done
[[ -n "$tool" ]] || skip "no cuobjdump on this machine"

libraries=("$@")
if ((${#libraries[@]} == 0)); then
  for library in build/libfarsight.a build/cuda/libfarsight.a; do
    [[ ! -f "$library" ]] || libraries+=("$library")
  done
fi

# RED and ATOM with a float type: ATOMG.E.ADD.F32.FTZ.RN, RED.E.ADD.F64.RN, ATOMS... 16-bit ones too.
pattern='\b(RED|ATOM)[A-Z]*\.[A-Z0-9.]*(F16|BF16|F32|F64)'
kernels=0
failed=0
for library in "${libraries[@]}"; do
  listing=$(mktemp)
  "$tool" -sass "$library" >"$listing" 2>/dev/null
  kernels=$((kernels + $(grep -c 'Function :' "$listing")))
  if grep -nE "$pattern" "$listing" | head -n 5; then
    echo "FAILED  $library: an atomic operation on floats"
    failed=$((failed + 1))
  fi
  rm -f "$listing"
done
((kernels > 0)) || skip "no CUDA build here"
echo "float atomics: none in the SASS of $kernels kernels"
echo "$((failed == 0 ? 1 : 0)) passed, $failed failed, 0 skipped"
((failed == 0))

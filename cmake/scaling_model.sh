#!/usr/bin/env bash
# The time of a data-parallel step on more GPUs than are here, from what is measured on one or two
# (docs/data-parallel.md, "Larger"):
#   cmake/scaling_model.sh STEP_MS [PARAMETERS] [LAST_BUCKETS_BYTES]
# STEP_MS: of one GPU at the tokens that each will have (make scale). Prints a Markdown table.
set -euo pipefail

awk -v step="${1:?step_ms}" -v parameters="${2:-129135360}" -v last="${3:-154460160}" '
  # Ring of N: 2 (N-1)/N of the buffer over the busiest link, and a latency for each hop; NCCL takes
  # trees where the latency of a ring would count, 2 log2(N) of them.
  function reduce_ms(bytes, n, gigabytes, hop_us, hops) {
    hops = 2 * (n - 1)
    if (hops > 2 * log(n) / log(2) * 4) hops = 2 * log(n) / log(2) * 4
    return 2 * (n - 1) / n * bytes / gigabytes / 1e6 + hops * hop_us / 1e3
  }
  # One way of the two: the same at half the bytes.
  function half_ms(bytes, n, gigabytes, hop_us) { return reduce_ms(bytes, n, gigabytes, hop_us) / 2 }
  function row(what, n, gigabytes, hop_us, all, exposed, hidden, zero, plain, parted) {
    all = reduce_ms(4 * parameters, n, gigabytes, hop_us)
    # Two thirds of a step are backward; what does not fit beside it is exposed, and the last buckets are.
    hidden = 2 / 3 * step
    exposed = reduce_ms(last, n, gigabytes, hop_us)
    if (all - hidden > exposed) exposed = all - hidden
    # ZeRO-1: reduce-scatter and all-gather after the backward, the update of 1/N.
    zero = 2 * half_ms(4 * parameters, n, gigabytes, hop_us)
    plain = 100 * step / (step + exposed)
    parted = 100 * step / (step + zero)
    printf "| %s | %d | %d | %.2f | %.2f | %.1f %% | %.1f %% | %.2f |\n", what, n, gigabytes, all, exposed,
      plain, parted, (8 * parameters + 8 * parameters / n) / 2^30
  }
  BEGIN {
    print "| GPUs | N | GB/s | all-reduce, ms | of it exposed, ms | efficiency | with ZeRO-1 | GiB of values, gradients and moments with ZeRO-1 |"
    print "|---|---|---|---|---|---|---|---|"
    row("2 H200, NVLink (measured)", 2, 234, 8)
    row("8 A100, NVLink", 8, 230, 8)
    row("8 H100, NVLink", 8, 370, 8)
    row("64 H100, 400 Gb/s a GPU", 64, 45, 15)
    row("1,024 H100, 400 Gb/s a GPU", 1024, 40, 15)
  }'

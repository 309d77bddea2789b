#!/usr/bin/env bash
# Runs that are killed, disks that fail, bits that flip: counts what was survived.
#   crash.sh BUILD_DIRECTORY KILLS FLIPS
set -euo pipefail
cd "$(dirname "$0")/.."
directory=$1
export FARSIGHT_KILLS=$2 FARSIGHT_FLIPS=$3
exec "$directory/bin/farsight_tests" -tc="crash: *"

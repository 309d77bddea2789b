#!/usr/bin/env bash
# Runs that are killed, ranks that die, disks that fail, bits that flip: counts what was survived.
#   crash.sh BUILD_DIRECTORY KILLS DEATHS FLIPS
set -euo pipefail
cd "$(dirname "$0")/.."
directory=$1
export FARSIGHT_KILLS=$2 FARSIGHT_DEATHS=$3 FARSIGHT_FLIPS=$4
exec "$directory/bin/farsight_tests" -tc="crash: *"

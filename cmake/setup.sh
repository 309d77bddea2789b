#!/usr/bin/env bash
# make setup: installs the packages that are missing, with one apt line that is shown first. A second
# run finds nothing missing, changes nothing and needs no network. Never installs GPU drivers.
#   setup.sh [--dev]     --dev: also what `make lint` and `make format` use
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(build-essential cmake ninja-build ccache git libopenblas-pthread-dev libcli11-dev
          libtomlplusplus-dev nlohmann-json3-dev libfmt-dev libxxhash-dev
          libzstd-dev zlib1g-dev doctest-dev gnuplot-nox)
if [[ "${1:-}" == --dev ]]; then
  packages+=(clang-format-14 clang-tidy-19 shellcheck)
fi

if ! command -v apt-get >/dev/null; then
  echo "This is not a Debian system (no apt-get). Install the equivalents of: ${packages[*]}"
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  if ! dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed'; then
    missing+=("$package")
  fi
done

if ((${#missing[@]} == 0)); then
  echo "Packages: all ${#packages[@]} are installed, nothing to do."
else
  install=(apt-get install --yes --no-install-recommends "${missing[@]}")
  if ((EUID == 0)); then
    as_root=()
  elif command -v sudo >/dev/null; then
    as_root=(sudo)
  else
    echo "Packages: ${#missing[@]} of ${#packages[@]} are missing. Please run as root, then make setup again:"
    echo "  apt-get update && ${install[*]}"
    exit 1
  fi
  echo "Packages: ${#missing[@]} of ${#packages[@]} are missing. Running:"
  echo "  ${as_root[*]:+${as_root[*]} }apt-get update && ${as_root[*]:+${as_root[*]} }${install[*]}"
  "${as_root[@]}" apt-get update --quiet=2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}"
fi

bash cmake/doctor.sh cuda
echo "Next: make train"

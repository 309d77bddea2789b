"""What the peers' programs share: the fields of a JSON line, which are farsight_bench's."""

import datetime
import json
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def commit():
    command = ["git", "describe", "--always", "--dirty=+changes"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def provenance(device, note):
    """Where a run's lines come from."""
    fields = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "device": device,
        "commit": commit(),
        "command": shlex.join(["python3", *sys.argv]),
    }
    return {**fields, "note": note} if note else fields


def sizes_text(sizes):
    """Whole numbers in full, others rounded."""
    return " ".join(
        f"{name}={size}" if isinstance(size, int) else f"{name}={size:g}"
        for name, size in sizes.items()
    )


def append(path, line):
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

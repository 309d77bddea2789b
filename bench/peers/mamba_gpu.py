#!/usr/bin/env python3
"""What PyTorch and the packages of Mamba need on a GPU for what farsight_bench times there.

Measures mamba_ssm, causal_conv1d, transformers and plain torch on the shapes and settings of
bench/gpu_lines.cpp and bench/gpu_training.cpp, each where it is installed, and prints and writes
lines with farsight_bench's fields. bench/README.md says how both programs are run.
"""

import argparse
import gc
import importlib
import importlib.metadata
import statistics
import sys

import gpu_lines
from lines import append, provenance, sizes_text

NO_GPU = 9  # the exit code of farsight_bench for a device that is not there
WARM_UPS = 5
FLUSHED_BYTES = 1 << 30  # beyond every cache, and long enough to launch behind


class Timer:
    """Times on the GPU's own clock, behind a write that empties the cache and that lasts while the
    host queues what is timed."""

    def __init__(self, torch):
        self.torch = torch
        self.flushed = torch.empty(FLUSHED_BYTES, dtype=torch.uint8, device="cuda")

    def milliseconds(self, work):
        """Of what `work` queues; and its result."""
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.flushed.zero_()
        start.record()
        result = work()
        end.record()
        end.synchronize()
        return start.elapsed_time(end), result


def measure_operation(torch, line, quick):
    """Forward with what it keeps for the backward, and backward, each alone: medians."""
    timer = Timer(torch)
    runs = 5 if quick else 50
    operation, inputs = line.make(torch)
    wanted = [x for x in inputs if x.requires_grad]
    forward, backward = [], []
    cotangents = None
    for run in range(-WARM_UPS, runs):
        forward_ms, outputs = timer.milliseconds(lambda: operation(*inputs))
        times = [forward_ms]
        if wanted:
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            if cotangents is None:
                cotangents = [torch.randn_like(y) for y in outputs]
            backward_ms, _ = timer.milliseconds(
                lambda: torch.autograd.grad(outputs, wanted, cotangents)
            )
            times.append(backward_ms)
        if run >= 0:
            forward.append(times[0])
            backward.append(times[-1])
    return {
        "sizes": line.sizes,
        "dtype": "bf16",
        "runs": runs,
        "forward_ms": statistics.median(forward),
        "backward_ms": statistics.median(backward) if wanted else None,
    }


def time_steps(torch, line, rows_at_once, steps):
    """Median milliseconds from the end of a step to the end of the next one."""
    model, logits_of = line.make(torch)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(
        parameters, lr=1e-4, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.1, fused=True
    )
    rows, length = line.sizes["B"], line.sizes["T"]
    shape = (rows, length)
    tokens = torch.randint(line.sizes["V"], shape, device="cuda")
    targets = torch.randint(line.sizes["V"], shape, device="cuda")
    torch.cuda.reset_peak_memory_stats()
    ends = []
    for _ in range(WARM_UPS + steps + 1):
        for first in range(0, rows, rows_at_once):
            part = slice(first, first + rows_at_once)
            with torch.autocast("cuda", torch.bfloat16):
                logits = logits_of(tokens[part]).flatten(0, 1)
                loss = torch.nn.functional.cross_entropy(
                    logits, targets[part].flatten(), reduction="sum"
                )
            (loss / (rows * length)).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        ends.append(torch.cuda.Event(enable_timing=True))
        ends[-1].record()
    torch.cuda.synchronize()
    ends = ends[WARM_UPS:]
    return statistics.median(a.elapsed_time(b) for a, b in zip(ends, ends[1:]))


def measure_training(torch, line, quick):
    """Forward, backward, clip and AdamW, at once or in halves, quarters ... of the batch."""
    steps = 5 if quick else 20
    rows_at_once = line.sizes["B"]
    while True:
        try:
            step_ms = time_steps(torch, line, rows_at_once, steps)
            break
        except torch.cuda.OutOfMemoryError:
            if rows_at_once == 1:
                raise
        gc.collect()  # outside of the handler: the error holds on to the tensors
        torch.cuda.empty_cache()
        rows_at_once //= 2
    tokens = line.sizes["B"] * line.sizes["T"]
    return {
        "sizes": {
            "tokens": tokens,
            "labels": tokens,
            "micro_tokens": rows_at_once * line.sizes["T"],
        },
        "dtype": "bf16",
        "runs": steps,
        "step_ms": step_ms,
        "tokens_per_s": 1e3 * tokens / step_ms,
        "peak_memory_bytes": torch.cuda.max_memory_allocated(),
    }


def program_of(line):
    """Of all packages that a line uses; raises ImportError if one is absent or does not load."""
    for package in line.packages:
        importlib.import_module(package)
    version = importlib.metadata.version
    return ", ".join(f"{package} {version(package)}" for package in line.packages)


def numbers_of(measured):
    if "step_ms" in measured:
        return f"{measured['step_ms']:.2f} ms a step, {measured['tokens_per_s']:.0f} tokens/s"
    backward = measured["backward_ms"]
    return f"forward {measured['forward_ms']:.3f} ms" + (
        "" if backward is None else f", backward {backward:.3f} ms"
    )


def parse_options(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", default="", help="only lines whose name, sizes and program contain this"
    )
    parser.add_argument("--quick", action="store_true", help="few runs a line")
    parser.add_argument("--json", help="append the lines to this file")
    parser.add_argument("--note", help="written into these lines")
    parser.add_argument("--list", action="store_true", help="print the lines and measure nothing")
    return parser.parse_args(words)


def title(line):
    return f"{line.name:<50}  {sizes_text(line.sizes):<26}  {line.peer:<26}"


def wanted_lines(only):
    return [line for line in gpu_lines.lines() if only in " ".join(title(line).split())]


def main():
    options = parse_options()
    wanted = wanted_lines(options.only)
    if not wanted:
        print(f"mamba_gpu.py: --only: no line has '{options.only}' in it", file=sys.stderr)
        return 2
    if options.list:
        for line in wanted:
            print(title(line).rstrip())
        return 0
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        print(f"mamba_gpu.py: torch cannot be imported: {error}", file=sys.stderr)
        return NO_GPU
    if not torch.cuda.is_available():
        print("mamba_gpu.py: torch finds no NVIDIA GPU on this machine", file=sys.stderr)
        return NO_GPU
    torch.manual_seed(42)
    shared = provenance(torch.cuda.get_device_name(), options.note)
    for line in wanted:
        measure = measure_training if line.training else measure_operation
        try:
            program = program_of(line)
            measured = measure(torch, line, options.quick)
        except (ImportError, RuntimeError) as error:  # absent, without this GPU, too large for it
            reason = (str(error) or type(error).__name__).splitlines()[0]
            print(f"{title(line)}  skipped: {reason}", flush=True)
            continue
        finally:
            gc.collect()
            torch.cuda.empty_cache()
        print(f"{title(line)}  {numbers_of(measured)}", flush=True)
        peer = {"program": program, "peer": line.peer, "name": line.name}
        append(options.json, {**shared, **peer, **measured})
    return 0


if __name__ == "__main__":
    sys.exit(main())

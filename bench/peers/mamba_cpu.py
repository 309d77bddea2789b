#!/usr/bin/env python3
"""What PyTorch needs for the work that farsight_bench times on the same CPU.

Two measurements, printed and written as JSON lines with farsight_bench's fields:

  selective_scan   the recurrence written in plain PyTorch: a loop over time, vectorised over batch,
                   channels and states, forward and backward by autograd;
  training step    forward, backward, clipping and AdamW of transformers' MambaForCausalLM on its
                   CPU path, at the sizes and batches of presets/pocket.toml and presets/tiny.toml.

Needs Python 3.11, torch and transformers. bench/README.md says how both programs are run.
"""

import argparse
import functools
import os
import pathlib
import statistics
import time
import tomllib

import torch
import torch.nn.functional as F

from lines import ROOT, append, provenance, sizes_text

# Of tests/op_cases/selective_scan_case.cpp.
SCAN_SIZES = [(64, 64, 128, 16), (16, 512, 512, 16), (16, 512, 512, 64), (8, 512, 1536, 16)]


def selective_scan(u, delta, A_log, B, C, D, bias, z):
    """ops/selective_scan.h. u, delta, z: [B, T, D]; A_log: [D, N]; B, C: [B, T, N]."""
    A = -torch.exp(A_log)
    dt = F.softplus(delta + bias)
    state = u.new_zeros(u.shape[0], *A.shape)
    y = []
    # unbind, because the gradient of x[:, t] is a zero tensor as large as x, once for every t.
    for dt_t, x_t, B_t, C_t in zip(*(s.unbind(1) for s in (dt, dt * u, B, C))):
        decay = torch.exp(dt_t[:, :, None] * A)
        state = decay * state + x_t[:, :, None] * B_t[:, None, :]
        y.append((state @ C_t[:, :, None])[:, :, 0])
    return (torch.stack(y, 1) + D * u) * F.silu(z)


def scan_inputs(batch, length, channels, states):
    rows = (batch, length, channels)
    inputs = [
        torch.randn(rows),
        torch.randn(rows) - 1,
        0.3 + 0.5 * torch.randn(channels, states),
        torch.randn(batch, length, states),
        torch.randn(batch, length, states),
        torch.randn(channels),
        0.5 * torch.randn(channels),
        torch.randn(rows),
    ]
    return [x.requires_grad_() for x in inputs]


def measure_scan(sizes, runs):
    inputs = scan_inputs(*sizes)
    cotangent = torch.randn(sizes[:3])
    forward, backward = [], []
    for run in range(runs + 1):
        start = time.perf_counter()
        y = selective_scan(*inputs)
        between = time.perf_counter()
        torch.autograd.grad(y, inputs, cotangent)
        end = time.perf_counter()
        if run > 0:  # the first warms up
            forward.append(1e3 * (between - start))
            backward.append(1e3 * (end - between))
    return {
        "sizes": dict(zip("BTDN", sizes)),
        "dtype": "f32",
        "runs": runs,
        "forward_ms": statistics.median(forward),
        "backward_ms": statistics.median(backward),
    }


def mean_batch(preset):
    """The average global batch: {length: (rows, labels a row)}. A cell (length, pairs) exists when
    pairs <= length / 4, and all cells are drawn alike (docs/tasks.md; data/batches.h)."""
    data = preset["data"]
    pairs = {t: [p for p in data["pairs"] if p <= t / 4] for t in data["lengths"]}
    cells = sum(len(p) for p in pairs.values())
    rows = preset["train"]["batch_size"] / cells
    return {t: (rows * len(p), statistics.mean(p)) for t, p in pairs.items()}


def make_model(sizes):
    from transformers import MambaConfig, MambaForCausalLM

    return MambaForCausalLM(
        MambaConfig(
            vocab_size=sizes["vocab_size"],
            hidden_size=sizes["d_model"],
            num_hidden_layers=sizes["n_layer"],
            state_size=sizes["d_state"],
            conv_kernel=sizes["d_conv"],
            expand=sizes["expand"],
            time_step_rank=sizes["dt_rank"],
        )
    ).train()


def forward_backward(model, rows, length, labels):
    """One micro-batch. The head sees labelled positions only, as ours does; the library itself
    would compute the logits of every position."""
    vocabulary = model.config.vocab_size
    tokens = torch.randint(vocabulary, (rows, length))
    positions = torch.linspace(0, rows * length - 1, labels).long()
    targets = torch.randint(vocabulary, (labels,))
    start = time.perf_counter()
    hidden = model.backbone(tokens, use_cache=False).last_hidden_state.flatten(0, 1)
    logits = model.lm_head(hidden[positions])
    (F.cross_entropy(logits, targets, reduction="sum") / labels).backward()
    return time.perf_counter() - start


def optimizer_step(model, optimizer):
    start = time.perf_counter()
    torch.nn.utils.clip_grad_value_(model.parameters(), 1.0)
    optimizer.step()
    return time.perf_counter() - start


def measure_training(name, runs, micro_tokens):
    """Times one micro-batch of each length, `runs` times, and adds up as many as a step has: rows
    are independent of each other, so a step is the sum of its micro-batches."""
    preset = tomllib.loads((ROOT / "presets" / f"{name}.toml").read_text())
    model = make_model(preset["model"])
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-3, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.1, fused=True
    )
    batch = mean_batch(preset)
    limit = min(micro_tokens, preset["train"]["micro_tokens"])
    seconds = 0.0
    for length, (rows, labels) in batch.items():
        micro_rows = max(1, min(round(rows), limit // length))
        micro_labels = max(1, round(micro_rows * labels))
        step = functools.partial(forward_backward, model, micro_rows, length, micro_labels)
        step()  # the first touches new memory
        seconds += rows / micro_rows * statistics.median(step() for _ in range(runs))
    seconds += statistics.median(optimizer_step(model, optimizer) for _ in range(runs))
    tokens = sum(length * rows for length, (rows, _) in batch.items())
    return {
        "sizes": {"examples": preset["train"]["batch_size"], "tokens": tokens},
        "dtype": "f32",
        "runs": runs,
        "micro_tokens": limit,
        "step_ms": 1e3 * seconds,
        "tokens_per_s": tokens / seconds,
    }


class OtherPrograms:
    """Processors that other programs keep busy since this was made (Linux)."""

    def __init__(self):
        self.start, self.busy = time.time(), self.used()

    @staticmethod
    def used():
        user, nice, system, _, _, *interrupts_stolen = map(
            int, pathlib.Path("/proc/stat").read_text().split()[1:9]
        )
        busy = user + nice + system + sum(interrupts_stolen)
        return busy / os.sysconf("SC_CLK_TCK") - time.process_time()

    def processors(self):
        return max(0.0, (self.used() - self.busy) / (time.time() - self.start))


def device():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'}, {os.cpu_count()} processors"


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="only lines whose name and sizes contain this")
    parser.add_argument("--quick", action="store_true", help="one run a line")
    parser.add_argument("--json", help="append the lines to this file")
    parser.add_argument("--note", help="written into these lines")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--micro-tokens",
        type=int,
        default=4096,
        help="most tokens at once in a training step: it keeps some 40 times what we keep",
    )
    return parser.parse_args()


def lines(options):
    """Name, program and measurement of every line that is wanted."""
    import transformers

    runs = 1 if options.quick else 5
    torch_program = f"torch {torch.__version__}"
    for sizes in SCAN_SIZES:
        name = "selective_scan, z"
        if options.only in f"{name} {sizes_text(dict(zip('BTDN', sizes)))}":
            yield name, torch_program, lambda: measure_scan(sizes, runs)
    for preset in ("pocket", "tiny"):
        name = f"training step, mamba, {preset}"
        if options.only in name:
            program = f"transformers {transformers.__version__}, {torch_program}"
            yield name, program, lambda: measure_training(preset, runs, options.micro_tokens)


def main():
    options = parse_options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(42)
    shared = {**provenance(device(), options.note), "threads": options.threads}
    for name, program, measure in lines(options):
        others = OtherPrograms()
        times = measure()
        line = {**shared, "program": program, "name": name, "others": others.processors(), **times}
        if "step_ms" in line:
            numbers = f"{line['step_ms']:.1f} ms a step, {line['tokens_per_s']:.0f} tokens/s"
        else:
            numbers = f"forward {line['forward_ms']:.2f} ms, backward {line['backward_ms']:.2f} ms"
        sizes = sizes_text(line["sizes"])
        print(f"{name:<28}  {sizes:<24}  {numbers}, others {line['others']:.1f}", flush=True)
        append(options.json, line)


if __name__ == "__main__":
    main()

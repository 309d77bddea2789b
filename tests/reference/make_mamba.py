#!/usr/bin/env python3
"""Writes the Mamba test data of this folder with PyTorch and transformers; run by hand.

    python3 tests/reference/make_mamba.py          (torch 2.15, transformers 5.23, safetensors 0.8)

mamba/                 a tiny random model as transformers saves it, in two shards
mamba.pth              the same weights as torch.save writes a state dict
mamba-numbers.safetensors
    ids                [2, 11] i32
    logits.f64, .f32   [2, 11, V]: MambaForCausalLM in either precision
    loss.f64, .f32     [1]: mean cross-entropy of ids[:, 1:] given what is in front of each
    grad.NAME          f64: gradient of loss.f64 by every parameter
    steps.f64          [11] f64: the loss before each of ten AdamW steps, and after the last

Deterministic: seeds are fixed, everything runs on the CPU with one thread. transformers computes
parts of a double model in float; here those parts are double as well, or 1e-10 would mean nothing.
"""
import pathlib
import shutil

import torch
import torch.nn.functional as F
import transformers.models.mamba.modeling_mamba as modeling
from safetensors.torch import save_file
from transformers import MambaConfig, MambaForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
CONFIG = dict(
    vocab_size=29, hidden_size=12, num_hidden_layers=3, state_size=5, expand=2, conv_kernel=4,
    time_step_rank=3, layer_norm_epsilon=1e-5, use_bias=False, use_conv_bias=True,
    residual_in_fp32=True, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0, pad_token_id=0)
LR, BETA1, BETA2, EPS, DECAY = 3e-2, 0.9, 0.95, 1e-6, 0.1


def double_norm(self, x):
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


def loss_of(model, ids):
    logits = model(ids, use_cache=False).logits
    return logits, F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def adamw(parameters, moments, t):
    """AdamW as the paper's code had it (transformers 4.41: ops/adamw.h), not torch.optim's: eps is
    added before the bias is corrected, and the decay comes after the step."""
    rate = LR * (1 - BETA2**t) ** 0.5 / (1 - BETA1**t)
    with torch.no_grad():
        for p, (m, v) in zip(parameters, moments):
            m.mul_(BETA1).add_((1 - BETA1) * p.grad)
            v.mul_(BETA2).add_((1 - BETA2) * p.grad**2)
            p.sub_(rate * m / (v.sqrt() + EPS))
            p.sub_(LR * DECAY * p)


def main():
    torch.manual_seed(20)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    model = MambaForCausalLM(MambaConfig(**CONFIG)).train()
    with torch.no_grad():  # nothing may stay at 0 or 1, or a mistake could hide
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    ids = torch.randint(0, CONFIG["vocab_size"], (2, 11))

    shutil.rmtree(HERE / "mamba", ignore_errors=True)
    model.save_pretrained(HERE / "mamba", max_shard_size="12KB")
    (HERE / "mamba" / "generation_config.json").unlink(missing_ok=True)
    torch.save(model.state_dict(), HERE / "mamba.pth")

    numbers = {"ids": ids.to(torch.int32)}
    logits, loss = loss_of(model, ids)
    numbers["logits.f32"], numbers["loss.f32"] = logits, loss[None]

    modeling.MambaRMSNorm.forward = double_norm
    torch.Tensor.float = torch.Tensor.double
    model = model.double()
    for block in model.backbone.layers:
        block.residual_in_fp32 = False
    logits, loss = loss_of(model, ids)
    assert logits.dtype == torch.float64
    loss.backward()
    numbers["logits.f64"], numbers["loss.f64"] = logits, loss[None]
    for name, parameter in model.named_parameters():
        numbers["grad." + name] = parameter.grad.clone()

    parameters = list(model.parameters())
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    losses = []
    for t in range(1, 11):
        model.zero_grad()
        _, loss = loss_of(model, ids)
        losses.append(loss.item())
        loss.backward()
        adamw(parameters, moments, t)
    losses.append(loss_of(model, ids)[1].item())
    numbers["steps.f64"] = torch.tensor(losses, dtype=torch.float64)
    save_file({name: t.detach().contiguous() for name, t in numbers.items()},
              HERE / "mamba-numbers.safetensors")
    print("losses:", " ".join(f"{x:.6f}" for x in losses))


if __name__ == "__main__":
    main()

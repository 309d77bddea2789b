#!/usr/bin/env python3
"""Writes the Mamba test data of this folder with PyTorch and transformers; run by hand.

    python3 tests/reference/make_mamba.py          (torch 2.15, transformers 5.23, safetensors 0.8)

mamba/                        a tiny random model as transformers saves it, in two shards
mamba.pth                     the same weights as torch.save writes a state dict
mamba-numbers.safetensors     see reference_numbers.py

Deterministic: seeds are fixed, everything runs on the CPU with one thread. transformers computes
parts of a double model in float; here those parts are double as well, or 1e-10 would mean nothing.
"""
import pathlib
import shutil

import torch
import transformers.models.mamba.modeling_mamba as modeling
from transformers import MambaConfig, MambaForCausalLM

import reference_numbers

HERE = pathlib.Path(__file__).resolve().parent
CONFIG = dict(
    vocab_size=29, hidden_size=12, num_hidden_layers=3, state_size=5, expand=2, conv_kernel=4,
    time_step_rank=3, layer_norm_epsilon=1e-5, use_bias=False, use_conv_bias=True,
    residual_in_fp32=True, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0, pad_token_id=0)


def double_norm(self, x):
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


def make_double(model):
    modeling.MambaRMSNorm.forward = double_norm
    torch.Tensor.float = torch.Tensor.double
    model = model.double()
    for block in model.backbone.layers:
        block.residual_in_fp32 = False
    return model


def main():
    reference_numbers.start(20)
    model = MambaForCausalLM(MambaConfig(**CONFIG)).train()
    reference_numbers.shake(model)
    ids = torch.randint(0, CONFIG["vocab_size"], (2, 11))

    shutil.rmtree(HERE / "mamba", ignore_errors=True)
    model.save_pretrained(HERE / "mamba", max_shard_size="12KB")
    (HERE / "mamba" / "generation_config.json").unlink(missing_ok=True)
    torch.save(model.state_dict(), HERE / "mamba.pth")
    reference_numbers.measure(HERE / "mamba-numbers.safetensors", model, ids,
                              lambda m, i: m(i, use_cache=False).logits, make_double)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes the Pythia test data of this folder with PyTorch and transformers; run by hand.

    python3 tests/reference/make_pythia.py         (torch 2.15, transformers 5.23, safetensors 0.8)

pythia/                       a tiny random model as transformers saves it, in two shards
pythia-2023.bin               the same weights as the published Pythia checkpoints have them: f16,
                              written by torch.save, buffers among the parameters
pythia-numbers.safetensors    see reference_numbers.py

Deterministic: seeds are fixed, everything runs on the CPU with one thread. transformers computes the
angles and the softmax of a double model in float; here they are double as well, or 1e-10 would mean
nothing. The weights are halves, so that every file holds the same numbers.
"""
import pathlib
import shutil

import torch
import transformers.models.gpt_neox.modeling_gpt_neox as modeling
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

import reference_numbers

HERE = pathlib.Path(__file__).resolve().parent
CONFIG = dict(
    vocab_size=29, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=36,
    rotary_pct=0.25, rotary_emb_base=10000, max_position_embeddings=16, layer_norm_eps=1e-5,
    hidden_act="gelu", use_parallel_residual=True, attention_bias=True, tie_word_embeddings=False,
    bos_token_id=0, eos_token_id=0)


def double_attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **_):
    assert dropout == 0
    scores = query @ key.transpose(2, 3) * scaling + attention_mask
    weights = torch.softmax(scores, dim=-1)
    return (weights @ value).transpose(1, 2).contiguous(), weights


def double_rotary(self, x, position_ids):
    dims = int(self.config.hidden_size // self.config.num_attention_heads * 0.25)
    turns = 10000.0 ** (-torch.arange(0, dims, 2, dtype=torch.float64) / dims)
    angles = position_ids[..., None].double() * turns
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def make_double(model):
    modeling.eager_attention_forward = double_attention
    modeling.GPTNeoXRotaryEmbedding.forward = double_rotary
    return model.double()


def checkpoint_name(name):
    return name.replace("lm_head.", "embed_out.")  # as transformers itself saves it


def published(model):
    """The state dict of transformers 4.24, which Pythia was published with."""
    state = {checkpoint_name(n): t.half() for n, t in model.state_dict().items()}
    length = CONFIG["max_position_embeddings"]
    for layer in range(CONFIG["num_hidden_layers"]):
        attention = f"gpt_neox.layers.{layer}.attention."
        triangle = torch.ones(length, length, dtype=torch.uint8).tril()
        state[attention + "bias"] = triangle.view(1, 1, length, length)
        state[attention + "masked_bias"] = torch.tensor(-1e9)
        state[attention + "rotary_emb.inv_freq"] = 10000.0 ** (-torch.arange(0, 4, 2) / 4)
    return state


def main():
    reference_numbers.start(21)
    config = GPTNeoXConfig(**CONFIG, attn_implementation="eager")
    model = GPTNeoXForCausalLM(config).train()
    reference_numbers.shake(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half())
    ids = torch.randint(0, CONFIG["vocab_size"], (2, 11))

    shutil.rmtree(HERE / "pythia", ignore_errors=True)
    model.save_pretrained(HERE / "pythia", max_shard_size="40KB")
    (HERE / "pythia" / "generation_config.json").unlink(missing_ok=True)
    torch.save(published(model), HERE / "pythia-2023.bin")
    reference_numbers.measure(HERE / "pythia-numbers.safetensors", model, ids,
                              lambda m, i: m(i, use_cache=False).logits, make_double,
                              checkpoint_name, lr=1e-2)


if __name__ == "__main__":
    main()

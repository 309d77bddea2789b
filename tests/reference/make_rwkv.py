#!/usr/bin/env python3
"""Writes the RWKV test data of this folder with PyTorch and transformers; run by hand.

    python3 tests/reference/make_rwkv.py           (torch 2.15, transformers 5.23, safetensors 0.8)

rwkv/                         a tiny random RWKV-4 as transformers saves it, in two shards
rwkv.pth                      the same weights by torch.save, under the names of BlinkDL/RWKV-LM
rwkv-numbers.safetensors      see reference_numbers.py
rwkv-mlp/, rwkv-mlp-numbers.safetensors
                              the form of the paper's code (models/rwkv.h), written here in PyTorch
                              from the formulas: WKV is the sum of its definition, no running maximum

Deterministic: seeds are fixed, everything runs on the CPU with one thread. transformers keeps the sums
of WKV in float also for a double model; here they are double as well, or 1e-10 would mean nothing.
"""
import json
import pathlib
import shutil

import torch
import torch.nn as nn
import torch.nn.functional as F
import transformers.models.rwkv.modeling_rwkv as modeling
from safetensors.torch import save_file
from transformers import RwkvConfig, RwkvForCausalLM

import reference_numbers

HERE = pathlib.Path(__file__).resolve().parent
CONFIG = dict(
    vocab_size=29, hidden_size=16, num_hidden_layers=2, attention_hidden_size=16,
    intermediate_size=40, context_length=32, layer_norm_epsilon=1e-5, rescale_every=6,
    tie_word_embeddings=False, bos_token_id=0, eos_token_id=0)


def double_attention(time_decay, time_first, key, value, state=None, return_state=False):
    assert state is None
    rate = -torch.exp(time_decay)
    above, below = torch.zeros_like(key[:, 0]), torch.zeros_like(key[:, 0])
    highest = torch.full_like(key[:, 0], -1e38)
    rows = []
    for t in range(key.shape[1]):
        k, v = key[:, t], value[:, t]
        top = torch.maximum(highest, k + time_first)
        past, own = torch.exp(highest - top), torch.exp(k + time_first - top)
        rows.append((past * above + own * v) / (past * below + own))
        top = torch.maximum(highest + rate, k)
        past, own = torch.exp(highest + rate - top), torch.exp(k - top)
        above, below, highest = past * above + own * v, past * below + own, top
    return torch.stack(rows, dim=1), None


def make_double(model):
    modeling.rwkv_linear_attention = double_attention
    return model.double()


def blink_name(name):
    for theirs, ours in [("rwkv.embeddings", "emb"), ("rwkv.", ""), (".pre_ln", ".ln0"),
                         (".attention.", ".att."), (".feed_forward.", ".ffn."),
                         ("time_mix_key", "time_mix_k"), ("time_mix_value", "time_mix_v"),
                         ("time_mix_receptance", "time_mix_r")]:
        name = name.replace(theirs, ours)
    return name


def write_published():
    reference_numbers.start(41)
    model = RwkvForCausalLM(RwkvConfig(**CONFIG)).train()
    reference_numbers.shake(model)
    ids = torch.randint(0, CONFIG["vocab_size"], (2, 11))
    shutil.rmtree(HERE / "rwkv", ignore_errors=True)
    model.save_pretrained(HERE / "rwkv", max_shard_size="20KB")
    (HERE / "rwkv" / "generation_config.json").unlink(missing_ok=True)
    torch.save({blink_name(n): t.clone() for n, t in model.state_dict().items()}, HERE / "rwkv.pth")
    reference_numbers.measure(HERE / "rwkv-numbers.safetensors", model, ids,
                              lambda m, i: m(i, use_cache=False).logits, make_double, lr=1e-2)


V, D, LAYERS, FF, L_MAX = 29, 12, 2, 24, 16


class TimeMixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.time_decay = nn.Parameter(torch.linspace(-3, 1, D))
        self.time_first = nn.Parameter(torch.zeros(D))
        self.time_mix_k = nn.Parameter(torch.rand(1, 1, D))
        self.time_mix_v = nn.Parameter(torch.rand(1, 1, D))
        self.time_mix_r = nn.Parameter(torch.rand(1, 1, D))
        self.key, self.value = nn.Linear(D, D, bias=False), nn.Linear(D, D, bias=False)
        self.receptance, self.output = nn.Linear(D, D, bias=False), nn.Linear(D, D, bias=False)

    def forward(self, x):
        before = F.pad(x, (0, 0, 1, -1))
        mixed = [x * mix + before * (1 - mix)
                 for mix in (self.time_mix_k, self.time_mix_v, self.time_mix_r)]
        k, v, r = self.key(mixed[0]), self.value(mixed[1]), self.receptance(mixed[2])
        w = -torch.exp(self.time_decay)
        rows = []
        for t in range(x.shape[1]):
            weights = [torch.exp((t - 1 - i) * w + k[:, i]) for i in range(t)]
            weights.append(torch.exp(self.time_first + k[:, t]))
            weights = torch.stack(weights, dim=1)
            rows.append((weights * v[:, :t + 1]).sum(1) / weights.sum(1))
        return self.output(torch.sigmoid(r) * torch.stack(rows, dim=1))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(D, FF), nn.Linear(FF, D)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.sequence_mixer, self.norm1 = TimeMixer(), nn.LayerNorm(D)
        self.state_mixer, self.norm2 = Mlp(), nn.LayerNorm(D)

    def forward(self, x):
        x = x + self.sequence_mixer(self.norm1(x))
        return x + self.state_mixer(self.norm2(x))


class Embeddings(nn.Module):
    def __init__(self):
        super().__init__()
        self.word_embeddings = nn.Embedding(V, D)
        self.position_embeddings = nn.Embedding(L_MAX, D)

    def forward(self, ids):
        return self.word_embeddings(ids) + self.position_embeddings(torch.arange(ids.shape[1]))


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings = Embeddings()
        self.layers = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln_f = nn.LayerNorm(D)

    def forward(self, ids):
        x = self.embeddings(ids)
        for layer in self.layers:
            x = layer(x)
        return self.ln_f(x)


class RwkvMlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Backbone()

    def forward(self, ids):
        return self.backbone(ids) @ self.backbone.embeddings.word_embeddings.weight.T


def write_mlp():
    reference_numbers.start(42)
    model = RwkvMlp()
    reference_numbers.shake(model)
    ids = torch.randint(0, V, (2, 11))
    shutil.rmtree(HERE / "rwkv-mlp", ignore_errors=True)
    (HERE / "rwkv-mlp").mkdir()
    config = {"model_type": "rwkv_mlp", "vocab_size": V, "hidden_size": D,
              "num_hidden_layers": LAYERS, "intermediate_size": FF,
              "max_position_embeddings": L_MAX, "embed_dropout": 0.1,
              "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True}
    (HERE / "rwkv-mlp" / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    state = {n: t.detach().clone().contiguous() for n, t in model.state_dict().items()}
    state["lm_head.weight"] = state["backbone.embeddings.word_embeddings.weight"].clone()
    save_file(state, HERE / "rwkv-mlp" / "model.safetensors", {"format": "pt"})
    reference_numbers.measure(HERE / "rwkv-mlp-numbers.safetensors", model, ids,
                              lambda m, i: m(i), lambda m: m.double())


def main():
    write_published()
    write_mlp()


if __name__ == "__main__":
    main()

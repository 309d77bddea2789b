#!/usr/bin/env python3
"""Writes the Hyena test data of this folder with PyTorch; run by hand.

    python3 tests/reference/make_hyena.py          (torch 2.15, safetensors 0.8)

hyena/, hyena-safari/         a tiny random model in either form (models/hyena.h), its weights named
                              as HazyResearch/zoology and HazyResearch/safari name them: the one sine
                              of a filter under its three places, buffers and the tied head among the
                              parameters; config.json in the words of either project
hyena-numbers.safetensors, hyena-safari-numbers.safetensors    see reference_numbers.py

The model is written here from the formulas; its convolution is the sum of the definition, no Fourier
transform. Deterministic: seeds are fixed, everything runs on the CPU with one thread.
"""
import json
import math
import pathlib
import shutil

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

import reference_numbers

HERE = pathlib.Path(__file__).resolve().parent
V, D, LAYERS, FF, L_MAX, WIDTH, FEATURES = 29, 12, 2, 24, 16, 8, 7
FREQUENCY, LR = 3, 2e-2  # with 14 as in the real model ten steps are chaotic


class Sine(nn.Module):
    def __init__(self):
        super().__init__()
        self.freq = nn.Parameter(FREQUENCY * torch.ones(1, WIDTH))

    def forward(self, x):
        return torch.sin(self.freq * x)


class PositionFeatures(nn.Module):
    """z: t / (L - 1), cos(f w), -sin(f w) with w = 2 pi t / L and f from 1e-4 to bands - 1."""

    def __init__(self):
        super().__init__()
        t = torch.arange(L_MAX, dtype=torch.float64)
        bands = (FEATURES - 1) // 2
        f = torch.linspace(1e-4, bands - 1, bands, dtype=torch.float64)
        angles = f * (2 * math.pi * t / L_MAX)[:, None]
        share = t[:, None] / (L_MAX - 1)
        z = torch.cat([share, angles.cos(), -angles.sin()], dim=1)
        self.z = nn.Parameter(z[None].float())
        self.register_buffer("t", share[None].float())


class Modulation(nn.Module):
    def __init__(self):
        super().__init__()
        slow, fast = math.log(0.01) / 1.5, math.log(0.01) / 0.3
        deltas = torch.linspace(slow, fast, D, dtype=torch.float64)
        self.register_buffer("deltas", deltas[None, None].float())


class Filter(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.randn(D))
        self.pos_emb = PositionFeatures()
        sine = Sine()
        self.implicit_filter = nn.Sequential(
            nn.Linear(FEATURES, WIDTH), sine, nn.Linear(WIDTH, WIDTH), sine,
            nn.Linear(WIDTH, WIDTH), sine, nn.Linear(WIDTH, D, bias=False))
        self.modulation = Modulation()

    def kernel(self, length):
        """[length, D]. Time and rates are computed, not read: the buffers are float."""
        z = self.pos_emb.z[0, :length]
        t = torch.arange(length, dtype=z.dtype)[:, None] / (L_MAX - 1)
        slow, fast = -math.log(0.01) / 1.5, -math.log(0.01) / 0.3
        rate = slow + (fast - slow) * torch.arange(D, dtype=z.dtype) / (D - 1)
        return self.implicit_filter(z) * torch.exp(-rate * t)


class Mixer(nn.Module):
    def __init__(self, safari):
        super().__init__()
        self.safari = safari
        self.in_proj = nn.Linear(D, 3 * D)
        self.out_proj = nn.Linear(D, D)
        self.short_filter = nn.Conv1d(3 * D, 3 * D, 3, groups=3 * D, padding=2)
        self.filter_fn = Filter()

    def forward(self, x):
        length = x.shape[1]
        u = self.in_proj(x).transpose(1, 2)
        chunks = self.short_filter(u)[..., :length].transpose(1, 2)
        first, second, v = chunks.split(D, dim=2)
        pre, post = (second, first) if self.safari else (first, second)
        w = v * pre
        k = self.filter_fn.kernel(length)
        rows = []
        for t in range(length):  # y[t] = sum over s of k[t - s] w[s]
            rows.append((k[:t + 1].flip(0) * w[:, :t + 1]).sum(1))
        y = torch.stack(rows, dim=1) + self.filter_fn.bias * w
        return self.out_proj(y * post)


class Mlp(nn.Module):
    def __init__(self, safari):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(D, FF), nn.Linear(FF, D)
        self.approximate = "tanh" if safari else "none"

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate=self.approximate))


class Block(nn.Module):
    def __init__(self, safari):
        super().__init__()
        self.mixer, self.norm1 = Mixer(safari), nn.LayerNorm(D)
        self.mlp, self.norm2 = Mlp(safari), nn.LayerNorm(D)

    def forward(self, x):
        x = x + self.mixer(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Embeddings(nn.Module):
    def __init__(self, safari):
        super().__init__()
        self.word_embeddings = nn.Embedding(V, D)
        if not safari:
            self.position_embeddings = nn.Embedding(L_MAX, D)

    def forward(self, ids):
        x = self.word_embeddings(ids)
        if hasattr(self, "position_embeddings"):
            x = x + self.position_embeddings(torch.arange(ids.shape[1]))
        return x


class Backbone(nn.Module):
    def __init__(self, safari):
        super().__init__()
        self.embeddings = Embeddings(safari)
        self.layers = nn.ModuleList(Block(safari) for _ in range(LAYERS))
        self.ln_f = nn.LayerNorm(D)

    def forward(self, ids):
        x = self.embeddings(ids)
        for layer in self.layers:
            x = layer(x)
        return self.ln_f(x)


class Hyena(nn.Module):
    def __init__(self, safari):
        super().__init__()
        self.backbone = Backbone(safari)

    def forward(self, ids):
        return self.backbone(ids) @ self.backbone.embeddings.word_embeddings.weight.T


def zoology_name(name):
    return name.replace(".mixer.", ".sequence_mixer.").replace(".mlp.", ".state_mixer.")


ZOOLOGY = {
    "sequence_mixer": {"name": "zoology.mixers.hyena.Hyena",
                       "kwargs": {"l_max": L_MAX, "filter_order": WIDTH, "emb_dim": FEATURES, "w": FREQUENCY,
                                  "num_inner_mlps": 2, "short_filter_order": 3}},
    "state_mixer": {"name": "zoology.mixers.mlp.MLP", "kwargs": {"hidden_mult": FF // D}},
    "d_model": D, "n_layers": LAYERS, "max_position_embeddings": L_MAX, "vocab_size": V,
    "pad_vocab_size_multiple": 1, "resid_dropout": 0.0, "embed_dropout": 0.1,
    "layer_norm_epsilon": 1e-5}
SAFARI = {
    "_name_": "lm", "d_model": D, "n_layer": LAYERS, "d_inner": FF, "vocab_size": V,
    "pad_vocab_size_multiple": 1, "max_position_embeddings": 0, "resid_dropout": 0.0,
    "embed_dropout": 0.1, "layer_norm_epsilon": 1e-5,
    "layer": {"_name_": "hyena", "l_max": L_MAX, "order": 2, "filter_order": WIDTH,
              "emb_dim": FEATURES, "w": FREQUENCY, "short_filter_order": 3, "num_inner_mlps": 2,
              "modulate": True, "lr": 6e-4, "wd": 0.0, "lr_pos_emb": 6e-4}}


def write(family, safari, config, name_of):
    reference_numbers.start(31 + safari)
    model = Hyena(safari)
    reference_numbers.shake(model)
    ids = torch.randint(0, V, (2, 11))
    shutil.rmtree(HERE / family, ignore_errors=True)
    (HERE / family).mkdir()
    (HERE / family / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    state = {name_of(n): t.detach().clone().contiguous() for n, t in model.state_dict().items()}
    state["lm_head.weight"] = state["backbone.embeddings.word_embeddings.weight"].clone()
    save_file(state, HERE / family / "model.safetensors", {"format": "pt"})
    reference_numbers.measure(HERE / f"{family}-numbers.safetensors", model, ids,
                              lambda m, i: m(i), lambda m: m.double(), lr=LR)


def main():
    write("hyena", False, ZOOLOGY, zoology_name)
    write("hyena-safari", True, SAFARI, lambda name: name)


if __name__ == "__main__":
    main()

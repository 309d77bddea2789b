"""The operations and training steps that mamba_gpu.py measures: names, sizes and makers.

A maker gets the module torch and makes everything else on the GPU: of an operation, the function
and its inputs (gradients are wanted of those that require one); of a training step, the model and
the function from tokens to logits. Packages are imported by the makers alone: each may be absent.
"""

import dataclasses
import functools
from collections.abc import Callable

TOKENS = 65536
MODEL, INNER, RANK, STATES, LAYERS = 768, 1536, 48, 16, 24
HYENA = 864
TASK_VOCABULARY, FULL_VOCABULARY = 20096, 50280


@dataclasses.dataclass
class Line:
    name: str  # farsight_bench's, where it has one
    peer: str
    packages: tuple  # to import, and whose versions to name
    sizes: dict
    make: Callable
    training: bool = False


def activation(torch, *shape):
    return torch.randn(shape, device="cuda", dtype=torch.bfloat16).requires_grad_()


def parameter(torch, *shape, scale=1.0):
    return (scale * torch.randn(shape, device="cuda")).requires_grad_()


def channels_first(torch, batch, length, channels):
    """[B, D, T] over memory [B, T, D], as a projection leaves it."""
    rows = torch.randn(batch, length, channels, device="cuda", dtype=torch.bfloat16)
    return rows.transpose(1, 2).requires_grad_()


def scan(torch, B, T, D, N):
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    # Their kernel wants time to be the dense dimension.
    u, delta, z = (activation(torch, B, D, T) for _ in range(3))
    A = (-torch.exp(0.3 + 0.5 * torch.randn(D, N, device="cuda"))).requires_grad_()
    inputs = [u, delta, A, activation(torch, B, N, T), activation(torch, B, N, T)]
    inputs += [parameter(torch, D), z, parameter(torch, D, scale=0.5)]
    return functools.partial(selective_scan_fn, delta_softplus=True), inputs


def short_convolution(torch, B, T, D, K):
    from causal_conv1d import causal_conv1d_fn

    inputs = [channels_first(torch, B, T, D), parameter(torch, D, K), parameter(torch, D)]
    return functools.partial(causal_conv1d_fn, activation="silu"), inputs


def convolution(torch, B, T, D, K, silu=True):
    """nn.Conv1d, depthwise: what the authors of the global selection run."""
    functional = torch.nn.functional

    def call(x, w, bias):
        y = functional.conv1d(x, w, bias, padding=K - 1, groups=D)[..., :T]
        return functional.silu(y) if silu else y

    return call, [activation(torch, B, D, T), activation(torch, D, 1, K), activation(torch, D)]


def fft_convolution(torch, B, T, D, K, silu=True):
    """In f32, as torch.fft wants it."""

    def call(x, w, bias):
        spectrum = torch.fft.rfft(x.float(), n=2 * T) * torch.fft.rfft(w, n=2 * T)
        y = torch.fft.irfft(spectrum, n=2 * T)[..., :T] + bias[:, None]
        return (torch.nn.functional.silu(y) if silu else y).to(x.dtype)

    return call, [activation(torch, B, D, T), parameter(torch, D, K), parameter(torch, D)]


def norm_inputs(torch, rows, D):
    residual = torch.randn(rows, D, device="cuda").requires_grad_()
    return [activation(torch, rows, D), residual, parameter(torch, D)]


def triton_norm(torch, rows, D):
    from mamba_ssm.ops.triton.layer_norm import rms_norm_fn

    def call(x, residual, w):
        return rms_norm_fn(x, w, None, residual=residual, prenorm=True, residual_in_fp32=True)

    return call, norm_inputs(torch, rows, D)


def compiled_norm(torch, rows, D):
    @torch.compile
    def call(x, residual, w):
        total = residual + x.float()
        y = total * torch.rsqrt(total.square().mean(-1, keepdim=True) + 1e-5) * w
        return y.to(x.dtype), total

    return call, norm_inputs(torch, rows, D)


def embedding(torch, B, T, V, D):
    ids = torch.randint(V, (B, T), device="cuda")
    return torch.nn.functional.embedding, [ids, parameter(torch, V, D)]


def linear(torch, B, T, K, N):
    return torch.nn.functional.linear, [activation(torch, B, T, K), activation(torch, N, K)]


def cross_entropy(torch, R, D, V, compiled=False):
    functional = torch.nn.functional
    targets = torch.randint(V, (R,), device="cuda")
    w = (torch.randn(V, D, device="cuda") / D**0.5).bfloat16().requires_grad_()

    def call(x, w):
        return functional.cross_entropy(functional.linear(x, w).float(), targets)

    return torch.compile(call) if compiled else call, [activation(torch, R, D), w]


def model_parameters(torch):
    """Tensors of the sizes of Mamba-130M's, with gradients."""
    layer = [(MODEL,), (2 * INNER, MODEL), (INNER, 1, 4), (INNER,), (RANK + 2 * STATES, INNER)]
    layer += [(INNER, RANK), (INNER,), (INNER, STATES), (INNER,), (MODEL, INNER)]
    made = [parameter(torch, *shape) for shape in [(FULL_VOCABULARY, MODEL), *layer * LAYERS]]
    for p in made:
        p.grad = torch.randn_like(p)
    return made


def clipping(torch, parameters):
    made = model_parameters(torch)
    return lambda: torch.nn.utils.clip_grad_norm_(made, 1.0), []


def adamw(torch, parameters):
    return torch.optim.AdamW(model_parameters(torch), lr=1e-3, fused=True).step, []


def official_model(torch, V, N):
    from mamba_ssm.models.config_mamba import MambaConfig
    from mamba_ssm.models.mixer_seq_simple import MambaLMHeadModel

    config = MambaConfig(
        d_model=MODEL,
        n_layer=LAYERS,
        vocab_size=V,
        ssm_cfg={"d_state": N},
        pad_vocab_size_multiple=1,
    )
    model = MambaLMHeadModel(config, device="cuda")
    return model, lambda tokens: model(tokens).logits


def transformers_model(torch, V, N):
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=V, hidden_size=MODEL, num_hidden_layers=LAYERS, state_size=N)
    model = MambaForCausalLM(config).cuda().train()
    return model, lambda tokens: model(tokens, use_cache=False).logits


def operation(name, peer, packages, make, sizes, **options):
    return Line(name, peer, packages, sizes, lambda torch: make(torch, **sizes, **options))


def training_lines():
    peers = [
        ("mamba_ssm", ("mamba_ssm", "torch"), official_model),
        ("transformers", ("transformers", "torch"), transformers_model),
    ]
    settings = [("mqar64", 64, TOKENS), ("mqar256", 256, TOKENS), ("mqar512", 512, TOKENS)]
    settings = [(*setting, TASK_VOCABULARY) for setting in settings]
    settings += [("lm2048", 2048, TOKENS, FULL_VOCABULARY), ("small64", 64, 4096, TASK_VOCABULARY)]
    for model, states in (("mamba", STATES), ("mamba-4x", 4 * STATES)):
        for setting, length, tokens, vocabulary in settings:
            for peer, packages, make in peers:
                yield Line(
                    f"training step, {model}, {setting}, V={vocabulary}, all rows",
                    peer,
                    packages,
                    {"B": tokens // length, "T": length, "V": vocabulary},
                    functools.partial(make, V=vocabulary, N=states),
                    training=True,
                )


def lines():
    plain = ("torch",)
    scans = [(T, STATES) for T in (64, 256, 512, 2048)]
    scans += [(T, N) for N in (32, 64) for T in (256, 2048)]
    for T, N in scans:
        sizes = {"B": TOKENS // T, "T": T, "D": INNER, "N": N}
        yield operation("selective_scan, z", "mamba_ssm", ("mamba_ssm", "torch"), scan, sizes)
    for T in (64, 256, 2048):
        sizes = {"B": TOKENS // T, "T": T, "D": INNER, "K": 4}
        packages = ("causal_conv1d", "torch")
        yield operation("causal_conv1d, silu", "causal_conv1d", packages, short_convolution, sizes)
    for T in (256, 512, 2048):
        sizes = {"B": TOKENS // T, "T": T, "D": INNER, "K": 128}
        yield operation("causal_conv1d, silu", "conv1d", plain, convolution, sizes)
        yield operation("causal_conv1d, silu", "fft", plain, fft_convolution, sizes)
    for T in (256, 2048):
        sizes = {"B": TOKENS // T, "T": T, "D": HYENA, "K": T}
        name = "causal_conv1d, no activation"
        yield operation(name, "fft", plain, fft_convolution, sizes, silu=False)
    sizes = {"rows": TOKENS, "D": MODEL}
    yield operation("add_rms_norm", "mamba_ssm", ("mamba_ssm", "torch"), triton_norm, sizes)
    yield operation("add_rms_norm", "compiled", plain, compiled_norm, sizes)
    for V in (20000, 50280):
        sizes = {"B": 256, "T": TOKENS // 256, "V": V, "D": MODEL}
        yield operation("embedding", "eager", plain, embedding, sizes)
    for name, K, N in [
        ("in_proj", MODEL, 2 * INNER),
        ("x_proj", INNER, RANK + 2 * STATES),
        ("dt_proj", RANK, INNER),
        ("out_proj", INNER, MODEL),
    ]:
        sizes = {"B": 256, "T": TOKENS // 256, "K": K, "N": N}
        yield operation(f"linear, {name}", "eager", plain, linear, sizes)
    for R, V in [(16384, 20000), (16384, 50304)]:
        sizes = {"R": R, "D": MODEL, "V": V}
        yield operation("linear_cross_entropy", "eager", plain, cross_entropy, sizes)
        yield operation(
            "linear_cross_entropy", "compiled", plain, cross_entropy, sizes, compiled=True
        )
    sizes = {"parameters": 129135360}
    yield operation("gradient_norm", "clip_grad_norm_", plain, clipping, sizes)
    yield operation("adamw_step", "fused", plain, adamw, sizes)
    yield from training_lines()

"""What every make_FAMILY.py measures of its model, and how it shakes it first.

FAMILY-numbers.safetensors
    ids                [B, T] i32
    logits.f64, .f32   [B, T, V] in either precision
    loss.f64, .f32     [1]: mean cross-entropy of ids[:, 1:] given what is in front of each
    grad.NAME          f64: gradient of loss.f64 by every parameter
    steps.f64          [11] f64: the loss before each of ten AdamW steps, and after the last
"""
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

LR, BETA1, BETA2, EPS, DECAY = 3e-2, 0.9, 0.95, 1e-6, 0.1


def start(seed):
    """Nothing may depend on the machine."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def shake(model, deviation=0.3):
    """No parameter may stay at 0 or 1, or a mistake could hide."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(deviation * torch.randn_like(parameter))


def loss_of(logits, ids):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def adamw(parameters, moments, t, lr):
    """AdamW as the paper's code had it (transformers 4.41: ops/adamw.h), not torch.optim's: eps is
    added before the bias is corrected, and the decay comes after the step."""
    rate = lr * (1 - BETA2**t) ** 0.5 / (1 - BETA1**t)
    with torch.no_grad():
        for p, (m, v) in zip(parameters, moments):
            m.mul_(BETA1).add_((1 - BETA1) * p.grad)
            v.mul_(BETA2).add_((1 - BETA2) * p.grad**2)
            p.sub_(rate * m / (v.sqrt() + EPS))
            p.sub_(lr * DECAY * p)


def measure(path, model, ids, logits_of, make_double, name_of=lambda name: name, lr=LR):
    """Writes `path`. logits_of(model, ids) -> [B, T, V]; make_double(model) makes the model compute
    in double throughout; name_of gives a parameter's name in the checkpoint."""
    numbers = {"ids": ids.to(torch.int32)}
    logits = logits_of(model, ids)
    numbers["logits.f32"], numbers["loss.f32"] = logits, loss_of(logits, ids)[None]

    model = make_double(model)
    logits = logits_of(model, ids)
    assert logits.dtype == torch.float64
    loss = loss_of(logits, ids)
    loss.backward()
    numbers["logits.f64"], numbers["loss.f64"] = logits, loss[None]
    for name, parameter in model.named_parameters():
        numbers["grad." + name_of(name)] = parameter.grad.clone()

    parameters = list(model.parameters())
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    losses = []
    for t in range(1, 11):
        model.zero_grad()
        loss = loss_of(logits_of(model, ids), ids)
        losses.append(loss.item())
        loss.backward()
        adamw(parameters, moments, t, lr)
    losses.append(loss_of(logits_of(model, ids), ids).item())
    numbers["steps.f64"] = torch.tensor(losses, dtype=torch.float64)
    save_file({name: t.detach().contiguous() for name, t in numbers.items()}, path)
    print("losses:", " ".join(f"{x:.6f}" for x in losses))

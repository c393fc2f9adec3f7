"""The one-tower model a second time, from arXiv 2412.08821 alone: writes golden.safetensors beside this file.

Nothing is shared with src/lcm: documents one by one, clean and noisy rows interleaved as in figure 7, a dense mask,
no cache, gradients by autograd, double precision. Needs PyTorch, numpy and safetensors; the tests need the file only.
"""
import math
import os

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

D, E, M, H, LAYERS, INNER, N = 12, 6, 16, 2, 2, 256, 20
OFF = [0, 5, 6, 12]
torch.manual_seed(1)


def single(*shape, scale=1.0):
    return (scale * torch.randn(*shape)).float().double()  # exact in the file


def parameters():
    p = {}

    def linear(name, i, o):
        p[name + ".weight"], p[name + ".bias"] = single(o, i, scale=0.7 / math.sqrt(i)), single(o, scale=0.1)

    linear("embed_time.fc1", 256, E)
    linear("embed_time.fc2", E, E)
    linear("frontend.pre_linear", D + E, M)
    p["frontend.pos_encoder.weight"] = single(64, M, scale=0.7 / math.sqrt(M))
    for i in range(LAYERS):
        layer = f"tower.layers.{i}."
        for name in ("q", "k", "v", "output"):
            linear(f"{layer}self_attn.{name}_proj", M, M)
        for norm in ("self_attn_layer_norm", "ffn_layer_norm"):
            p[f"{layer}{norm}.weight"] = (1 + single(M, scale=0.1)).float().double()
        linear(layer + "ffn.gate_proj", M, INNER)
        linear(layer + "ffn.inner_proj", M, INNER)
        linear(layer + "ffn.output_proj", INNER, M)
    p["tower.layer_norm.weight"] = (1 + single(M, scale=0.1)).float().double()
    linear("postnet.fc", M, D)
    return p


P = {name: x.requires_grad_() for name, x in parameters().items()}


def linear(x, name):
    return F.linear(x, P[name + ".weight"], P[name + ".bias"])


def norm(x, name):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * P[name + ".weight"]


def embed_time(time):
    angle = time[:, None].double() * torch.exp(-math.log(10000) * torch.arange(128).double() / 128)
    return linear(F.silu(linear(torch.cat([angle.cos(), angle.sin()], 1), "embed_time.fc1")), "embed_time.fc2")


def tower(rows, time, position, sees):
    """rows (T,D), sees (T,T) true where row i attends to row j"""
    h = linear(torch.cat([rows, embed_time(time)], 1), "frontend.pre_linear") + P["frontend.pos_encoder.weight"][position]
    for i in range(LAYERS):
        layer = f"tower.layers.{i}."
        x = norm(h, layer + "self_attn_layer_norm")
        q, k, v = (linear(x, f"{layer}self_attn.{n}_proj").view(-1, H, M // H).transpose(0, 1) for n in "qkv")
        a = F.scaled_dot_product_attention(q, k, v, attn_mask=sees).transpose(0, 1).reshape(-1, M)
        h = h + linear(a, layer + "self_attn.output_proj")
        x = norm(h, layer + "ffn_layer_norm")
        x = F.silu(linear(x, layer + "ffn.gate_proj")) * linear(x, layer + "ffn.inner_proj")
        h = h + linear(x, layer + "ffn.output_proj")
    return linear(norm(h, "tower.layer_norm"), "postnet.fc")


def document(clean, noisy, level, dropped):
    """What the model makes of every noisy row: x0_0, x_0, x0_1, x_1, …"""
    n = len(clean)
    rows = torch.stack([noisy, clean], 1).reshape(2 * n, D)
    time = torch.stack([level + 1, torch.zeros_like(level)], 1).reshape(-1)
    sees = torch.eye(2 * n, dtype=torch.bool)
    for i in range(n):
        if not dropped[i]:
            sees[2 * i, 1:2 * i:2] = True
        sees[2 * i + 1, 1:2 * i + 2:2] = True
    return tower(rows, time, torch.arange(n).repeat_interleave(2), sees)[0::2]


def schedule():
    def f(u):
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    root = np.sqrt(np.cumprod([1 - min(1 - f((i + 1) / N) / f(i / N), 0.999) for i in range(N)]))
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2  # no signal at the last level


ABAR = torch.tensor(schedule())
CENTER, SCALE = single(D, scale=0.2), (0.6 + single(D, scale=0.1).abs()).float().double()


def normalize(x):
    return (x - CENTER) / SCALE


def last(context, x, t, alone):
    """Network output for one more concept, noise x at level t, behind a normalised context."""
    n = len(context) + 1
    level = torch.zeros(n, dtype=torch.long)
    level[-1] = t
    pad = torch.zeros(n - 1, D, dtype=torch.double)  # noisy rows nobody looks at
    out = document(torch.cat([context, x[None]]), torch.cat([pad, x[None]]), level, [False] * (n - 1) + [alone])
    return out[-1]


def sample(context, noise, levels=(19, 17, 14, 11, 9, 7, 4, 1), scale=3.0, rescale=0.7, sigma=0.6, eps_scale=1.00045):
    x = sigma * noise
    for i, t in enumerate(levels):
        a = ABAR[t]
        x0 = last(context, x, t, False)
        if t < N - 1:
            def eps(y):
                return (x - a.sqrt() * y) / (1 - a).sqrt()
            conditional, free = eps(x0), eps(last(context, x, t, True))
            e = free + scale * (conditional - free)
            e = e * (rescale * conditional.std() / e.std() + 1 - rescale)
            x0 = (x - (1 - a).sqrt() * e) / a.sqrt()
        else:
            e = (x - a.sqrt() * x0) / (1 - a).sqrt()
        before = ABAR[levels[i + 1]] if i + 1 < len(levels) else torch.tensor(1.0)
        x = before.sqrt() * x0 + (1 - before).sqrt() * e / eps_scale
    return x0


def main():
    raw, noise = single(OFF[-1], D), single(OFF[-1], D)
    level = torch.tensor([3, 19, 0, 12, 7, 5, 1, 18, 10, 0, 14, 6])
    dropped = torch.tensor([0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0], dtype=torch.bool)
    z = normalize(raw)
    noisy = ABAR[level].sqrt()[:, None] * z + (1 - ABAR[level]).sqrt()[:, None] * noise
    out = torch.cat([document(z[a:b], noisy[a:b], level[a:b], dropped[a:b]) for a, b in zip(OFF, OFF[1:])])
    rows = (out - z).pow(2).sum(1)
    rows.sum().backward()
    file = {f"w.{name}": p for name, p in P.items()} | {f"grad.{name}": p.grad for name, p in P.items()}
    file |= {"w.sonar_normalizer.center": CENTER, "w.sonar_normalizer.scale": SCALE, "in.x": raw, "in.noise": noise,
             "out.loss_rows": rows}
    with torch.no_grad():
        fresh, story = single(2, D), []
        for i in range(2):
            context = normalize(torch.cat([raw[:3]] + story))
            story.append((sample(context, fresh[i]) * SCALE + CENTER)[None])
        file |= {"in.sample_noise": fresh, "out.generated": torch.cat(story)}
    file = {name: x.detach().float().contiguous().numpy() for name, x in file.items()}
    file |= {"in.t": level.numpy(), "in.dropped": dropped.long().numpy()}
    save_file(file, os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.safetensors"))


if __name__ == "__main__":
    main()

"""The SONAR autoencoder's training step in PyTorch on the CPU: the peer of bench/train_sonar.sh.

Same model, objective, optimiser, sentences and tokens per step as models/stories/recipe/sonar.json.
What PyTorch has better is used: fused q/k/v, scaled_dot_product_attention, fused AdamW.

  padded  batches of length-sorted sentences, padded to the longest
  packed  linear layers, norms and loss on the real tokens only; padded only inside attention

Prints one JSON line: tokens (real targets) per second of every step but the first ones.
"""
import argparse
import json
import math
import random
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

D, H, INNER, V, EOS = 256, 4, 1024, 4096, 3


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(D, 3 * D), nn.Linear(D, D)

    def forward(self, x, batch, causal):
        qkv = self.qkv(x)
        if batch.packed:  # (T, 3D) -> (n, L, 3D)
            qkv = qkv.new_zeros(batch.n * batch.L, 3 * D).index_copy(0, batch.index, qkv)
        q, k, v = qkv.view(batch.n, batch.L, 3, H, D // H).permute(2, 0, 3, 1, 4)
        # a causal mask never lets a real token see the padding behind it
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=None if causal else batch.mask, is_causal=causal)
        y = y.transpose(1, 2).reshape(batch.n * batch.L, D)
        y = y.index_select(0, batch.index) if batch.packed else y.view(batch.n, batch.L, D)
        return self.out(y)


class Layer(nn.Module):
    def __init__(self, decoder):
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(D), Attention(), nn.LayerNorm(D)
        self.inner, self.outer = nn.Linear(D, INNER), nn.Linear(INNER, D)
        # attention to a single vector: softmax over one key is 1
        self.cross = nn.Sequential(nn.Linear(D, D), nn.Linear(D, D)) if decoder else None

    def forward(self, x, batch, z=None):
        x = x + self.attn(self.norm1(x), batch, z is not None)
        if z is not None:
            c = self.cross(z)
            x = x + (c.index_select(0, batch.sentence) if batch.packed else c[:, None])
        return x + self.outer(F.relu(self.inner(self.norm2(x))))


def sinusoids(n):
    angle = torch.arange(2, n + 2)[:, None] * torch.exp(-torch.arange(D // 2) * math.log(1e4) / (D // 2 - 1))
    return torch.cat([angle.sin(), angle.cos()], 1)


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(V, D)
        nn.init.normal_(self.embed.weight, 0, D**-0.5)
        self.encoder = nn.ModuleList(Layer(False) for _ in range(2))
        self.decoder = nn.ModuleList(Layer(True) for _ in range(2))
        self.enc_norm, self.dec_norm = nn.LayerNorm(D), nn.LayerNorm(D)
        self.register_buffer("positions", sinusoids(130))

    def front(self, ids, batch):
        return self.embed(ids) * math.sqrt(D) + (self.positions[batch.pos] if batch.packed else self.positions[: batch.L])

    def forward(self, batch):
        x = self.front(batch.source, batch)
        for layer in self.encoder:
            x = layer(x, batch)
        x = self.enc_norm(x)
        if batch.packed:
            z = x.new_zeros(batch.n, D).index_add(0, batch.sentence, x)
        else:
            z = (x * batch.real[:, :, None]).sum(1)
        z = z / batch.length[:, None]
        mean, sd = z.detach().mean(0), z.detach().std(0, unbiased=False)  # latent noise, 40 % of the sentences
        a = (torch.rand(batch.n, 1) < 0.4) * torch.rand(batch.n, 1) * 0.3
        z = (1 - a).sqrt() * z + (1 - (1 - a).sqrt()) * mean + sd * a.sqrt() * torch.randn(batch.n, D)
        x = self.front(batch.prefix, batch)
        for layer in self.decoder:
            x = layer(x, batch, z)
        logits = self.dec_norm(x) @ self.embed.weight.t()
        return F.cross_entropy(logits.reshape(-1, V), batch.target.reshape(-1), ignore_index=-100, reduction="sum")


class Batch:
    def __init__(self, sentences, packed):
        self.packed, self.n, self.L = packed, len(sentences), max(map(len, sentences)) + 1
        self.tokens = sum(len(s) + 1 for s in sentences)
        self.length = torch.tensor([len(s) + 1 for s in sentences], dtype=torch.float)
        self.real = torch.arange(self.L) < self.length[:, None]
        self.mask = None if bool(self.real.all()) else self.real[:, None, None, :]
        if packed:
            self.source = torch.tensor([t for s in sentences for t in (*s, EOS)])
            self.prefix = torch.tensor([t for s in sentences for t in (EOS, *s)])
            self.target = self.source
            self.index = self.real.flatten().nonzero().flatten()
            self.sentence, self.pos = self.index // self.L, self.index % self.L
            return
        pad = [[0] * (self.L - 1 - len(s)) for s in sentences]
        self.source = torch.tensor([(*s, EOS, *p) for s, p in zip(sentences, pad)])
        self.prefix = torch.tensor([(EOS, *s, *p) for s, p in zip(sentences, pad)])
        self.target = self.source.masked_fill(~self.real, -100)


def batches(sentences, budget, packed):
    """Windows of 4096 shuffled sentences, sorted by length, cut at `budget` real tokens: as `lcm train`."""
    while True:
        order = random.sample(sentences, len(sentences))
        for at in range(0, len(order), 4096):
            window, cut, used = sorted(order[at : at + 4096], key=len), [[]], 0
            for s in window:
                if used + len(s) + 1 > budget:
                    cut.append([])
                    used = 0
                cut[-1].append(s)
                used += len(s) + 1
            random.shuffle(cut)
            for c in cut:
                if c:
                    yield Batch(c, packed)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("ids")
    p.add_argument("--tokens", type=int, default=2048)
    p.add_argument("--steps", type=int, default=25)
    p.add_argument("--skip", type=int, default=5)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--packed", action="store_true")
    p.add_argument("--compile", action="store_true")
    p.add_argument("--bf16", action="store_true")
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    random.seed(1)
    with open(o.ids) as f:
        sentences = [s for s in ([int(t) for t in line.split()] for line in f) if 0 < len(s) <= 96]
    model = Autoencoder()
    step_loss = torch.compile(model, dynamic=True) if o.compile else model
    adamw = torch.optim.AdamW(model.parameters(), lr=1.5e-3, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.01, fused=True)
    wall, cpu, loss = [], [], None
    source = batches(sentences, o.tokens, o.packed)
    for step in range(o.steps):
        t0, c0 = time.perf_counter(), time.process_time()
        b = next(source)
        adamw.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=o.bf16):
            loss = step_loss(b) / b.tokens
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        if step >= o.skip:
            wall.append(b.tokens / (time.perf_counter() - t0))
            cpu.append(b.tokens / (time.process_time() - c0))
    print(json.dumps({"torch": torch.__version__, "loss": loss.item(), "per_second": wall, "per_cpu_second": cpu}))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What a generated sentence costs, against the length of the document before it: concept models and a Llama.

  generation_cost.py --lcm build/lcm --text FILE --concept NAME=BUNDLE ... --llama FILE [--peer] --out DIR

For documents of growing length (the first K sentences of FILE) it runs `lcm generate` once per model and round, models
interleaved, and writes DIR/cost.csv and DIR/cost.svg: milliseconds per further sentence (encode, predict, decode; wall clock
and processor time), milliseconds to read the document, peak memory. Windows of the models are widened to fit: only speed is
looked at, so weights may be anything. A Llama's sentence has as many tokens as the mean sentence of FILE. With --peer the same
weights run in llama.cpp, too (pip install gguf xllamacpp sentencepiece safetensors numpy), in float32 with a float32
cache and one thread, like ours. The picture
shows medians of the wall clock; on a busy machine look at processor time, a small difference of two runs.
"""
import argparse, csv, json, os, re, struct, subprocess, sys, tempfile, time
from statistics import median

MORE = 4  # sentences measured behind the first


def widen(src, dst, **limits):
    """A model file with other limits in its configuration, the tensors as they are."""
    b = open(src, "rb").read()
    n = struct.unpack("<Q", b[:8])[0]
    head = json.loads(b[8:8 + n])
    config = json.loads(head["__metadata__"]["lcm.config"])
    config.update({k: v for k, v in limits.items() if k in config})
    head["__metadata__"]["lcm.config"] = json.dumps(config)
    text = json.dumps(head).encode()
    text += b" " * (-(len(text) + 8) % 64)
    open(dst, "wb").write(struct.pack("<Q", len(text)) + text + b[8 + n:])


def run(lcm, args, text):
    """(lines of JSON, processor seconds, peak bytes) of one `lcm generate`."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
        f.write(text)
        f.flush()
        # the peak of a child that we fork ourselves would be no less than ours
        p = subprocess.Popen(["/usr/bin/time", "-q", "-f", "%M", "-o", f.name + ".rss", lcm, "generate", "-q", "-t", "1", "--json",
                              "-f", f.name] + args, stdout=subprocess.PIPE, text=True)
        lines = [json.loads(x) for x in p.stdout]
        _, status, use = os.wait4(p.pid, 0)
        if status:
            sys.exit(f"lcm generate {args} failed")
        peak = int(open(f.name + ".rss").read()) * 1024
        os.remove(f.name + ".rss")
    return lines, use.ru_utime + use.ru_stime, peak


def stages(line):
    return sum(v for v in line["ms"].values() if v is not None)


def concept_model(lcm, folder, text, tokens):
    args = ["-m", folder, "--eos", "2", "--repetition", "0", "-b", "1"]
    one, cpu1, _ = run(lcm, args + ["-n", "1"], text)
    many, cpu, peak = run(lcm, args + ["-n", str(MORE + 1)], text)
    done = [x for x in many if not x.get("done")]
    return {"ms": sum(map(stages, done[1:])) / MORE, "cpu_ms": 1e3 * (cpu - cpu1) / MORE, "read_ms": one[-1]["first_ms"], "peak": peak}


def token_model(lcm, path, text, tokens):
    args = ["-m", path, "--temperature", "1"]
    one, cpu1, _ = run(lcm, args + ["-n", "1", "-s", "1"], text)
    many, cpu, peak = run(lcm, args + ["-n", "3", "-s", "1"], text)
    drawn = many[-1]["tokens"] - one[-1]["tokens"]
    rest = [x for x in many if not x.get("done")][1:]
    per = sum(x["ms"]["decode"] for x in rest) / sum(x["tokens"] for x in rest)
    return {"ms": per * tokens, "cpu_ms": 1e3 * (cpu - cpu1) / drawn * tokens, "read_ms": one[0]["ms"]["context"], "peak": peak}


# ---- The peer: llama.cpp on the same weights ----

def write_gguf(folder, path):
    import gguf, sentencepiece
    import numpy as np
    from safetensors.numpy import load_file
    c = json.load(open(folder + "/config.json"))
    t = load_file(folder + "/model.safetensors")
    H, G, K = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
    w = gguf.GGUFWriter(path, "llama")
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_block_count(c["num_hidden_layers"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(H)
    w.add_head_count_kv(G)
    w.add_rope_dimension_count(K)
    w.add_rope_freq_base(c["rope_theta"])
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_vocab_size(c["vocab_size"])
    sp = sentencepiece.SentencePieceProcessor(model_file=folder + "/tokenizer.model")
    pieces = [sp.id_to_piece(i) if i < len(sp) else f"<unused{i}>" for i in range(c["vocab_size"])]
    w.add_tokenizer_model("llama")
    w.add_token_list(pieces)
    w.add_token_scores([float(-i) for i in range(len(pieces))])
    w.add_token_types([2 if i == 0 else 3 if i < 3 else 6 if i < len(sp) and sp.is_byte(i) else 1 for i in range(len(pieces))])
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    # llama.cpp rotates neighbours where Hugging Face rotates halves: rows of a head change places
    swap = lambda x, n: x.reshape(n, 2, K // 2, -1).swapaxes(1, 2).reshape(x.shape)
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
             "post_attention_layernorm": "ffn_norm"}
    for name, x in t.items():
        x = np.ascontiguousarray(x, dtype=np.float32)
        if name == "model.embed_tokens.weight": to = "token_embd.weight"
        elif name == "model.norm.weight": to = "output_norm.weight"
        elif name == "lm_head.weight": to = "output.weight"
        else:
            _, _, i, rest = name.split(".", 3)
            to = f"blk.{i}.{names[rest.removesuffix('.weight')]}.weight"
            if "q_proj" in name: x = swap(x, H)
            if "k_proj" in name: x = swap(x, G)
        w.add_tensor(to, np.ascontiguousarray(x))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def peer(path, ids_path, drawn):
    """In a process of its own, for its memory: prints one JSON object."""
    import xllamacpp as x
    ids = json.load(open(ids_path))
    rss = lambda: int(re.search(r"VmRSS:\s+(\d+)", open("/proc/self/status").read())[1]) * 1024
    base = rss()
    p = x.CommonParams()
    p.model.path = path
    p.n_ctx, p.n_parallel, p.n_gpu_layers, p.warmup = len(ids) + drawn + 8, 1, 0, False
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
    p.cache_type_k = p.cache_type_v = x.ggml_type.GGML_TYPE_F32 # as ours
    p.flash_attn_type = x.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED # four times slower on a float32 cache
    server = x.Server(p)
    def complete(n):
        c = time.process_time()
        out = server.handle_completions({"prompt": ids, "n_predict": n, "temperature": 0, "ignore_eos": True, "cache_prompt": False,
                                         "return_tokens": True})
        out = json.loads(out) if isinstance(out, str) else out
        return out, time.process_time() - c
    _, cpu1 = complete(1)
    out, cpu = complete(drawn + 1)
    print(json.dumps({"ms": out["timings"]["predicted_per_token_ms"], "cpu_ms": 1e3 * (cpu - cpu1) / drawn,
                      "read_ms": out["timings"]["prompt_ms"], "peak": rss() - base, "ids": out.get("tokens")}), flush=True)
    os._exit(0) # its server has no other end


# ---- Picture ----

COLORS = ["#1b6ca8", "#d1495b", "#2e8b57", "#8a5a9e", "#b8860b"]


def log_ticks(lo, hi):
    return [m * 10 ** e for e in range(-3, 6) for m in (1, 2, 5) if lo <= m * 10 ** e <= hi]


def draw(path, rows, names):
    import math
    W, H, L, T, PW, PH = 960, 400, 60, 40, 235, 290
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{W}" height="{H}" font-family="sans-serif" font-size="12">',
           f'<rect width="{W}" height="{H}" fill="white"/>']
    panels = [("ms", 1, "ms per generated sentence"), ("read_ms", 1, "ms to read the document"), ("peak", 1 / 2 ** 20, "peak memory, MiB")]
    for k, (key, unit, title) in enumerate(panels):
        x0 = L + k * (PW + 75)
        mid = lambda n, s: median(r[key] for r in rows if r["model"] == n and r["sentences"] == s) * unit
        xs = sorted({r["sentences"] for r in rows})
        ys = [mid(n, s) for n in names for s in xs]
        lo, hi = min(ys) / 1.3, max(ys) * 1.3
        px = lambda s: x0 + PW * math.log(s / xs[0]) / math.log(xs[-1] / xs[0])
        py = lambda y: T + PH * (1 - math.log(y / lo) / math.log(hi / lo))
        out.append(f'<text x="{x0}" y="{T - 14}" font-size="14">{title}</text>')
        for s in xs:
            out.append(f'<text x="{px(s):.1f}" y="{T + PH + 16}" text-anchor="middle">{s}</text>')
        for y in log_ticks(lo, hi):
            out.append(f'<path d="M{x0} {py(y):.1f}h{PW}" stroke="#ddd"/><text x="{x0 - 6}" y="{py(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
        out.append(f'<text x="{x0 + PW / 2}" y="{T + PH + 34}" text-anchor="middle">sentences before it</text>')
        for i, n in enumerate(names):
            pts = " ".join(f"{px(s):.1f},{py(mid(n, s)):.1f}" for s in xs)
            out.append(f'<polyline points="{pts}" fill="none" stroke="{COLORS[i % 5]}" stroke-width="2"/>')
            out += [f'<circle cx="{px(s):.1f}" cy="{py(mid(n, s)):.1f}" r="3" fill="{COLORS[i % 5]}"/>' for s in xs]
    for i, n in enumerate(names):
        x = L + i * 170
        out.append(f'<path d="M{x} {H - 14}h24" stroke="{COLORS[i % 5]}" stroke-width="2"/><text x="{x + 30}" y="{H - 10}">{n}</text>')
    open(path, "w").write("\n".join(out) + "\n</svg>\n")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--lcm", default="build/lcm")
    a.add_argument("--text")
    a.add_argument("--concept", action="append", default=[], metavar="NAME=BUNDLE")
    a.add_argument("--llama", metavar="FILE")
    a.add_argument("--peer", action="store_true")
    a.add_argument("--sentences", default="8,32,128,512")
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--out", default=".")
    a.add_argument("--run-peer", nargs=3, help=argparse.SUPPRESS)
    o = a.parse_args()
    if o.run_peer:
        return peer(o.run_peer[0], o.run_peer[1], int(o.run_peer[2]))
    lengths = [int(x) for x in o.sentences.split(",")]
    os.makedirs(o.out, exist_ok=True)
    body = open(o.text).read()[:200 * max(lengths)]
    sentences = [s for s in subprocess.run([o.lcm, "segment", "-"], input=body, capture_output=True, text=True, check=True).stdout.split("\n") if s]
    sentences = sentences[:max(lengths)]
    if len(sentences) < max(lengths): sys.exit(f"{o.text}: {len(sentences)} sentences, {max(lengths)} are needed")
    with tempfile.TemporaryDirectory() as tmp:
        ids = subprocess.run([o.lcm, "tokenizer", "encode", "-m", o.llama], input="\n".join(sentences), capture_output=True, text=True,
                             check=True).stdout.split("\n")
        count = [len(x.split()) for x in ids if x]
        mean = sum(count) / len(count)
        runs = []
        for spec in o.concept:
            name, src = spec.split("=", 1)
            dst = f"{tmp}/{name}"
            os.makedirs(dst)
            c = json.load(open(src + "/bundle.json"))
            widen(f"{src}/{c['lcm']}", f"{dst}/lcm.safetensors", max_seq_len=max(lengths) + 64)
            for part in {"sonar", "decoder"} & set(c):
                os.symlink(os.path.abspath(f"{src}/{c[part]}"), f"{dst}/{part}.safetensors")
                c[part] = part + ".safetensors"
            json.dump(c | {"lcm": "lcm.safetensors"}, open(dst + "/bundle.json", "w"))
            runs.append((name, lambda t, n, d=dst: concept_model(o.lcm, d, t, mean)))
        wide = tmp + "/llama.safetensors"
        widen(o.llama, wide, max_position_embeddings=1 << 15)
        runs.append(("llama", lambda t, n: token_model(o.lcm, wide, t, mean)))
        if o.peer:
            subprocess.run([o.lcm, "export", "-q", "--to", "hf", wide, "-o", tmp + "/hf"], check=True)
            write_gguf(tmp + "/hf", tmp + "/llama.gguf")
            def llama_cpp(text, n):
                # ids of lcm count a <pad> in front of the pieces
                line = [1] + [int(x) - 1 for s in ids[:n] for x in s.split()]
                json.dump(line, open(tmp + "/ids.json", "w"))
                r = json.loads(subprocess.run([sys.executable, __file__, "--run-peer", tmp + "/llama.gguf", tmp + "/ids.json", "48"],
                                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout.split("\n")[-2])
                return r | {"ms": r["ms"] * mean, "cpu_ms": r["cpu_ms"] * mean}
            runs.append(("llama.cpp", llama_cpp))
        rows = []
        for r in range(o.rounds):
            for n in lengths:
                for name, f in runs:
                    m = f(" ".join(sentences[:n]), n)
                    rows.append({"model": name, "sentences": n, "tokens": sum(count[:n]), "round": r} |
                                {k: m[k] for k in ("ms", "cpu_ms", "read_ms", "peak")})
                    print(rows[-1], file=sys.stderr, flush=True)
    with open(o.out + "/cost.csv", "w", newline="") as f:
        w = csv.DictWriter(f, rows[0].keys())
        w.writeheader()
        w.writerows(rows)
    names = [n for n, _ in runs]
    draw(o.out + "/cost.svg", rows, names)
    print(f"mean sentence: {mean:.1f} tokens; min | median of {o.rounds}\n")
    print("| model | sentences | ms per sentence, processor | ms per sentence, wall clock | ms to read the document | peak, MiB |\n|---|---|---|---|---|---|")
    for name in names:
        for n in lengths:
            s = [r for r in rows if r["model"] == name and r["sentences"] == n]
            both = lambda k, u=1: f"{min(r[k] for r in s) * u:.1f} | {median(r[k] for r in s) * u:.1f}".replace(" | ", " / ")
            print(f"| {name} | {n} | {both('cpu_ms')} | {both('ms')} | {both('read_ms')} | {max(r['peak'] for r in s) / 2 ** 20:.0f} |")


main()

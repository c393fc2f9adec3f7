#!/usr/bin/env python3
"""CTranslate2 and ONNX Runtime, int8, on an encoder or decoder of the weights of a SONAR file of F32 matrices
(bench/random_sonar.c), and of the token ids, vectors and lengths of bench/sonar_speed.c. One line per measurement.

  peer_int8.py FILE ct2|ort encode SENTENCES TOKENS [THREADS] [RUNS] [BATCH]   sentences/s; TOKENS 0: lengths 6 … 72
  peer_int8.py FILE ct2     decode SENTENCES TOKENS [THREADS] [RUNS] [BEAM]    tokens/s, TOKENS each are forced

BATCH: sentences are sorted by length and cut into batches of so many; 0, the default: one batch, as they come.
One thread is timed by the CPU time of the process, several by the clock; loading and the first result always by the
clock. Numbers or tokens at the end of a line are the same in all programs, up to what int8 does to them.

CTranslate2's decoder takes its vectors from an encoder of one layer of zeros, whose embeddings are the vectors: it sees
one source position, and computes its attention as it always does. Its queries and keys, which a softmax over one
position forgets, are not in the file and are the values' matrix once more.

MODELS  folder that keeps the converted models; else they are written below $TMPDIR and removed
TYPE    int8, or float32 to compare the ends of lines

Needs numpy, safetensors, and ctranslate2 or onnx and onnxruntime."""
import json, os, resource, shutil, struct, sys, tempfile, time

import numpy as np
from safetensors import safe_open

LENGTHS = [6, 9, 12, 14, 16, 18, 20, 22, 24, 27, 30, 33, 37, 42, 50, 72]
SOURCES = 64  # vectors that a converted decoder knows


def load(path):
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        config = json.loads(json.loads(f.read(n))["__metadata__"]["lcm.config"])
    return config, safe_open(path, "numpy")


def token_ids(n, tokens, vocab):
    """As bench/sonar_speed.c."""
    return [[4 + (i * 7919 + t * 104729) % (vocab - 4) for t in range(tokens or LENGTHS[i % 16])] for i in range(n)]


def vectors(n, d):
    i = np.arange(n * d)
    return ((i * 7919 % 1009 / 1009 - 0.5) * 0.024).astype("f4").reshape(n, d)


def batches(ids, size):
    if size == 0:
        return [ids]
    ids = sorted(ids, key=len)
    return [ids[i:i + size] for i in range(0, len(ids), size)]


def positions(n, d):
    w = np.exp(-np.arange(d // 2) * np.log(10000) / (d // 2 - 1))
    a = (np.arange(n)[:, None] + 2) * w[None]
    return np.concatenate([np.sin(a), np.cos(a)], 1).astype("f4")


# ---- CTranslate2 ----

class Ct2Layers:
    """Copies tensors into a specification."""

    def __init__(self, w, part):
        self.w, self.part = w, part

    def get(self, name):
        return self.w.get_tensor(name)

    def norm(self, s, name):
        s.gamma, s.beta = self.get(name + ".weight"), self.get(name + ".bias")

    def linear(self, s, *names):
        s.weight = np.concatenate([self.get(n + ".weight") for n in names])
        s.bias = np.concatenate([self.get(n + ".bias") for n in names])

    def layer(self, s, i):
        p = f"{self.part}.layers.{i}."
        self.norm(s.self_attention.layer_norm, p + "self_attn_layer_norm")
        self.linear(s.self_attention.linear[0], *(p + f"self_attn.{k}_proj" for k in "qkv"))
        self.linear(s.self_attention.linear[1], p + "self_attn.output_proj")
        self.norm(s.ffn.layer_norm, p + "ffn_layer_norm")
        self.linear(s.ffn.linear_0, p + "ffn.inner_proj")
        self.linear(s.ffn.linear_1, p + "ffn.output_proj")

    def nothing(self, s, d):
        """x + 0"""
        attention, ffn = s.self_attention, s.ffn
        for n in (attention.layer_norm, ffn.layer_norm):
            n.gamma, n.beta = np.zeros(d, "f4"), np.zeros(d, "f4")
        for l, rows, cols in zip([*attention.linear, ffn.linear_0, ffn.linear_1], [3 * d, d, 64, d], [d, d, d, 64]):
            l.weight, l.bias = np.zeros((rows, cols), "f4"), np.zeros(rows, "f4")

    def cross(self, s, i, d):
        p = f"{self.part}.layers.{i}.encoder_decoder_attn."
        s.layer_norm.gamma, s.layer_norm.beta = np.ones(d, "f4"), np.zeros(d, "f4")
        self.linear(s.linear[0], p + "v_proj")
        self.linear(s.linear[1], p + "v_proj", p + "v_proj")
        self.linear(s.linear[2], p + "output_proj")


def ct2_spec(config, w, part):
    from ctranslate2.specs import common_spec, transformer_spec as t

    d, heads, relu = config["model_dim"], config["attn_heads"], common_spec.Activation.RELU
    names = [f"t{i}" for i in range(config["vocab_size"])]
    layers = Ct2Layers(w, part)
    if part == "encoder":
        spec = t.TransformerEncoderModelSpec(t.TransformerEncoderSpec(config["encoder_layers"], heads, activation=relu))
        side, embed = spec.encoder, spec.encoder.embeddings[0]
        spec.register_vocabulary(names)
    else:
        source = t.TransformerEncoderSpec(1, heads, no_final_norm=True)
        spec = t.TransformerSpec(source, t.TransformerDecoderSpec(config["decoder_layers"], heads, activation=relu))
        side, embed = spec.decoder, spec.decoder.embeddings
        source.scale_embeddings = False
        layers.nothing(source.layer[0], d)
        source.embeddings[0].weight = np.concatenate([vectors(SOURCES, d), np.zeros((2, d), "f4")])
        source.position_encodings.encodings = np.zeros((1, d), "f4")
        side.projection.weight = w.get_tensor("decoder_frontend.embed.weight")
        spec.register_source_vocabulary([f"s{i}" for i in range(SOURCES)] + ["t1", "t3"])
        spec.register_target_vocabulary(names)
        spec.config.eos_token = spec.config.bos_token = spec.config.decoder_start_token = "t3"
    spec.config.unk_token = "t1"
    embed.weight = w.get_tensor(f"{part}_frontend.embed.weight")
    side.scale_embeddings = True
    side.position_encodings.encodings = positions(514, d)
    layers.norm(side.layer_norm, "layer_norm" if part == "encoder" else "decoder.layer_norm")
    for i, layer in enumerate(side.layer):
        layers.layer(layer, i)
        if part == "decoder":
            layers.cross(layer.attention, i, d)
    return spec


def ct2_convert(config, w, part, folder, kind):
    spec = ct2_spec(config, w, part)
    spec.validate()
    spec.optimize(quantization=None if kind == "float32" else kind)
    os.makedirs(folder)
    spec.save(folder)


def ct2_encoder(folder, kind, threads):
    import ctranslate2
    model = ctranslate2.Encoder(folder, compute_type=kind, intra_threads=threads)
    def run(ids):
        y = model.forward_batch(ids).last_hidden_state
        return lambda: np.array(y)[0, :len(ids[0])].mean(0)
    return run


def ct2_decoder(folder, kind, threads, tokens, beam):
    import ctranslate2
    model = ctranslate2.Translator(folder, compute_type=kind, intra_threads=threads)
    def run(n):
        y = model.translate_batch([[f"s{i}"] for i in range(n)], target_prefix=[["t5"]] * n, beam_size=beam, disable_unk=True,
                                  min_decoding_length=tokens + 1, max_decoding_length=tokens + 1)
        made = [r.hypotheses[0][1:] for r in y]
        assert all(len(m) == tokens for m in made), f"{[len(m) for m in made]} tokens, not {tokens}"
        return lambda: [int(token[1:]) for token in made[0]]
    return run


# ---- ONNX Runtime ----

def ort_convert(config, w, part, folder, kind):
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime.quantization import QuantType, quantize_dynamic

    assert part == "encoder", "ort has no decoder here"
    d, h = config["model_dim"], config["attn_heads"]
    nodes, inits = [], []
    def const(name, a):
        inits.append(numpy_helper.from_array(np.ascontiguousarray(a), name))
        return name
    def op(kind, inputs, name, **kw):
        nodes.append(helper.make_node(kind, inputs, [name], name=name, **kw))
        return name
    def linear(x, name):
        y = op("MatMul", [x, const(name + ".w", w.get_tensor(name + ".weight").T)], name + ".mm")
        return op("Add", [y, const(name + ".b", w.get_tensor(name + ".bias"))], name + ".y")
    def norm(x, name):
        return op("LayerNormalization", [x, const(name + ".w", w.get_tensor(name + ".weight")),
                                         const(name + ".b", w.get_tensor(name + ".bias"))], name + ".y", axis=-1, epsilon=1e-5)
    def heads(x, name, perm):
        return op("Transpose", [op("Reshape", [x, "split"], name + ".r")], name + ".t", perm=perm)
    def build(masked):
        nodes.clear(), inits.clear()
        const("split", np.array([0, 0, h, d // h], "i8"))
        const("merge", np.array([0, 0, d], "i8"))
        const("scale", np.array((d // h) ** -0.5, "f4"))
        const("pos", positions(514, d))
        x = op("Gather", [const("embed", w.get_tensor("encoder_frontend.embed.weight") * np.float32(d ** 0.5)), "ids"], "x0")
        x = op("Add", [x, op("Gather", ["pos", "at"], "p")], "x1")
        for i in range(config["encoder_layers"]):
            p = f"encoder.layers.{i}."
            y = norm(x, p + "self_attn_layer_norm")
            q = heads(linear(y, p + "self_attn.q_proj"), p + "q", [0, 2, 1, 3])
            k = heads(linear(y, p + "self_attn.k_proj"), p + "k", [0, 2, 3, 1])
            v = heads(linear(y, p + "self_attn.v_proj"), p + "v", [0, 2, 1, 3])
            s = op("Mul", [op("MatMul", [q, k], p + "s"), "scale"], p + "s2")
            s = op("Add", [s, "mask"], p + "s3") if masked else s
            o = op("MatMul", [op("Softmax", [s], p + "sm", axis=-1), v], p + "o")
            o = op("Reshape", [op("Transpose", [o], p + "ot", perm=[0, 2, 1, 3]), "merge"], p + "om")
            x = op("Add", [x, linear(o, p + "self_attn.output_proj")], p + "x")
            y = op("Relu", [linear(norm(x, p + "ffn_layer_norm"), p + "ffn.inner_proj")], p + "relu")
            x = op("Add", [x, linear(y, p + "ffn.output_proj")], p + "x2")
        # each position has its share of the mean, 0 if it is padding
        op("ReduceSum", [op("Mul", [norm(x, "layer_norm"), "share"], "y"), const("axis", np.array([1], "i8"))], "out", keepdims=0)
        f = TensorProto.FLOAT
        ins = [("ids", TensorProto.INT64, ["n", "t"]), ("at", TensorProto.INT64, ["t"]), ("share", f, ["n", "t", 1])]
        ins += [("mask", f, ["n", 1, 1, "t"])] if masked else []
        graph = helper.make_graph(nodes, "encoder", [helper.make_tensor_value_info(*i) for i in ins],
                                  [helper.make_tensor_value_info("out", f, ["n", d])], inits)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

    os.makedirs(folder)
    for masked in (False, True):
        plain, small = (os.path.join(folder, f"{t}{'.masked' * masked}.onnx") for t in ("float32", "int8"))
        onnx.save(build(masked), plain, save_as_external_data=True, location=os.path.basename(plain) + ".data")
        if kind == "float32":
            continue
        quantize_dynamic(plain, small, weight_type=QuantType.QInt8, per_channel=True, use_external_data_format=True,
                         op_types_to_quantize=["MatMul"])
        os.remove(plain)
        os.remove(plain + ".data")


def ort_encoder(folder, kind, threads, masked):
    import onnxruntime
    o = onnxruntime.SessionOptions()
    o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
    o.add_session_config_entry("session.intra_op.allow_spinning", "0" if threads == 1 else "1")
    session = onnxruntime.InferenceSession(os.path.join(folder, f"{kind}{'.masked' * masked}.onnx"), o, ["CPUExecutionProvider"])
    def run(ids):
        t = max(map(len, ids))
        real = np.arange(t) < np.array([[len(s)] for s in ids])
        feed = {"ids": np.array([s + [0] * (t - len(s)) for s in ids], "i8"), "at": np.arange(t, dtype="i8"),
                "share": (real / real.sum(1, keepdims=True)).astype("f4")[:, :, None]}
        if masked:
            feed["mask"] = np.where(real, 0, np.finfo("f4").min).astype("f4")[:, None, None, :]
        y = session.run(None, feed)[0]
        return lambda: y[0]
    return run


# ---- Both ----

def opened(path, program, part, kind):
    """Folder of the converted model, made if need be, and whether to remove it."""
    keep = os.environ.get("MODELS")
    config, w = load(path)
    folder = os.path.join(keep or tempfile.mkdtemp(), f"{program}.{part}.{kind}")
    if not os.path.isdir(folder):
        {"ct2": ct2_convert, "ort": ort_convert}[program](config, w, part, folder + ".new", kind)
        os.rename(folder + ".new", folder)
    return config, folder, not keep


def measure(config, folder, program, part, kind, n, tokens, threads, runs, last):
    clock = time.process_time if threads == 1 else time.perf_counter
    times, begin = [], time.perf_counter()
    if part == "decode":
        run, inputs = ct2_decoder(folder, kind, threads, tokens, last or 1), [n]
    else:
        run = ct2_encoder(folder, kind, threads) if program == "ct2" else ort_encoder(folder, kind, threads, tokens == 0)
        inputs = batches(token_ids(n, tokens, config["vocab_size"]), last)
    loaded = time.perf_counter() - begin
    for i in range(runs + 1):  # the first one warms up
        t = clock()
        ends = [run(x) for x in inputs]
        times.append(clock() - t)
        first = time.perf_counter() - begin if i == 0 else first
    times, work, end = sorted(times[1:]), n if part == "encode" else n * tokens, ends[0]()
    print(f"{program} {part} {n}x{tokens} threads {threads} {'beam' if part == 'decode' else 'batch'} {last}  "
          f"best {work / times[0]:.2f} median {work / times[len(times) // 2]:.2f} "
          f"{'sentences/s' if part == 'encode' else 'tokens/s'}  load {loaded:.3f} first {first:.3f} s  "
          f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1048576:.2f} GB  ends", *[f"{x:.6g}" for x in end[:4]])


def main():
    if len(sys.argv) < 6 or sys.argv[2] not in ("ct2", "ort") or sys.argv[3] not in ("encode", "decode"):
        sys.exit(__doc__)
    path, program, part, numbers = *sys.argv[1:4], [int(a) for a in sys.argv[4:]]
    n, tokens, threads, runs, last = numbers + [1, 5, 0][len(numbers) - 2:]
    kind = os.environ.get("TYPE", "int8")
    config, folder, remove = opened(path, program, {"encode": "encoder", "decode": "decoder"}[part], kind)
    try:
        measure(config, folder, program, part, kind, n, tokens, threads, runs, last)
    finally:
        if remove:
            shutil.rmtree(os.path.dirname(folder))


main()

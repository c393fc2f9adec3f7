#!/usr/bin/env python3
"""CTranslate2 and ONNX Runtime, int8, on an encoder of the sizes and token ids of bench/sonar_speed.c, with the
weights of a SONAR file of F32 matrices (bench/random_sonar.c).

  peer_int8.py FILE ct2|ort SENTENCES TOKENS [THREADS] [RUNS]

One thread is timed by the CPU time of the process, several by the clock. Needs numpy, safetensors, and ctranslate2 or
onnx and onnxruntime. Models are written below $TMPDIR and removed."""
import json, os, shutil, struct, sys, tempfile, time

import numpy as np
from safetensors import safe_open


def load(path):
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        config = json.loads(json.loads(f.read(n))["__metadata__"]["lcm.config"])
    return config, safe_open(path, "numpy")


def token_ids(n, tokens, vocab):
    """As bench/sonar_speed.c."""
    return [[4 + (i * 7919 + t * 104729) % (vocab - 4) for t in range(tokens)] for i in range(n)]


def positions(n, d):
    w = np.exp(-np.arange(d // 2) * np.log(10000) / (d // 2 - 1))
    a = (np.arange(n)[:, None] + 2) * w[None]
    return np.concatenate([np.sin(a), np.cos(a)], 1).astype("f4")


def ct2_runner(config, w, folder, threads):
    import ctranslate2
    from ctranslate2.specs import common_spec, transformer_spec

    spec = transformer_spec.TransformerEncoderModelSpec(
        transformer_spec.TransformerEncoderSpec(config["encoder_layers"], config["attn_heads"], pre_norm=True,
                                                activation=common_spec.Activation.RELU))
    e = spec.encoder
    linear = lambda s, name: (setattr(s, "weight", w.get_tensor(name + ".weight")), setattr(s, "bias", w.get_tensor(name + ".bias")))
    def norm(s, name):
        s.gamma, s.beta = w.get_tensor(name + ".weight"), w.get_tensor(name + ".bias")
    emb = e.embeddings[0] if isinstance(e.embeddings, list) else e.embeddings
    emb.weight = w.get_tensor("encoder_frontend.embed.weight")
    e.scale_embeddings = True
    e.position_encodings.encodings = positions(514, config["model_dim"])
    norm(e.layer_norm, "layer_norm")
    for i, layer in enumerate(e.layer):
        p = f"encoder.layers.{i}."
        norm(layer.self_attention.layer_norm, p + "self_attn_layer_norm")
        for part in ("weight", "bias"):
            qkv = [w.get_tensor(p + f"self_attn.{k}_proj.{part}") for k in "qkv"]
            setattr(layer.self_attention.linear[0], part, np.concatenate(qkv))
        linear(layer.self_attention.linear[1], p + "self_attn.output_proj")
        norm(layer.ffn.layer_norm, p + "ffn_layer_norm")
        linear(layer.ffn.linear_0, p + "ffn.inner_proj")
        linear(layer.ffn.linear_1, p + "ffn.output_proj")
    spec.register_vocabulary([f"t{i}" for i in range(config["vocab_size"])])
    spec.config.unk_token = "t1"
    spec.validate()
    spec.optimize(quantization="int8")
    out = os.path.join(folder, "ct2")
    os.makedirs(out)
    spec.save(out)
    model = ctranslate2.Encoder(out, compute_type="int8", intra_threads=threads)
    return lambda ids: model.forward_batch(ids)


def ort_runner(config, w, folder, threads):
    import onnx, onnxruntime
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime.quantization import QuantType, quantize_dynamic

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
        o = op("MatMul", [op("Softmax", [s], p + "sm", axis=-1), v], p + "o")
        o = op("Reshape", [op("Transpose", [o], p + "ot", perm=[0, 2, 1, 3]), "merge"], p + "om")
        x = op("Add", [x, linear(o, p + "self_attn.output_proj")], p + "x")
        y = op("Relu", [linear(norm(x, p + "ffn_layer_norm"), p + "ffn.inner_proj")], p + "relu")
        x = op("Add", [x, linear(y, p + "ffn.output_proj")], p + "x2")
    op("ReduceMean", [norm(x, "layer_norm"), const("axis", np.array([1], "i8"))], "out", keepdims=0)
    ins = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "t"]), helper.make_tensor_value_info("at", TensorProto.INT64, ["t"])]
    graph = helper.make_graph(nodes, "encoder", ins, [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", d])], inits)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    plain, small = os.path.join(folder, "f32.onnx"), os.path.join(folder, "int8.onnx")
    onnx.save(model, plain, save_as_external_data=True)
    quantize_dynamic(plain, small, weight_type=QuantType.QInt8, per_channel=True, use_external_data_format=True,
                     op_types_to_quantize=["MatMul"])
    o = onnxruntime.SessionOptions()
    o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
    o.add_session_config_entry("session.intra_op.allow_spinning", "0" if threads == 1 else "1")
    session = onnxruntime.InferenceSession(small, o, ["CPUExecutionProvider"])
    return lambda ids: session.run(None, {"ids": np.array(ids, "i8"), "at": np.arange(len(ids[0]), dtype="i8")})


def main():
    path, kind, n, tokens = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    threads = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    runs = int(sys.argv[6]) if len(sys.argv) > 6 else 5
    clock = time.process_time if threads == 1 else time.perf_counter
    config, w = load(path)
    folder = tempfile.mkdtemp()
    try:
        run = {"ct2": ct2_runner, "ort": ort_runner}[kind](config, w, folder, threads)
        ids, times = token_ids(n, tokens, config["vocab_size"]), []
        for i in range(runs + 1):
            t = clock()
            run(ids)
            times.append(clock() - t)
        times = sorted(times[1:])
        print(f"{kind} encode {n}x{tokens} threads {threads}  best {n / times[0]:.2f} median {n / times[len(times) // 2]:.2f} sentences/s")
    finally:
        shutil.rmtree(folder)


main()

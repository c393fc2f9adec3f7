#!/bin/bash
# The token-level baseline from text to text: a run that learns three documents by heart, interrupted and resumed;
# gradients in f64; generation, self-test, export, and Hugging Face's folder there and back.
set -eu
lcm=$1/lcm
f64=$1/lcm-f64
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
fail() { echo "FAILED: $*" >&2; exit 1; }
refuses() { # CODE MESSAGE ARGS…
    local want=$1 says=$2 got=0
    shift 2
    "$lcm" "$@" >log 2>&1 </dev/null || got=$?
    [ $got = "$want" ] && grep -qF -e "$says" log || fail "lcm $* exits $got, not $want: $(cat log)"
}

awk 'BEGIN { srand(7)
    split("Tom Anna Ben Lily Sam Mia", who); split("dog cat bird fish frog duck", pet); split("red blue green big small old", how)
    for (i = 0; i < 120; i++) {
        w = who[1 + int(rand() * 6)]; p = pet[1 + int(rand() * 6)]; h = how[1 + int(rand() * 6)]
        printf "%s had a %s %s. They went to the park. The %s ran away. \"Come back!\" said %s. They were happy.\n", w, h, p, p, w
    } }' >many.txt
cat >few.txt <<'END'
Tom had a red dog. They went to the park. The dog ran away. "Come back!" said Tom. They were happy.
Anna had a small fish. They went to the park. The fish ran away. "Come back!" said Anna. They were happy.
Mia had an old duck. They went to the park. The duck ran away. "Come back!" said Mia. They were happy.
END
"$lcm" tokenizer train -q -o t.model --vocab 300 many.txt
cat >llama.json <<'END'
{"kind": "llama", "tokenizer": "t.model", "data": ["few.txt"], "valid": ["few.txt"],
 "model": {"vocab_size": 301, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
           "num_key_value_heads": 2, "max_position_embeddings": 128},
 "task": {"batch_tokens": 256},
 "train": {"run": "a", "seed": 3, "validate_every": 150, "checkpoint_every": 50,
           "adamw": {"weight_decay": 0}, "lr": {"lr": 1e-2, "warmup_steps": 10, "max_steps": 150, "final_lr": 1e-3}}}
END
"$lcm" train -t 1 -q llama.json || fail "train"
M=a/step_00000150/model.safetensors
tail -1 a/metrics.jsonl | awk -F'"valid_xent":' '{ exit !($2 + 0 > 0 && $2 + 0 < 0.03) }' ||
    fail "three documents not learnt by heart: $(tail -1 a/metrics.jsonl)"
# what cannot be known is only which of the three it is: ln 3 per document of 78 tokens, 0.014 nats per token
"$lcm" train -t 1 -q -s train.run=b -s train.lr.max_steps=150 llama.json & pid=$!
sleep 0.4; kill -9 $pid 2>/dev/null || true; wait $pid 2>/dev/null || true
"$lcm" train -t 1 -q -s train.run=b llama.json || fail "resume"
"$lcm" export -q $M -o a.safetensors --dtype f32 && "$lcm" export -q b/step_00000150/model.safetensors -o b.safetensors --dtype f32
tensors() { tail -c +$(($(od -An -tu8 -N8 "$1") + 9)) "$1"; }
cmp <(tensors a.safetensors) <(tensors b.safetensors) || fail "a resumed run differs from an uninterrupted one"
"$f64" train -q --check-grad 1 -s task.window=16 llama.json >log || { cat log; fail "gradients"; }
refuses 1 "task.window 512 exceeds" train -q -s task.window=512 -s train.run=c llama.json

# ---- Generation: what was learnt, sentence by sentence ----
"$lcm" generate -t 1 -m $M "Anna had a small" >out || fail generate
printf '%s\n' 'fish.' 'They went to the park.' 'The fish ran away.' '"Come back!" said Anna.' 'They were happy.' | diff - out ||
    fail "not the text that was learnt"
"$lcm" generate -t 1 -m $M -n 2 "Anna had a small" | diff - <(head -2 out) || fail "two sentences"
"$lcm" generate -t 1 -m $M --temperature 2 --top-k 1 "Anna had a small" | diff - out || fail "top-k 1 is not greedy"
"$lcm" generate -t 1 -m $M --temperature 3 -s 1 "Tom" >one; "$lcm" generate -t 1 -m $M --temperature 3 -s 1 "Tom" | diff - one ||
    fail "same seed, other text"
"$lcm" generate -t 1 -m $M --temperature 3 -s 2 "Tom" | cmp -s - one && fail "another seed, the same text"
"$lcm" generate -t 1 -m $M --json "Mia had" >json || fail "generate --json"
grep -q '"end": "end_of_text"' json && grep -Eq '"prompt_tokens": [1-9]' json && grep -q '"denoise": null' json || fail "$(cat json)"
refuses 1 "the model reads 128" generate -m $M "$(for _ in $(seq 200); do printf 'Tom '; done)"
mkdir bundle && cp $M bundle/llama.safetensors
echo '{"format": 1, "llama": "llama.safetensors", "generate": {"concepts": 3, "temperature": 0, "top_p": 0.9}}' >bundle/bundle.json
"$lcm" generate -t 1 -m bundle "Anna had a small" | diff - <(head -3 out) || fail "bundle"
"$lcm" info bundle | grep -q "lcm.kind: llama" || fail "info"
refuses 1 "no concepts to encode" encode -m bundle
echo "Tom had a red dog." | "$lcm" tokenizer encode -m bundle >ids && "$lcm" tokenizer decode -m bundle ids | grep -qx "Tom had a red dog." ||
    fail "tokenizer of a llama"

# ---- Files ----
"$lcm" export -q --selftest --dtype f16 $M -o half.safetensors && "$lcm" selftest half.safetensors >log || fail "selftest: $(cat log)"
"$lcm" export -q --to hf $M -o hf || fail "export --to hf"
"$lcm" convert -q hf -o back.safetensors || fail convert
cmp <(tensors back.safetensors) <(tensors $M) || fail "there and back"
"$lcm" train -q -t 1 -s init=back.safetensors -s train.run=d -s train.lr.max_steps=12 llama.json || fail init
refuses 1 "no place for a sample" export --to hf --selftest $M -o hf2
for edit in 's/"silu"/"gelu"/' 's/"attention_bias": false/"attention_bias": true/' 's/"rope_scaling": null/"rope_scaling": {"factor": 2}/' \
    's/"num_hidden_layers": 2/"num_hidden_layers": 3/' 's/"num_hidden_layers": 2/"num_hidden_layers": 1/' \
    's/"vocab_size": 301/"vocab_size": 4000000/' 's/"vocab_size": 301/"vocab_size": -1/' 's/"hidden_size": 32/"hidden_size": "32"/' \
    's/"model_type": "llama"/"model_type": "mistral"/' 's/{/[/'; do
    rm -rf bad && cp -r hf bad && sed "$edit" hf/config.json >bad/config.json
    cmp -s hf/config.json bad/config.json && fail "no such line: $edit"
    "$lcm" convert -q bad -o bad.safetensors 2>log && fail "accepted: $edit"
    [ -e bad.safetensors ] && fail "a file was left: $edit"
done
rm -rf bad && cp -r hf bad && rm bad/tokenizer.model && refuses 1 "tokenizer.model" convert bad -o bad.safetensors
echo "ok"

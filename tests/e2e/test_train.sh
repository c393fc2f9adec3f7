#!/bin/bash
# From text to text on a text that this script makes up: tokeniser, autoencoder, store, two-tower, bundle, story.
# A run killed in the middle and resumed ends with the bytes of an uninterrupted one; gradients are checked in f64.
set -eu
lcm=$1/lcm
f64=$1/lcm-f64
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
fail() { echo "FAILED: $*" >&2; exit 1; }
# All bytes of a model file but the seconds that training took, with the blanks that fill up the header.
model_bytes() {
    local n
    n=$(od -An -tu8 -N8 "$1")
    head -c $((n + 8)) "$1" | tail -c +9 | sed 's/"seconds\\":[0-9.e+-]*//; s/ *$//'
    tail -c +$((n + 9)) "$1"
}
same_model() { cmp <(model_bytes "$1") <(model_bytes "$2"); }

awk 'BEGIN { srand(7)
    split("Tom Anna Ben Lily Sam Mia", who); split("dog cat bird fish frog duck", pet)
    split("red blue green big small old", how); split("park house garden forest lake school", where)
    for (i = 0; i < 160; i++) {
        w = who[1 + int(rand() * 6)]; p = pet[1 + int(rand() * 6)]; h = how[1 + int(rand() * 6)]; l = where[1 + int(rand() * 6)]
        printf "%s had a %s %s. They went to the %s. The %s ran away. %s was sad. Then %s found the %s. They were happy.\n", w, h, p, l, p, w, w, p
    } }' > train.txt
head -20 train.txt > valid.txt

"$lcm" tokenizer train -o t.model --vocab 300 train.txt 2> log || { cat log; fail "tokenizer train"; }

cat > sonar.json <<'JSON'
{"kind": "sonar", "tokenizer": "t.model", "data": ["train.txt"], "valid": ["valid.txt"],
 "model": {"model_dim": 32, "encoder_layers": 1, "decoder_layers": 1, "attn_heads": 2, "ffn_inner_dim": 64,
           "vocab_size": 304, "max_seq_len": 64, "dropout": 0.1},
 "task": {"batch_tokens": 256, "window": 64, "max_pieces": 60, "objective": {"token_noise_prob": 0.2, "latent_dropout": 0.05}},
 "train": {"run": "a", "seed": 3, "validate_every": 100, "checkpoint_every": 20, "ema_decay": 0.9,
           "lr": {"lr": 3e-3, "warmup_steps": 5, "max_steps": 300}}}
JSON
"$lcm" train -t 1 -q sonar.json || fail "train sonar"
[ "$(wc -l < a/metrics.jsonl)" = 300 ] || fail "metrics of $(wc -l < a/metrics.jsonl) steps"

# The same run, killed again and again wherever it happens to be, on the way to the same 300 steps.
tries=0
while :; do
    "$lcm" train -t 1 -q -s train.run=b sonar.json & pid=$!
    if [ $tries -lt 6 ]; then sleep "0.$((1 + tries))"; kill -9 $pid 2>/dev/null || true; fi
    if wait $pid 2>/dev/null; then break; fi
    tries=$((tries + 1))
    [ $tries -lt 40 ] || fail "no end after $tries restarts"
done
same_model a/step_00000300/model.safetensors b/step_00000300/model.safetensors || fail "a resumed run differs from an uninterrupted one"
"$lcm" info a/step_00000300/model.safetensors > log
grep -Eq '^training: 300 steps, [1-9][0-9]* tokens, [0-9.e+]+ FLOP, [0-9.e+-]+ s, seed 3$' log || fail "info: $(grep training log)"
[ "$(wc -l < b/metrics.jsonl)" = 300 ] || fail "the resumed log has $(wc -l < b/metrics.jsonl) lines"

# A second process in the same folder is refused, a folder of another model too.
"$lcm" train -t 1 -q -s model.model_dim=64 sonar.json 2> log && fail "a run of another model was overwritten"
grep -q "another model" log || fail "$(cat log)"

# Gradients of the real configuration, in double precision.
"$f64" train -q --check-grad 1 sonar.json > log || { cat log; fail "gradients of the autoencoder"; }

mkdir bundle
cp a/step_00000300/model.safetensors bundle/sonar.safetensors
"$lcm" prepare -q -m bundle/sonar.safetensors -o store train.txt || fail "prepare"
cat > tt.json <<'JSON'
{"kind": "two_tower", "sonar": "bundle/sonar.safetensors", "store": "store", "valid_store": "store",
 "model": {"sonar_embed_dim": 32, "max_seq_len": 64, "model_dim": 32, "trained_with_cf_guidance": true,
   "context_encoder": {"num_layers": 1, "num_attn_heads": 2, "ffn_inner_dim": 64, "dropout_p": 0.1},
   "denoiser": {"num_layers": 1, "num_attn_heads": 2, "ffn_inner_dim": 64, "dropout_p": 0.1, "timestep_embed_dim": 32},
   "noise_scheduler": {"train_steps": 20}},
 "criterion": {"cf_guidance_probability": 0.15}, "task": {"batch_concepts": 128, "max_len": 64},
 "train": {"run": "tt", "seed": 3, "validate_every": 0, "checkpoint_every": 10, "lr": {"lr": 2e-3, "warmup_steps": 5, "max_steps": 100}}}
JSON
"$lcm" train -t 1 -q tt.json || fail "train two_tower"
"$lcm" train -t 1 -q -s train.run=tt2 tt.json & pid=$!
sleep 0.2; kill -9 $pid 2>/dev/null || true; wait $pid 2>/dev/null || true
"$lcm" train -t 1 -q -s train.run=tt2 tt.json || fail "resume two_tower"
same_model tt/step_00000100/model.safetensors tt2/step_00000100/model.safetensors || fail "a resumed two-tower differs"
# Through the decoder: the right sentences get likelier.
"$lcm" train -t 1 -q -s train.run=tt3 -s criterion.decoder.weight=3 -s criterion.decoder.share=0.5 -s train.validate_every=60 \
    -s train.lr.max_steps=60 tt.json || fail "train two_tower through the decoder"
awk -F'"xent_said":' 'NR <= 10 { a += $2 + 0 } NR > 50 { b += $2 + 0 } END { exit !(a > 0 && b < 0.95 * a) }' tt3/metrics.jsonl ||
    fail "the decoder says no better: $(tail -1 tt3/metrics.jsonl)"
grep -q '"valid_xent_said"' tt3/metrics.jsonl || fail "validation without xent_said"
"$lcm" train -t 1 -q -s train.run=tt4 -s sonar= -s end_of_text= -s criterion.decoder.weight=3 tt.json 2> log && fail "a decoder loss without a decoder"
grep -q "config.sonar: needed for criterion.decoder" log || fail "$(cat log)"
# The decoder itself, after such a model: predictions are said better, and the space stays to the bit.
"$lcm" train -t 1 -q -s train.run=dec -s init=tt3/step_00000060/model.safetensors -s train_decoder=true -s criterion.decoder.weight=1 \
    -s criterion.decoder.clean=0.5 -s train.lr.max_steps=60 tt.json || fail "train the decoder"
awk -F'"xent_said":' 'NR <= 10 { a += $2 + 0 } NR > 50 { b += $2 + 0 } END { exit !(a > 0 && b < 0.97 * a) }' dec/metrics.jsonl ||
    fail "the decoder learned nothing: $(tail -1 dec/metrics.jsonl)"
grep -q '"xent_clean"' dec/metrics.jsonl || fail "no xent_clean"
echo "Tom had a red dog." | "$lcm" encode -m bundle/sonar.safetensors > a.npy
echo "Tom had a red dog." | "$lcm" encode -m dec/step_00000060/model.safetensors > b.npy
cmp -s a.npy b.npy || fail "training the decoder moved the space"
same_model bundle/sonar.safetensors dec/step_00000060/model.safetensors && fail "the decoder is as it was"
"$lcm" train -t 1 -q -s train.run=dec2 -s train_decoder=true -s criterion.decoder.weight=1 tt.json 2> log && fail "a decoder without a model to follow"
grep -q "config.train_decoder: needs the model" log || fail "$(cat log)"
"$lcm" train -t 1 -q -s train.run=dec2 -s criterion.decoder.weight=1 -s criterion.decoder.clean=0.5 tt.json 2> log && fail "clean rows for a frozen decoder"
grep -q "criterion.decoder.clean: only with train_decoder" log || fail "$(cat log)"
"$f64" train -q --check-grad 1 -s init=tt3/step_00000060/model.safetensors -s train_decoder=true -s criterion.decoder.weight=1 \
    -s criterion.decoder.clean=0.5 tt.json > log || { cat log; fail "gradients of the decoder"; }
"$f64" train -q --check-grad 1 -s criterion.decoder.weight=3 tt.json > log || { cat log; fail "gradients through the decoder"; }
"$lcm" train -t 1 -q -s kind=base -s 'model={"sonar_embed_dim":32,"model_dim":32,"max_seq_len":64,"lcm":{"num_layers":1,"num_attn_heads":2,"ffn_inner_dim":64}}' \
    -s criterion.cf_guidance_probability=0 -s train.run=base tt.json || fail "train base"

cp tt/step_00000100/model.safetensors bundle/lcm.safetensors
echo '{"format": 1, "sonar": "sonar.safetensors", "lcm": "lcm.safetensors", "generate": {"steps": 5, "guidance_scale": 1.5}}' > bundle/bundle.json
"$lcm" generate -m bundle --concepts 3 --seed 1 "Tom had a red dog. They went to the park." > one || fail "generate"
"$lcm" generate -m bundle --concepts 3 --seed 1 "Tom had a red dog. They went to the park." > two
cmp one two || fail "same seed, different text"

# With a decoder of its own for what the model predicts: other words, the same vectors and the same way back from these.
mkdir spoken
cp bundle/sonar.safetensors bundle/lcm.safetensors spoken
"$lcm" export -q --part decoder dec/step_00000060/model.safetensors -o spoken/decoder.safetensors || fail "export a decoder"
"$lcm" info spoken/decoder.safetensors | grep -q "encoder\.layers" && fail "a decoder with an encoder"
sed 's/"lcm": "lcm.safetensors",/& "decoder": "decoder.safetensors",/' bundle/bundle.json > spoken/bundle.json
for seed in 1 2 3 4; do
    "$lcm" generate -m bundle --concepts 4 --seed $seed "Tom had a red dog. They went to the park."
    "$lcm" generate -m spoken --concepts 4 --seed $seed "Tom had a red dog. They went to the park." >&3
done > one 3> two || fail "generate with a decoder of its own"
cmp -s one two && fail "the decoder of its own says the same"
head -8 train.txt | sed 's/\. /.\n/g' | "$lcm" encode -m bundle > x.npy
"$lcm" decode -m bundle x.npy > one
"$lcm" decode -m spoken x.npy > two
cmp one two || fail "vectors of sentences went to the wrong decoder"
"$lcm" eval stories -q -m bundle -n 5 --concepts 3 valid.txt > one || fail "eval stories"
"$lcm" eval stories -q -m spoken -n 5 --concepts 3 valid.txt > two || fail "eval stories with a decoder of its own"
cmp -s one two && fail "eval stories does not know the decoder"
"$lcm" info spoken | grep -q "spoken/decoder.safetensors" || fail "info leaves the decoder out"
"$lcm" export -q --part decoder --selftest dec/step_00000060/model.safetensors -o y 2> log && fail "a self-test of half a model"
grep -q "needs encoder and decoder" log || fail "$(cat log)"
"$lcm" export -q --part decoder tt/step_00000100/model.safetensors -o y 2> log && fail "a part of a concept model"
grep -q "parts are those of SONAR models" log || fail "$(cat log)"
"$lcm" export -q --part decoder b/step_00000280/model.safetensors -o spoken/decoder.safetensors
"$lcm" generate -m spoken "Tom had a red dog." 2> log && fail "a decoder of another space was accepted"
grep -q "decoder.safetensors" log || fail "$(cat log)"
echo '{"format": 1, "sonar": "sonar.safetensors", "decoder": "decoder.safetensors"}' > spoken/bundle.json
"$lcm" encode -m spoken < /dev/null 2> log && fail "a decoder for nobody"
grep -q "'decoder' needs an 'lcm'" log || fail "$(cat log)"

# Instruction tuning from that model: a run killed and resumed ends with the same bytes, the model's file knows the
# sentences around its pairs, and a store without pairs is refused.
awk '{ n = split($0, s, /\. /); printf "{\"source\": [\"%s.\", \"%s.\", \"%s.\"], \"target\": \"%s. They were happy.\"}\n", s[1], s[2], s[3], s[5] }' train.txt > pairs.jsonl
echo '{"source": "Nothing to say."}' >> pairs.jsonl
"$lcm" prepare -m bundle/sonar.safetensors -o pairs --source-key source --key target pairs.jsonl 2> log || { cat log; fail "prepare pairs"; }
grep -q "1 JSON objects without a text" log || fail "$(cat log)"
cat > sft.json <<'JSON'
{"kind": "two_tower", "sonar": "bundle/sonar.safetensors", "store": "pairs", "valid_store": "pairs", "init": "tt/step_00000100/model.safetensors",
 "prompt": {"source_suffix": "They went to the house."}, "end_of_text": "They were sad.", "criterion": {"cf_guidance_probability": 0.15},
 "task": {"supervised": true, "batch_concepts": 128, "max_len": 64},
 "train": {"run": "sft", "seed": 3, "validate_every": 20, "checkpoint_every": 10, "lr": {"lr": 2e-3, "warmup_steps": 5, "max_steps": 40}}}
JSON
"$lcm" train -t 1 -q sft.json || fail "train supervised"
"$lcm" train -t 1 -q -s train.run=sft2 sft.json & pid=$!
sleep 0.2; kill -9 $pid 2>/dev/null || true; wait $pid 2>/dev/null || true
"$lcm" train -t 1 -q -s train.run=sft2 sft.json || fail "resume supervised"
same_model sft/step_00000040/model.safetensors sft2/step_00000040/model.safetensors || fail "a resumed supervised run differs"
"$f64" train -q --check-grad 1 -s criterion.cf_guidance_probability=0.15 sft.json > log || { cat log; fail "gradients of a supervised run"; }
"$lcm" train -q -s store=store -s train.run=x sft.json 2> log && fail "a store without pairs was accepted"
grep -q "needs a store of pairs" log || fail "$(cat log)"
"$lcm" train -q -s task.supervised=false -s train.run=x sft.json 2> log && fail "a prompt without supervision was accepted"
grep -q "config.prompt: only with task.supervised" log || fail "$(cat log)"
"$lcm" train -q -s task.max_len=5 -s train.run=x sft.json 2> log && fail "pairs beyond the window were accepted"
grep -q "no pair of 2 to 5 concepts" log || fail "$(cat log)"
"$lcm" train -q -s kind=base -s criterion.cf_guidance_probability=0 -s train.run=x sft.json 2> log && fail "a model of another kind was accepted"
grep -q "holds a model of kind 'two_tower'" log || fail "$(cat log)"
# Concepts weighed by their fragility: refused before it was measured, and another model after.
"$lcm" train -q -s criterion.fragility.use=true -s train.run=weighted sft.json 2> log && fail "weights from nowhere"
grep -q "lcm eval fragility --write" log || fail "$(cat log)"
"$lcm" eval fragility -q --store pairs --sonar bundle/sonar.safetensors --lcm tt/step_00000100/model.safetensors --noise 0.3 --write > log || fail "fragility"
grep -q "concepts: 800" log || fail "$(cat log)"
"$lcm" train -t 1 -q -s criterion.fragility.use=true -s train.run=weighted sft.json || fail "train with weights"
same_model sft/step_00000040/model.safetensors weighted/step_00000040/model.safetensors > log && fail "weights change nothing"
mkdir answers
cp bundle/sonar.safetensors bundle/bundle.json answers
cp sft/step_00000040/model.safetensors answers/lcm.safetensors
"$lcm" info answers | grep -q '"source_suffix":"They went to the house."' || fail "the model's file does not know its prompt"
"$lcm" generate -m answers --concepts 3 --seed 1 --json "Tom had a red dog. They went to the park." > log || fail "generate an answer"
grep -q '"prompt_concepts": 3' log || fail "no sentence around the prompt: $(cat log)"

# A concept model of another space is refused with both spaces named.
cp b/step_00000280/model.safetensors bundle/sonar.safetensors
"$lcm" generate -m bundle "Tom had a red dog." 2> log && fail "a model of another space was accepted"
[ "$(wc -l < log)" = 1 ] || fail "$(cat log)"
echo "1 passed, 0 failed"

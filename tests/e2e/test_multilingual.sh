#!/bin/bash
# Parallel text to a bilingual autoencoder: train, interrupt and resume, translate both ways, search.
set -eu
lcm=$1/lcm f64=$1/lcm-f64
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
fail() { echo "FAIL: $*"; exit 1; }

# Two languages that differ in every word and in the order of adjective and noun.
awk 'BEGIN { split("tom anna ben lily", who); split("dog cat bird fish", pet); split("red blue big small", how)
    split("chien chat oiseau poisson", animal); split("rouge bleu grand petit", trait)
    for (i = 1; i <= 4; i++) for (j = 1; j <= 4; j++) for (k = 1; k <= 4; k++) {
        en = who[i] " has a " how[k] " " pet[j]; fr = who[i] " tient un " animal[j] " " trait[k]
        print en > "en.txt"; print fr > "fr.txt"
        printf "{\"src\": \"%s\", \"src_lang\": \"en\", \"tgt\": \"%s\", \"tgt_lang\": \"fra_Latn\"}\n", en, fr > "pairs.jsonl"
        printf "{\"src\": \"%s\", \"src_lang\": \"fra_Latn\", \"tgt\": \"%s\", \"tgt_lang\": \"eng_Latn\"}\n", fr, en > "pairs.jsonl"
    } }'
cat en.txt fr.txt > all.txt
"$lcm" tokenizer train -q -o t.model --vocab 296 all.txt
cat > multi.json <<'JSON'
{"kind": "sonar", "tokenizer": "t.model", "langs": "eng_Latn fra_Latn", "parallel": true, "data": ["pairs.jsonl"], "valid": "pairs.jsonl",
 "model": {"model_dim": 32, "encoder_layers": 1, "decoder_layers": 1, "attn_heads": 2, "ffn_inner_dim": 64, "vocab_size": 300,
           "max_seq_len": 48},
 "task": {"batch_tokens": 500, "max_pieces": 40,
          "objective": {"mse_weight": 0.1, "denoise_weight": 0.01, "latent_noise_prob": 0}},
 "train": {"run": "a", "seed": 3, "validate_every": 350, "checkpoint_every": 50, "lr": {"lr": 5e-3, "warmup_steps": 10, "max_steps": 700}}}
JSON
"$f64" train -q --check-grad 1 -s task.objective.denoise_weight=0.5 -s task.objective.token_noise_prob=0.5 multi.json > log || { cat log; fail "gradients"; }

# Stopped on the way and resumed, a run writes the same bits.
"$lcm" train -t 1 -q multi.json || fail "train"
"$lcm" train -t 1 -q -s train.run=b multi.json & pid=$!
until [ -e b/step_00000050 ] || ! kill -0 $pid 2>/dev/null; do sleep 0.05; done
kill -9 $pid 2>/dev/null || true; wait $pid 2>/dev/null || true
"$lcm" train -t 1 -q -s train.run=b multi.json || fail "resume"
a=a/step_00000700/model.safetensors b=b/step_00000700/model.safetensors
"$lcm" encode -m $a en.txt > a.npy; "$lcm" encode -m $b en.txt > b.npy
cmp a.npy b.npy || fail "a resumed run differs from an uninterrupted one"
grep -q '"mse"' a/metrics.jsonl || fail "no mse in the log"
grep -q '"valid_mse"' a/metrics.jsonl || fail "no mse of the validation in the log"

# What was learnt: translations both ways, far from chance (one of 64), and one space.
accuracy() { paste "$1" "$2" | awk -F'\t' '{ n += $1 == $2 } END { print n }'; }
"$lcm" translate -q -m $a --from en --to fr en.txt > fr.out; "$lcm" translate -q -m $a --from fr --to en fr.txt > en.out
[ "$(accuracy fr.txt fr.out)" -ge 44 ] || { paste fr.txt fr.out | head -5; fail "$(accuracy fr.txt fr.out) of 64 sentences into French"; }
[ "$(accuracy en.txt en.out)" -ge 44 ] || { paste en.txt en.out | head -5; fail "$(accuracy en.txt en.out) of 64 sentences into English"; }
"$lcm" eval xsim -q --sonar $a --source en.txt --target fr.txt --source-lang en --target-lang fr > xsim
awk -F ' *[|] *' '/source to target|target to source/ { n++; if ($6 > 16) bad = 1 } END { exit !(n == 2 && !bad) }' xsim || { cat xsim; fail "search"; }

# Hostile pairs are counted or refused by name.
printf '{"src": "tom", "tgt": "tom", "src_lang": "en"}\n{\n{"src": "a", "src_lang": "en", "tgt": "b", "tgt_lang": "xx_Xxxx"}\n' > bad.jsonl
"$lcm" train -q -s train.run=c -s data='["bad.jsonl"]' multi.json 2> log && fail "an unknown language was trained on"
grep -q "bad.jsonl:3: .*xx_Xxxx" log || fail "$(cat log)"
"$lcm" train -q -s train.run=c -s langs='""' multi.json 2> log && fail "pairs without languages were trained on"
grep -q "languages" log || fail "$(cat log)"

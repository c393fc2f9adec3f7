#!/bin/bash
# Parallel text to a bilingual autoencoder: train, interrupt and resume, translate both ways, search, distil.
set -eu
lcm=$1/lcm f64=$1/lcm-f64
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
fail() { echo "FAIL: $*"; exit 1; }
# Under sanitizers training is fifty times slower: the same way with fewer steps, and nothing is asked of what was learnt.
steps=700 student_steps=400 learns=yes
[ -z "${ASAN_OPTIONS:-}" ] || steps=100 student_steps=150 learns=

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
cat > multi.json <<JSON
{"kind": "sonar", "tokenizer": "t.model", "langs": "eng_Latn fra_Latn", "parallel": true, "data": ["pairs.jsonl"], "valid": "pairs.jsonl",
 "model": {"model_dim": 32, "encoder_layers": 1, "decoder_layers": 1, "attn_heads": 2, "ffn_inner_dim": 64, "vocab_size": 300,
           "max_seq_len": 48},
 "task": {"batch_tokens": 500, "max_pieces": 40,
          "objective": {"mse_weight": 0.1, "denoise_weight": 0.01, "latent_noise_prob": 0}},
 "train": {"run": "a", "seed": 3, "validate_every": 50, "checkpoint_every": 50, "lr": {"lr": 5e-3, "warmup_steps": 10, "max_steps": $steps}}}
JSON
"$f64" train -q --check-grad 1 -s task.objective.denoise_weight=0.5 -s task.objective.token_noise_prob=0.5 multi.json > log || { cat log; fail "gradients"; }

# interrupted CONFIG RUN STEP: trains in folder RUN, is killed behind STEP and goes on.
interrupted() {
    "$lcm" train -t 1 -q -s train.run="$2" "$1" & pid=$!
    until [ -e "$2/$3" ] || ! kill -0 $pid 2>/dev/null; do sleep 0.05; done
    kill -9 $pid 2>/dev/null || true; wait $pid 2>/dev/null || true
    "$lcm" train -t 1 -q -s train.run="$2" "$1" || fail "resume of $1"
}

# Stopped on the way and resumed, a run writes the same bits.
"$lcm" train -t 1 -q multi.json || fail "train"
interrupted multi.json b step_00000050
a=a/$(cat a/latest)/model.safetensors b=b/$(cat b/latest)/model.safetensors
"$lcm" encode -m $a en.txt > a.npy; "$lcm" encode -m $b en.txt > b.npy
cmp a.npy b.npy || fail "a resumed run differs from an uninterrupted one"
grep -q '"mse"' a/metrics.jsonl || fail "no mse in the log"
grep -q '"valid_mse"' a/metrics.jsonl || fail "no mse of the validation in the log"

# What was learnt: translations both ways, far from chance (one of 64), and one space.
accuracy() { paste "$1" "$2" | awk -F'\t' -v learns="$learns" '{ n += $1 == $2 } END { print learns ? n : NR }'; }
"$lcm" translate -q -m $a --from en --to fr en.txt > fr.out; "$lcm" translate -q -m $a --from fr --to en fr.txt > en.out
[ "$(accuracy fr.txt fr.out)" -ge 44 ] || { paste fr.txt fr.out | head -5; fail "$(accuracy fr.txt fr.out) of 64 sentences into French"; }
[ "$(accuracy en.txt en.out)" -ge 44 ] || { paste en.txt en.out | head -5; fail "$(accuracy en.txt en.out) of 64 sentences into English"; }
"$lcm" eval xsim -q --sonar $a --source en.txt --target fr.txt --source-lang en --target-lang fr > xsim
awk -F ' *[|] *' -v learns="$learns" '/source to target|target to source/ { n++; if (learns && $6 > 16) bad = 1 } END { exit !(n == 2 && !bad) }' xsim || { cat xsim; fail "search"; }


# Evaluations speak the languages they are told: of its own translations the model's are all exact.
exact() { awk -F ' *[|] *' '/translated .* source to target/ { print $5 }' report; }
cp fr.out said.txt
"$lcm" eval translate -q --sonar $a --source en.txt --target said.txt --source-lang en --target-lang fr > report
[ "$(exact)" = 1 ] || { cat report; fail "translations differ from themselves"; }
"$lcm" eval translate -q --sonar $a --source fr.txt --target fr.txt --source-lang fr --target-lang fr > report
said=$(exact)
[ -z "$learns" ] || awk -v said="$said" 'BEGIN { exit !(said > 0) }' || { cat report; fail "no French sentence is given back"; }
"$lcm" eval reconstruct -q --sonar $a --presegmented --likeliest --beam 5 --lang fr fr.txt > report
awk -F ' *[|] *' -v said="$said" '$2 == "0" { n++; if ($4 - said > 1e-4 || said - $4 > 1e-4) bad = 1 } END { exit !(n == 1 && !bad) }' report ||
    { cat report; fail "French given back in French: exact $said"; }

# A smaller encoder of the same space: its concepts are read by the teacher's decoder, and name the teacher's space.
cat > distill.json <<JSON
{"kind": "distill", "teacher": "$a", "parallel": true, "data": ["same.jsonl"], "valid": "same.jsonl",
 "model": {"encoder_layers": 1, "attn_heads": 1, "ffn_inner_dim": 32}, "task": {"batch_tokens": 500, "max_pieces": 40},
 "train": {"run": "d", "seed": 3, "validate_every": 200, "checkpoint_every": 100, "lr": {"lr": 5e-3, "warmup_steps": 10, "max_steps": $student_steps}}}
JSON
awk '{ printf "{\"src\": \"%s\", \"src_lang\": \"en\", \"tgt\": \"%s\", \"tgt_lang\": \"en\"}\n", $0, $0 }' en.txt > same.jsonl
"$f64" train -q --check-grad 1 distill.json > log || { cat log; fail "gradients of a student"; }
"$lcm" train -t 1 -q distill.json || fail "distill"
student=d/$(cat d/latest)/model.safetensors
space() { "$lcm" info "$1" | grep "^lcm.space"; }
[ -n "$(space $a)" ] && [ "$(space $a)" = "$(space $student)" ] || fail "spaces '$(space $a)' and '$(space $student)'"
"$lcm" encode -m $student --lang en en.txt > student.npy
interrupted distill.json e step_00000100
"$lcm" encode -m "e/$(cat e/latest)/model.safetensors" --lang en en.txt > e.npy
cmp student.npy e.npy || fail "a resumed distillation differs from an uninterrupted one"
"$lcm" encode -m $a --lang en en.txt > teacher.npy
"$lcm" decode -q -m $a --lang fr teacher.npy > teacher.out
"$lcm" decode -q -m $a --lang fr student.npy > student.out
[ "$(accuracy teacher.out student.out)" -ge 32 ] || { paste teacher.out student.out | head -5; fail "$(accuracy teacher.out student.out) of 64 sentences are said alike"; }
[ -z "$learns" ] || tail -1 d/metrics.jsonl | grep -q '"valid_relative_error":0\.0' || { tail -1 d/metrics.jsonl; fail "a student's error of 10 % and more"; }
"$lcm" decode -q -m $student student.npy 2> log && fail "an encoder alone was asked to decode"
"$lcm" train -q -s train.run=c -s teacher=t.model distill.json 2> log && fail "a teacher that is no SONAR file"
"$lcm" train -q -s train.run=c -s model.attn_heads=5 distill.json 2> log && fail "five heads of 32 channels"
grep -q "heads" log || fail "$(cat log)"

# Hostile pairs are counted or refused by name.
printf '{"src": "tom", "tgt": "tom", "src_lang": "en"}\n{\n{"src": "a", "src_lang": "en", "tgt": "b", "tgt_lang": "xx_Xxxx"}\n' > bad.jsonl
"$lcm" train -q -s train.run=c -s data='["bad.jsonl"]' multi.json 2> log && fail "an unknown language was trained on"
grep -q "bad.jsonl:3: .*xx_Xxxx" log || fail "$(cat log)"
"$lcm" train -q -s train.run=c -s langs='""' multi.json 2> log && fail "pairs without languages were trained on"
grep -q "languages" log || fail "$(cat log)"

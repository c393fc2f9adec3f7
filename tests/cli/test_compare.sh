#!/bin/bash
# script/compare on a toy world: trains, evaluates, reports; a second call repeats nothing.
set -u
lcm=$1/lcm
here=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
[ "${KEEP:-}" ] || trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
fail() { echo "FAIL: $*"; head -c 3000 err; exit 1; }

awk 'BEGIN {
    split("Tom Anna Ben Mia", who, " "); split("cat dog bird", pet, " "); split("park house river", place, " ")
    for (d = 0; d < 72; d++) {
        a = who[d % 4 + 1]; p = pet[int(d / 4) % 3 + 1]; l = place[int(d / 12) % 3 + 1]
        printf "%s had a %s. They went to the %s. The %s saw %s. They were happy. It was the end.\n", a, p, l, p, who[(d + 1) % 4 + 1]
    }
}' >train.txt
head -4 train.txt >valid.txt
printf '{"context": ["Tom had a cat."], "right": "They were happy.", "wrong": "It was the end."}\n' >cloze.jsonl
"$lcm" tokenizer train -q -o toy.model --vocab 300 train.txt || exit 1
cat >sonar.json <<'END'
{"kind": "sonar", "tokenizer": "toy.model", "data": ["train.txt"],
 "model": {"model_dim": 256, "encoder_layers": 1, "decoder_layers": 1, "attn_heads": 4, "ffn_inner_dim": 64, "vocab_size": 320, "max_seq_len": 24}, "task": {"max_pieces": 16, "batch_tokens": 256},
 "train": {"run": "sonar", "lr": {"warmup_steps": 1, "max_steps": 2}}}
END
"$lcm" train -q sonar.json || exit 1
cp sonar/step_00000002/model.safetensors sonar.safetensors
cat >scorer.json <<'END'
{"kind": "llama", "tokenizer": "toy.model", "data": ["train.txt"],
 "model": {"vocab_size": 300, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
 "train": {"run": "scorer", "lr": {"warmup_steps": 1, "max_steps": 2}}}
END
"$lcm" train -q scorer.json || exit 1

compare() {
    LCM=$lcm FLOPS=1e6 SEEDS="1 2" MODELS="base llama:1 quant_d:1" CLOZE=cloze.jsonl SCORER=scorer/step_00000002/model.safetensors DOCUMENTS=1 \
        COHERENCE_STEPS=11 LEAST_STEPS=1 PROBED_STEPS=1 TOKENS=80 THREADS=1 \
        "$here/script/compare" out sonar.safetensors toy.model train.txt -- valid.txt >report 2>err
}
compare || fail "exit code $?"
cmp -s report out/report.md || fail "what is printed is not the report"
for line in '| base | 2 |' '| quant_d | 1 |' '## story completion' '## Which differences are real: cloze' '| l2 | base | quant_d |' \
    '| accuracy | base | llama |' '| mi | base | quant_d |' '| mi | base | llama |' 'M + 1.049M fixed | '; do
    grep -qF -e "$line" report || fail "no '$line' in the report"
done
grep -qF '| base | base | 3.062M | ' report || fail "base has not the size that the others are to have"
grep -q '^| base | base | .* | 1, 2 |' report || fail "the two seeds of base are not one row"
[ "$(grep -c '^| base | [12] | 306[0-9]* | 1 |' report)" = 2 ] || fail "base was not trained twice, 1 step each"
grep -qF '</html>' out/report.html || fail "no page"
sum=$(cksum out/runs/*/metrics.jsonl out/eval/*/*/results.json)
compare || fail "a second call: exit code $?"
[ "$sum" = "$(cksum out/runs/*/metrics.jsonl out/eval/*/*/results.json)" ] || fail "a second call does it all again"
[ "$(wc -l <err)" = 0 ] || fail "a second call says something"
if FLOPS=2e6 LCM=$lcm "$here/script/compare" out sonar.safetensors toy.model train.txt -- valid.txt >report 2>err; then fail "another budget is taken"; fi
grep -qF "begun with FLOPS '1e6'" err || fail "not told why"

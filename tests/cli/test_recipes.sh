#!/bin/bash
# examples/recipe: every configuration is one, and pairs to train on hold nothing of what is held out.
set -u
lcm=$1/lcm recipes=$2/examples/recipe
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
failures=0
fail() { echo "FAIL: $*"; failures=$((failures + 1)); }

for file in "$recipes"/*.json; do
    case "${file##*/}" in bundle*) continue ;; esac
    "$lcm" train --show-config "$file" >out 2>err || { fail "$file"; cat err; }
done

# ---- tatoeba_pairs.sh: English sentences 1 to 40; the tenth, twentieth, … are held out ----
awk 'BEGIN {
    for (i = 1; i <= 40; i++) printf "{\"lang\": \"deu\", \"xx\": \"Satz %d\", \"en\": \"No. %d\"}\n", i, i
    for (i = 1; i <= 40; i++) printf "{\"lang\": \"nld\", \"xx\": \"zin %d\", \"en\": \"no %d!\"}\n", i, i # another case and mark
    for (i = 1; i <= 40; i++) printf "{\"lang\": \"rus\", \"xx\": \"r %d\", \"en\": \"other %d\"}\n", i, i # not asked for
    printf "{\"lang\": \"deu\", \"xx\": \"Satz 10\", \"en\": \"shares its German with a held-out one\"}\n"
    printf "{\"lang\": \"deu\", \"xx\": \"sagt \\\"ja\\\"\", \"en\": \"says \\\"yes\\\", \\u00e9\"}\n" }' | zstd -q >tatoeba.jsonl.zst
"$recipes/tatoeba_pairs.sh" tatoeba.jsonl.zst out.d deu nld || fail "tatoeba_pairs.sh"
cd out.d || exit 1
lines() { [ "$(wc -l <"$1")" = "$2" ] || { fail "$1 has $(wc -l <"$1") lines, not $2"; cat "$1"; }; }
lines test/deu.jsonl 4; lines test/nld.jsonl 4; lines valid.jsonl 8
lines pairs.jsonl 146 # 36 of 40 sentences in two languages and "ja", in both directions
for i in 10 20 30 40; do
    grep -qi "\"\(Satz\|zin\|No.\|no\) $i!\{0,1\}\"" pairs.jsonl english.jsonl && fail "sentence $i is trained on"
    grep -q "\"src\": \"zin $i\", \"src_lang\": \"nld_Latn\", \"tgt\": \"no $i!\"" valid.jsonl || fail "sentence $i is not held out"
done
grep -q rus ./*.jsonl && fail "a language that was not asked for"
grep -qF '{"src": "sagt \"ja\"", "src_lang": "deu_Latn", "tgt": "says \"yes\", \u00e9", "tgt_lang": "eng_Latn"}' pairs.jsonl || fail "escapes"
[ "$(grep -c '"other' english.jsonl)" = 4 ] || fail "$(grep -c '"other' english.jsonl) English sentences of other languages, not 4 of 36"
"$recipes/tatoeba_pairs.sh" >usage; [ $? = 2 ] || fail "no usage"
grep -q "held out" usage || fail "the usage says nothing"

[ $failures = 0 ] || exit 1

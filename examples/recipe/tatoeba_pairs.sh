#!/bin/sh
# Pairs of sentences for examples/recipe/multilingual.json: examples/recipe/tatoeba_pairs.sh PAIRS.jsonl.zst OUT LANG...
#
# PAIRS is LASER's Tatoeba test set as lines {"lang": "deu", "xx": "...", "en": "..."}; LANG are its codes, of languages in
# Latin letters. Written are
#
#   OUT/pairs.jsonl     both directions, to train on
#   OUT/english.jsonl   English sentences given back: those of the pairs, and every eighth of the other languages'
#   OUT/valid.jsonl     held-out pairs into English
#   OUT/test/LANG.jsonl the same as {"xx": "...", "en": "..."}, for lcm eval
#
# Every tenth English sentence is held out with all its translations; case and punctuation make no other sentence of it, and a
# translation that a held-out sentence shares with one to train on is not trained on.
set -eu
[ $# -ge 3 ] || { sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 2; }
pairs=$1 out=$2
shift 2
mkdir -p "$out/test"
# The lines are cut at their keys: within JSON strings no bare quote can stand. What is written is escaped as it was.
zstdcat "$pairs" | awk -v out="$out" -v langs="$*" '
function pair(file, s, sl, t, tl) {
    printf "{\"src\": \"%s\", \"src_lang\": \"%s_Latn\", \"tgt\": \"%s\", \"tgt_lang\": \"%s_Latn\"}\n", s, sl, t, tl > (out "/" file)
}
BEGIN { FS = "\", \"(xx|en)\": \""; n_langs = split(langs, list, " "); for (i = 1; i <= n_langs; i++) wanted[list[i]] }
{
    lang[NR] = substr($1, 11); xx[NR] = $2; en[NR] = $3; sub(/"}$/, "", en[NR])
    key = tolower(en[NR]); gsub(/[^a-z0-9]/, "", key)
    if (!(key in held)) held[key] = ++n_keys % 10 == 0
    test[NR] = held[key]
    if (test[NR]) test_xx[lang[NR], xx[NR]]
    else if (lang[NR] in wanted) paired[en[NR]]
}
END {
    for (i = 1; i <= NR; i++) {
        mine = lang[i] in wanted
        if (test[i]) {
            if (!mine) continue
            printf "{\"xx\": \"%s\", \"en\": \"%s\"}\n", xx[i], en[i] > (out "/test/" lang[i] ".jsonl")
            pair("valid.jsonl", xx[i], lang[i], en[i], "eng")
            continue
        }
        if (!(en[i] in seen) && ((en[i] in paired) || ++n_others % 8 == 0)) pair("english.jsonl", en[i], "eng", en[i], "eng")
        seen[en[i]]
        if (!mine || ((lang[i], xx[i]) in test_xx)) continue
        pair("pairs.jsonl", xx[i], lang[i], en[i], "eng")
        pair("pairs.jsonl", en[i], "eng", xx[i], lang[i])
    }
}'

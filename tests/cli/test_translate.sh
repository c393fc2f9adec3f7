#!/bin/bash
# Checkpoints of PyTorch to text: convert, list languages, encode, decode, translate, score, all on toy weights.
set -u
lcm=$1/lcm ckpt=$2/tests/data/golden/sonar/ckpt
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
failures=0
fail() { echo "FAIL: $*"; failures=$((failures + 1)); }
expect() { # CODE ARGS…
    local want=$1 got
    shift
    "$lcm" "$@" >out 2>err </dev/null
    got=$?
    [ $got = "$want" ] || { fail "lcm $* exits $got, not $want"; head -c 2000 err; }
}
says() { grep -qF -e "$2" "$1" || { fail "no '$2' in $1:"; head -c 2000 "$1"; }; }
same() { cmp -s "$1" "$2" || { fail "$1 and $2 differ: $3"; head -5 "$1" "$2"; }; }

# ---- A SentencePiece model of eight pieces ----
piece() { # TEXT LENGTH TYPE: one field 1 of ModelProto
    local body=$((2 + $2 + 5 + ($3 == 1 ? 0 : 2)))
    printf "\\x0a\\x$(printf %02x $body)\\x0a\\x$(printf %02x "$2")$1\\x15\\x00\\x00\\xc0\\xbf"
    [ "$3" = 1 ] || printf "\\x18\\x0$3"
}
{ piece '<unk>' 5 2; piece '<s>' 3 3; piece '</s>' 4 3; piece '\xe2\x96\x81' 3 1; piece a 1 1; piece b 1 1; piece ab 2 1
  piece '\xe2\x96\x81a' 4 1; } >spm.model
echo "eng_Latn fra_Latn sat_Beng" >langs

# ---- convert ----
set -- --tokenizer spm.model --langs langs --set attn_heads=4 --set max_seq_len=14
expect 0 convert "$ckpt/toy_encoder_fs2_f16.pt" "$ckpt/toy_decoder_tied.pt" "$@" -o half.safetensors
says err "PyTorch (zip), key 'net', marked fs2, prefix 'module.' dropped"
expect 0 convert "$ckpt/toy_decoder_tied.pt" "$ckpt/toy_encoder_hf_M2M100Encoder.safetensors" "$@" -o sonar.safetensors
says err "names of fairseq or Hugging Face, encoder"; says err "3 languages"
expect 2 convert "$ckpt/toy_encoder.pt"; says err "--out is missing"
expect 3 convert spm.model -o x; [ -e x ] && fail "a failed conversion left a file"
expect 1 convert sonar.safetensors -o x; says err "already"
printf 'PK\3\4 no archive' >bad.pt
expect 3 convert bad.pt -o x; says err "'bad.pt': zip"
printf '\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02cos\nsystem\nX\x04\x00\x00\x00touch\x85R.' >evil.pt
expect 1 convert evil.pt -o x; says err "the global 'os.system' is not allowed"

# ---- languages ----
expect 0 info --list-langs sonar.safetensors
printf 'eng_Latn\ten\tEnglish\nfra_Latn\tfr\tFrench\nsat_Beng\t\tSantali\n' >want
same out want "list of languages"
printf 'a b\n\nab ab\n' >lines
expect 0 encode -m sonar.safetensors --lang eng_Latn lines; cp out eng.npy
expect 0 encode -m sonar.safetensors -l en-GB lines; same out eng.npy "an alias"
expect 0 encode -m sonar.safetensors lines; same out eng.npy "the default language"
expect 0 encode -m sonar.safetensors --lang fr lines; cmp -s out eng.npy && fail "the language does not change the vectors"
expect 1 encode -m sonar.safetensors --lang santali lines; says err "'sat_Beng' is Santali"
expect 0 encode -m sonar.safetensors --pooling mean lines; same out eng.npy "mean is the model's pooling"
for p in max last; do
    expect 0 encode -m sonar.safetensors --pooling $p lines
    cmp -s out eng.npy && fail "--pooling $p changes nothing"
done

# ---- translate: encode and decode in one ----
expect 0 decode -m sonar.safetensors --lang sat_Olck eng.npy; cp out sat
expect 0 decode -m sonar.safetensors --lang fra_Latn eng.npy; cp out fra
[ "$(wc -l <fra)" = 3 ] || fail "three vectors give $(wc -l <fra) lines"
expect 0 translate -m sonar.safetensors --from en --to fr lines; same out fra translate
printf 'eng_Latn\tfra_Latn\ta b\nen\tsat\t\nen\tsat\tab ab\n' >mixed.tsv
expect 0 translate -m sonar.safetensors --tsv mixed.tsv
{ sed -n 1p fra; sed -n 2,3p sat; } >want; same out want "a language per line"
expect 2 translate -m sonar.safetensors --from en lines; says err "--to"
expect 3 translate -m sonar.safetensors --tsv lines; says err "line 1:"
expect 1 translate -m sonar.safetensors --from en --to xx_Xxxx lines; says err "'xx_Xxxx' is unknown"

# ---- xsim ----
xsim="eval xsim --sonar sonar.safetensors --source left.txt"
printf 'a b\nab ab\n\nb\n' >left.txt; printf 'a b\nab ab\na\nb\n' >right.txt; printf 'b b b\n' >extra.txt
expect 0 $xsim --target right.txt --source-lang en --target-lang eng_Latn --extra extra.txt
says out "- skipped: 1"; says out "| xsim | target to source | 3 | 3 | 0 | 0 |"; says out "| xsim++ | source to target | 3 | 4 | 0 | 0 |"
expect 0 $xsim --target right.txt --margin distance -k 2 --json; says out '"margin": "distance"'
expect 3 $xsim --target extra.txt; says err "'left.txt' has 4 lines, 'extra.txt' has 1"
expect 2 $xsim; says err "--target"
expect 2 $xsim --target right.txt --margin cosine; expect 2 $xsim --target right.txt --k 0
expect 1 $xsim --target right.txt --target-lang deu_Latn; expect 1 $xsim --target .; says err "not a folder"

# ---- eval translate: the baselines know no model; what a model says is asked in tests/e2e/test_multilingual.sh ----
speak="eval translate --sonar sonar.safetensors --source long.txt --source-lang en --target-lang fr"
printf 'a b a b\nb b b b b\n\n' >long.txt
expect 0 $speak --target long.txt -b 2
says out "- skipped: 1"; says out "| left as it is | source to target | 2 | 1 | 100 | 100 |"; says out "| of the next line | target to source | 2 | 0 |"
expect 1 $speak --target langs; says err "must end in .txt or .jsonl"
expect 3 $speak --target extra.txt; expect 2 $speak; says err "--target"
expect 1 $speak --target long.txt --target-lang deu_Latn; says err "'deu_Latn' is unknown"
expect 1 eval reconstruct --sonar sonar.safetensors --presegmented --lang de right.txt; says err "'de' is unknown"

# ---- train: more languages than fit a short list, none is forgotten ----
printf '{"kind": "sonar", "tokenizer": "spm.model", "langs": "%s", "parallel": true, "model": {"vocab_size": 40}}' \
    "$(seq -s ' ' -f 'x%02g_Latn' 99)" >many.json
expect 3 train -q many.json; says err "the tokeniser's 108 ids"

# ---- score ----
printf 'a b\tab\n\ta\nab ab\tb b\n' >pairs.tsv
cut -f2 pairs.tsv >texts
expect 0 score -m sonar.safetensors --from en --to fr pairs.tsv; cp out scores
[ "$(wc -l <scores)" = 3 ] || fail "three pairs give $(wc -l <scores) scores"
awk -F'\t' '!($1 < 0 && $2 >= 2 && ($3 - $1 / $2) ^ 2 < 1e-8) { exit 1 }' scores || { fail "scores:"; cat scores; }
expect 0 score -m sonar.safetensors --to fr --vectors eng.npy texts; same out scores "--vectors"
head -2 texts >two
expect 1 score -m sonar.safetensors --vectors eng.npy two; says err "3 vectors for 2 texts"
expect 1 score -m sonar.safetensors --from en --to fr lines; says err "line 1: 2 texts"
expect 3 score -m sonar.safetensors --blaser sonar.safetensors pairs.tsv; says err "expected 'blaser'"


# ---- BLASER with a single hidden unit, all zero but the last bias, 3: it rates everything 3 ----
tensor() { printf '"mlp.%s":{"dtype":"F32","shape":[%s],"data_offsets":[%d,%d]}' "$1" "$2" "$3" "$4"; }
head="{$(tensor 1.weight 1,128 0 512),$(tensor 1.bias 1 512 516),$(tensor 4.weight 1,1 516 520),$(tensor 4.bias 1 520 524)"
head="$head,$(tensor 7.weight 1,1 524 528),$(tensor 7.bias 1 528 532)}"
{ printf "\\x$(printf %02x $((${#head} % 256)))\\x$(printf %02x $((${#head} / 256)))\\0\\0\\0\\0\\0\\0%s" "$head"
  head -c 528 /dev/zero; printf '\0\0\x40\x40'; } >foreign.safetensors
expect 1 convert foreign.safetensors -o blaser.safetensors; says err "space-of"
expect 0 convert foreign.safetensors --space-of sonar.safetensors -o blaser.safetensors; says err "BLASER 2.0 qe, vectors of 32 numbers"
expect 0 score -m sonar.safetensors --blaser blaser.safetensors --from en --to fr pairs.tsv
printf '3\n3\n3\n' >want; same out want "ratings"
expect 1 score -m half.safetensors --blaser blaser.safetensors pairs.tsv; says err "space"

[ $failures = 0 ] || exit 1

#!/bin/bash
# Files, texts and machines that mean harm: one line on standard error, the right exit code, nothing on standard
# output, no crash, no hang. Arrays and bundle.json are in test_commands.sh, headers byte by byte in test_safetensors.
set -u
lcm=$1/lcm
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
export LC_ALL=C
failures=0
fail() { echo "FAIL: $*"; failures=$((failures + 1)); }
run() { timeout 120 "$lcm" "$@" >out 2>err </dev/null; } # 120 s: a hang, not a slow machine
says() { grep -qF -e "$2" "$1" || { fail "$3: no '$2' in $1:"; head -c 1000 "$1"; }; }
one_line() { [ "$(wc -l <err)" = 1 ] || { fail "$1: $(wc -l <err) lines of error:"; head -c 1000 err; }; }
refuse() { # CODE MESSAGE ARGS…
    local want=$1 message=$2 got
    shift 2
    run "$@"
    got=$?
    [ $got = "$want" ] || { fail "lcm $*: exit code $got, not $want"; head -c 500 err; }
    if [ $want = 2 ]; then
        sed '$d' err >first; says err "--help'" "lcm $*"; mv first err # usage errors point to the help in a second line
    fi
    one_line "lcm $*"
    says err "$message" "lcm $*"
    [ ! -s out ] || fail "lcm $*: output of $(wc -c <out) bytes"
}
accept() { # ARGS…
    run "$@" || { fail "lcm $*: exit code $?"; head -c 500 err; }
}

# ---- A toy world, trained for two steps ----
awk 'BEGIN {
    split("Tom Anna Ben Mia", who, " "); split("cat dog bird", pet, " "); split("park house river", place, " ")
    for (d = 0; d < 72; d++)
        printf "%s had a red %s. They went to the %s. They were happy.\n", who[d % 4 + 1], pet[d % 3 + 1], place[int(d / 9) % 3 + 1]
}' >docs.txt
accept tokenizer train -q -o toy.model --vocab 290 docs.txt
cat >sonar.json <<'END'
{"kind": "sonar", "tokenizer": "toy.model", "data": ["docs.txt"],
 "model": {"model_dim": 32, "encoder_layers": 1, "decoder_layers": 1, "attn_heads": 2, "ffn_inner_dim": 64,
           "vocab_size": 320, "max_seq_len": 40},
 "task": {"batch_tokens": 512, "max_pieces": 36},
 "train": {"run": "run-sonar", "lr": {"lr": 1e-3, "warmup_steps": 1, "max_steps": 2}}}
END
cat >tower.json <<'END'
{"kind": "two_tower", "sonar": "bundle/sonar.safetensors", "store": "store",
 "criterion": {"cf_guidance_probability": 0.15}, "task": {"batch_concepts": 128, "max_len": 8},
 "model": {"sonar_embed_dim": 32, "max_seq_len": 12, "model_dim": 32, "trained_with_cf_guidance": true,
  "context_encoder": {"num_layers": 1, "num_attn_heads": 2, "ffn_inner_dim": 64},
  "denoiser": {"num_layers": 1, "num_attn_heads": 2, "ffn_inner_dim": 64, "timestep_embed_dim": 32}},
 "train": {"run": "run-tower", "lr": {"lr": 1e-3, "warmup_steps": 1, "max_steps": 2}}}
END
mkdir bundle
accept train -q sonar.json
cp run-sonar/step_*2/model.safetensors bundle/sonar.safetensors || exit 1
accept prepare -q -m bundle/sonar.safetensors -o store docs.txt
accept train -q tower.json
cp run-tower/step_*2/model.safetensors bundle/lcm.safetensors || exit 1
echo '{"format": 1, "sonar": "sonar.safetensors", "lcm": "lcm.safetensors"}' >bundle/bundle.json
S=bundle/sonar.safetensors C=bundle/lcm.safetensors
prompt="Tom had a red cat. They went to the park."
echo "Tom had a red cat." >line
accept generate -m bundle -n 1 "$prompt"
accept encode -m bundle line; cp out line.npy

# ---- Model files ----
header_length() { od -An -tu8 -N8 "$1" | tr -d ' '; }
number() { # N as eight bytes, least significant first
    local i n=$1 text=
    for i in 0 1 2 3 4 5 6 7; do text+=$(printf '\\x%02x' $((n >> 8 * i & 255))); done
    printf "$text"
}
edit() { # IN SED [BYTES]: IN with its header edited, and less of its data at the end; to the file bad
    local n
    n=$(header_length "$1")
    tail -c +9 "$1" | head -c "$n" | sed -E "$2" >head
    { number "$(wc -c <head)"; cat head; tail -c +$((9 + n)) "$1" | head -c "-${3:-0}"; } >bad
    cmp -s "$1" bad && fail "the edit $2 changes nothing"
}
poke() { # IN TENSOR BYTES: IN with the first bytes of a tensor replaced
    local n at
    n=$(header_length "$1")
    at=$(head -c $((8 + n)) "$1" | grep -ao "\"$2\":{[^}]*}" | sed 's/.*offsets":\[\([0-9]*\),.*/\1/')
    cp "$1" bad
    printf "$3" | dd of=bad bs=1 seek=$((8 + n + at)) conv=notrunc 2>dd.log
    cmp -s "$1" bad && fail "$2 is not poked"
}
sonar() { refuse "$1" "$2" encode -m bad line; }
concept() { # a concept model, in a bundle
    rm -rf odd; mkdir odd; cp bundle/bundle.json $S odd; cp bad odd/lcm.safetensors
    refuse "$1" "$2" generate -m odd -n 1 "$prompt"
}
nan='\x00\x00\xc0\x7f' inf='\x00\x00\x80\xff'
for value in $nan $inf; do
    poke $S encoder.layers.0.self_attn.q_proj.weight $value; sonar 3 "self_attn.q_proj.weight"
    poke $S layer_norm.bias $value;                          sonar 3 "layer_norm.bias"
    poke $C denoiser.layer_norm.weight $value;               concept 3 "denoiser.layer_norm.weight"
    poke $C sonar_normalizer.scale $value;                   concept 3 "scale"
    poke $C sonar_normalizer.center $value;                  concept 3 "centre"
done
poke $C sonar_normalizer.scale '\0\0\0\0';         concept 3 "scale"
poke $C sonar_normalizer.scale '\x00\x00\x80\xbf'; concept 3 "scale"
# Huge but finite: numbers overflow on the way; a code and a line, or text, but no crash.
poke $S layer_norm.weight '\xff\xff\x7f\x7f\xff\xff\x7f\x7f'; run encode -m bad line; [ $? -le 3 ] || fail "huge weights: $?"
rename='s/"layer_norm.bias"/"layer_norm.biaz"/'
edit $S "$rename"; sonar 3 "layer_norm.bia"
edit $C 's/"denoiser.layer_norm.bias"/"denoiser.layer_norm.biaz"/'; concept 3 "denoiser.layer_norm.bia"
edit $C 's/,"sonar_normalizer.scale":\{[^}]*\}//' 128; concept 3 "sonar_normalizer.scale"
edit $S 's/,"tokenizer.model":\{[^}]*\}//' "$(wc -c <toy.model)"; sonar 3 "tokenizer.model"
for f in $S $C; do
    end=$(($(wc -c <$f) - 8 - $(header_length $f)))
    edit $f "s/\}\} *\$/},\"extra\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[$end,$((end + 4))]}}/"; printf '\0\0\0\0' >>bad
    if [ $f = $C ]; then concept 3 "extra"; else accept encode -m bad line; fi # which loads only its part of a SONAR file
done
edit $S 's/("encoder.layers.0.ffn.inner_proj.weight":\{"dtype":"F32","shape":)\[64,32\]/\1[32,64]/'; sonar 3 "ffn.inner_proj.weight"
edit $S 's/("encoder.layers.0.ffn.inner_proj.weight":\{"dtype":)"F32"/\1"I32"/'; sonar 3 "ffn.inner_proj.weight"
edit $C 's/("denoiser.final_proj.fc.weight":\{"dtype":"F32","shape":)\[32,32\]/\1[16,64]/'; concept 3 "denoiser.final_proj.fc.weight"
config() { # FILE KEY VALUE: a number of the configuration replaced
    edit "$1" "s/(\\\\\"$2\\\\\":)[0-9.]+/\\1$3/"
}
config $S attn_heads 3;              sonar 3 "heads"
config $S attn_heads 0;              sonar 3 "attn_heads"
config $S encoder_layers 1000000000; sonar 3 "encoder_layers"
config $S encoder_layers 2;          sonar 3 "encoder.layers.1"
config $S model_dim 1000000000;      sonar 3 "model_dim"
config $S model_dim -32;          sonar 3 ""
config $S vocab_size 200;            sonar 3 ""
config $S vocab_size 2000000000;     sonar 3 "vocab_size"
config $S max_seq_len 0;             sonar 3 "max_seq_len"
config $S dropout 1e999;             sonar 3 ""
config $C num_attn_heads 3;          concept 3 "heads"
config $C num_layers 1000000000;     concept 3 "num_layers"
config $C max_seq_len 0;             concept 3 "max_seq_len"
config $C model_dim 48;              concept 3 ""
edit $S 's/lcm.format":"1"/lcm.format":"99"/'; sonar 3 "99"
edit $S 's/lcm.kind":"sonar"/lcm.kind":"tonar"/'; sonar 3 "tonar"
edit $S 's/"lcm.space":"[0-9a-f]*"/"lcm.space":"xyz"/'; sonar 3 "space"
edit $S 's/\\"attn_heads\\":2/\\"attn_hedas\\":2/'; sonar 3 "attn_hedas"
edit $S 's/"lcm.config":"([^"\\]|\\.)*"/"lcm.config":"{"/'; sonar 3 "config"

# Any prefix, anything added, any byte of the header flipped.
for n in 1 7 8 9 64 1000 $((8 + $(header_length $S))) $(($(wc -c <$S) - 1)); do head -c "$n" $S >bad; sonar 3 "bad"; refuse 3 "bad" info bad; done
{ cat $S; printf x; } >bad; sonar 3 "bad"
n=$(header_length $S)
for ((i = 0; i < 16; i++)); do
    cp $S bad
    at=$((i * (n + 8) / 16)); byte=$(od -An -tu1 -j $at -N1 $S)
    printf "\\x$(printf %02x $((byte ^ 1 << i % 8)))" | dd of=bad bs=1 seek=$at conv=notrunc 2>dd.log
    run encode -m bad line; got=$?
    [ $got = 0 ] || [ $got = 1 ] || [ $got = 3 ] || fail "byte $at flipped: exit code $got"
    [ $got = 0 ] || one_line "byte $at flipped"
done

# ---- What is no file ----
mkdir folder; mkfifo pipe; ln -s loop loop; truncate -s 5G sparse
for f in folder pipe /dev/zero /dev/null loop sparse "$(printf 'two\nlines')" "$(printf 'bad\xff')" ''; do
    case $f in folder | loop | two* | bad* | '') code=1 ;; *) code=3 ;; esac
    refuse $code "" info "$f"
    refuse $code "" encode -m "$f" line
    [ "$f" = folder ] && code=3 # of info and encode it might have been a bundle
    refuse $code "" export "$f" -o x
    refuse $code "" selftest "$f"
done
for f in folder loop missing ''; do
    refuse 1 "" segment "$f";            refuse 1 "" encode -m bundle "$f";      refuse 1 "" decode -m bundle "$f"
    refuse 1 "" generate -m bundle -f "$f"; refuse 1 "" tokenizer encode -m bundle "$f"; refuse 1 "" train "$f"
    refuse 1 "" curve "$f"; refuse 1 "" export $S -o x --provenance "$f"
    [ "$f" = folder ] || refuse 1 "" prepare -q -m $S -o x "$f"
    [ "$f" = folder ] || refuse 1 "" tokenizer train -o x "$f"
done
refuse 1 "" segment /proc/self/mem # a read error
refuse 3 "" train -q /dev/null
refuse 1 "" export $S -o folder
refuse 1 "" export $S -o missing/x
refuse 1 "" curve run-sonar -o folder
if [ "$(id -u)" != 0 ]; then
    cp $S secret; chmod 0 secret; refuse 1 "Permission denied" info secret; refuse 1 "Permission denied" encode -m secret line
fi
[ -e x ] && fail "a refused command left a file"

# ---- Text ----
printf 'x\xed\xa0\x80y' >bad;          refuse 3 "" segment bad # a surrogate
printf '\xc0\xaf' >bad;                refuse 3 "" segment bad # overlong
printf '\xf4\x90\x80\x80' >bad;        refuse 3 "" segment bad # above U+10FFFF
printf 'half \xe2\x82' >bad;           refuse 3 "" segment bad
printf ' \n \t\r\n' >text;             accept segment text; [ -s out ] && fail "sentences in white space"
texts=('\xef\xbb\xbfA mark. Here.' 'A\0b. C d.' 'One\xe2\x80\xa8two. Three' '\xe2\x80\xaeabc\xe2\x80\xac. \xe2\x80\xadx' 'A.\r\nB.\rC.\nD'
       '\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7\xe2\x80\x8d\xf0\x9f\x91\xa6' '\xf4\x8f\xbf\xbf \xcd\xb8'
       '\xe0\xb8\xaa\xe0\xb8\xa7\xe0\xb8\xb1\xe0\xb8\xaa\xe0\xb8\x94\xe0\xb8\xb5' '\xe1\x9e\x9f\xe1\x9e\xbd\xe1\x9e\x9f\xe1\x9f\x92\xe1\x9e\x8f\xe1\x9e\xb8')
for t in "${texts[@]}"; do
    printf "$t" >text
    accept segment text; [ -s out ] || fail "no sentence in $t"
    accept encode -m bundle text
    accept generate -m bundle -n 1 -f text
done
head -c 10000000 /dev/zero | tr '\0' a >long
accept segment -m 0 long; [ "$(wc -c <out)" = 10000001 ] || fail "10 MB without a break are $(wc -c <out) bytes"
accept segment --max-chars 500 long; [ "$(wc -l <out)" -ge 20000 ] || fail "$(wc -l <out) sentences of at most 500"
{ printf a; head -c 1000000 /dev/zero | sed 's/\x00/\xcc\x81/g'; } >text; accept segment text; accept segment -m 100 text
yes 'a b' | head -n 100000 | tr '\n' ' ' >text # far more tokens than any window
accept encode -m bundle text; says err "1 of 1 sentences are longer" "10^5 tokens"
accept tokenizer encode -m bundle text
run generate -m bundle -n 1 -f text; got=$?; [ $got -le 1 ] || fail "generate from 10^5 tokens: exit code $got"
refuse 2 "" segment --lang '' line; refuse 2 "" segment --lang ../../x line

# ---- JSON ----
deep() { head -c "$1" /dev/zero | tr '\0' '['; }
{ printf '{"text": "One. Two."}\n{"text": '; deep 100000; printf '\n{"text": "\xff"}\n{"no": 1}\n{"text": 1e999}\n{"text": "a", "text": "b"}\n\n'
  printf '{"text": "'; head -c 2000000 /dev/zero | tr '\0' b; printf '"}\n'; } >docs.jsonl
accept prepare -q -m $S -o jsonl --json docs.jsonl
says out '"docs": 2' "hostile JSON lines"
deep 100000 >bad; refuse 3 "" train -q bad; refuse 3 "" export $S -o x -p bad; refuse 3 "" decode -m bundle bad
set_refuse() { refuse "$1" "$2" train -q sonar.json -s train.run=x -s "$3"; }
set_refuse 3 "heads" model.attn_heads=3
set_refuse 2 "encoder_layers" model.encoder_layers=1000000000
set_refuse 2 "model_dim" model.model_dim=0
set_refuse 2 "model_dim" model.model_dim=1e3
set_refuse 2 "model_dim" model.model_dim=99999999999999999999
set_refuse 3 "vocab_size" model.vocab_size=100
set_refuse 2 "nonsense" model.nonsense=1
set_refuse 2 "kind" kind=nonsense
set_refuse 1 "missing" 'data=["missing"]'
set_refuse 2 "" nonsense
set_refuse 2 "" =
set_refuse 2 "max_steps" train.lr.max_steps=-1
[ -e x ] && fail "a refused training left a folder"

# ---- The machine ----
for args in "segment" "encode -m bundle" "decode -m bundle" "generate -m bundle"; do
    # shellcheck disable=SC2086
    timeout 120 "$lcm" $args <&- >out 2>err; [ $? = 1 ] || fail "lcm $args without standard input"
    one_line "lcm $args without standard input"; says err "cannot read" "lcm $args without standard input"
done
for locale in C C.UTF-8 de_DE.UTF-8 tr_TR.UTF-8; do # decimal comma, and an I that is not the capital of i
    env LC_ALL=$locale "$lcm" encode -m bundle line 2>err | cmp -s - line.npy || fail "vectors depend on the locale $locale"
    env LC_ALL=$locale "$lcm" encode -m bundle -f jsonl line >"jsonl-$locale" 2>err
    cmp -s jsonl-C "jsonl-$locale" || fail "JSON depends on the locale $locale"
done
# A full disk, as a limit on the size of files: the message, and no half file.
limited() { # KIB MESSAGE FILE ARGS…
    local kib=$1 message=$2 file=$3 got
    shift 3
    (ulimit -f "$kib"; run "$@"); got=$?
    [ $got = 1 ] || fail "lcm $* with files of at most $kib KiB: exit code $got"
    one_line "lcm $*, disk full"; says err "$message" "lcm $*, disk full"
    [ -z "$file" ] || [ -z "$(find . -maxdepth 1 -name "$file*")" ] || fail "lcm $* left $(echo "$file"*)"
}
limited 64 "File too large" full export $S -o full
limited 1 "File too large" full curve run-sonar -o full
limited 16 "File too large" full tokenizer train -q -o full --vocab 290 docs.txt
limited 16 "File too large" "" prepare -q -m $S -o store-full docs.txt
limited 64 "File too large" "" train -q -s train.run=run-full sonar.json
accept train -q -s train.run=run-full sonar.json # goes on when there is space
numbers() { tail -c "+$((9 + $(header_length "$1")))" "$1"; } # the header says how long training took
cmp -s <(numbers run-full/step_*2/model.safetensors) <(numbers $S) || fail "a run after a full disk differs"
accept prepare -q -m $S -o store-full docs.txt
# Little memory: the program itself needs some, a sanitizer more than any limit.
if (ulimit -v 700000; "$lcm" --version) >out 2>&1; then
    for args in "segment /dev/zero" "decode -m bundle /dev/zero" "train /dev/zero" "encode -m bundle /dev/zero"; do
        # shellcheck disable=SC2086
        (ulimit -v 700000; run $args); got=$?
        [ $got = 4 ] || [ $got = 1 ] || fail "lcm $args in 700 MB: exit code $got"
        one_line "lcm $args in 700 MB"
    done
    (ulimit -v 700000; run segment /dev/zero); [ $? = 4 ] || fail "out of memory is not exit code 4: $(head -c 300 err)"
    # The least that lets the program start; then wherever memory ends, it ends in order. Without a matrix product:
    # oneDNN 2.6 crashes when it finds no memory for the code that it generates at its first one.
    kib=20000
    until (ulimit -v $kib; "$lcm" --help >out 2>err) 2>err; do kib=$((kib + 4000)); [ $kib -lt 700000 ] || break; done
    for more in 0 2000 4000 8000 16000 32000 64000; do
        for args in "segment long" "info $C" "tokenizer encode -m bundle text" "curve run-sonar"; do
            # shellcheck disable=SC2086
            (ulimit -v $((kib + more)); run $args); got=$?
            [ $got = 0 ] || [ $got = 4 ] || fail "lcm $args in $((kib + more)) KiB: exit code $got: $(head -c 300 err)"
        done
    done
fi

# ---- Command lines ----
refuse 2 "" generate -m bundle -n 99999999999999999999 "$prompt"; refuse 2 "" generate -m bundle --seed -1 "$prompt"
refuse 2 "" generate -m bundle --guidance nan "$prompt"; refuse 2 "" generate -m bundle --sigma-init inf "$prompt"
refuse 2 "" generate -m bundle --steps 1.5 "$prompt"; refuse 2 "" generate -m bundle --guidance 1,5 "$prompt"
refuse 2 "" decode -m bundle --noise -1 line.npy; refuse 2 "" segment -m '' line; refuse 2 "" segment -m 0x10 line
refuse 2 "" export $S -o x --dtype f64; refuse 2 "" curve run-sonar --smooth 1e3; refuse 2 "" "$(printf 'in\nfo')"
refuse 1 "" generate -m bundle ""; refuse 1 "" generate -m "" "$prompt"
refuse 2 "" info "--$(head -c 100000 /dev/zero | tr '\0' x)"; refuse 1 "" info "$(head -c 100000 /dev/zero | tr '\0' x)"

[ $failures = 0 ] && echo "hostile: ok"
exit $((failures > 0))

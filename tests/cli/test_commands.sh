#!/bin/bash
# Text to text on a toy bundle: tokenizer, training, prepare, encode, decode, generate, export, selftest.
set -u
lcm=$1/lcm
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
failures=0
fail() { echo "FAIL: $*"; failures=$((failures + 1)); }
# expect CODE ARGS…: the exit code; out and err hold what was printed
expect() {
    local want=$1 got
    shift
    "$lcm" "$@" >out 2>err </dev/null
    got=$?
    [ $got = "$want" ] || { fail "lcm $* exits $got, not $want"; head -c 2000 err; }
}
says() { grep -qF -e "$2" "$1" || { fail "no '$2' in $1:"; head -c 2000 "$1"; }; }
silent() { [ ! -s "$1" ] || { fail "$1 is not empty:"; head -c 2000 "$1"; }; }
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ${3:+: $3}"; }
lines() { [ "$(wc -l <"$1")" = "$2" ] || fail "$1 has $(wc -l <"$1") lines, not $2"; }

# ---- A toy world: 72 documents of four sentences ----
awk 'BEGIN {
    split("Tom Anna Ben Mia", who, " "); split("cat dog bird", pet, " "); split("park house river", place, " ")
    split("red small happy", how, " ")
    for (d = 0; d < 72; d++) {
        a = who[d % 4 + 1]; p = pet[int(d / 4) % 3 + 1]; l = place[int(d / 12) % 3 + 1]; h = how[d % 3 + 1]
        printf "%s had a %s %s. They went to the %s. The %s saw %s. They were happy.\n", a, h, p, l, p, who[(d + 1) % 4 + 1]
    }
}' >docs.txt

expect 0 tokenizer train -o toy.model --vocab 300 docs.txt; silent out; says err "72 documents, 288 sentences"
cp toy.model first.model
expect 0 tokenizer train -o toy.model -n 300 docs.txt; same toy.model first.model "training a tokenizer twice"
expect 0 tokenizer train -o bpe.model -n 300 --type bpe docs.txt
expect 1 tokenizer train -o x.model -n 100000 docs.txt; says err "too high"; [ -e x.model ] && fail "a failed training left a file"

cat >sonar.json <<'END_JSON'
{"kind": "sonar", "tokenizer": "toy.model", "data": ["docs.txt"],
 "model": {"model_dim": 32, "encoder_layers": 1, "decoder_layers": 1, "attn_heads": 2, "ffn_inner_dim": 64,
           "vocab_size": 320, "max_seq_len": 40, "share_embeddings": true},
 "task": {"batch_tokens": 512, "max_pieces": 36, "objective": {"latent_noise_prob": 0}},
 "train": {"run": "run-sonar", "seed": 1, "checkpoint_every": 200,
           "lr": {"lr": 1e-2, "warmup_steps": 20, "max_steps": 200, "final_lr": 1e-4}}}
END_JSON
cat >tower.json <<'END_JSON'
{"kind": "two_tower", "sonar": "bundle/sonar.safetensors", "store": "store",
 "criterion": {"cf_guidance_probability": 0.15}, "task": {"batch_concepts": 128, "max_len": 8},
 "model": {"sonar_embed_dim": 32, "max_seq_len": 12, "model_dim": 32, "trained_with_cf_guidance": true,
  "context_encoder": {"num_layers": 1, "num_attn_heads": 2, "ffn_inner_dim": 64, "dropout_p": 0, "final_dropout_p": 0},
  "denoiser": {"num_layers": 1, "num_attn_heads": 2, "ffn_inner_dim": 64, "timestep_embed_dim": 32, "dropout_p": 0,
               "final_dropout_p": 0}},
 "train": {"run": "run-tower", "checkpoint_every": 200, "lr": {"lr": 5e-3, "warmup_steps": 20, "max_steps": 200}}}
END_JSON
cat >onetower.json <<'END_JSON'
{"kind": "one_tower", "sonar": "bundle/sonar.safetensors", "store": "store",
 "criterion": {"cf_guidance_probability": 0.15}, "task": {"batch_concepts": 128, "max_len": 8},
 "model": {"sonar_embed_dim": 32, "max_seq_len": 12, "model_dim": 32, "timestep_embed_dim": 16, "trained_with_cf_guidance": true,
  "tower": {"num_layers": 1, "num_attn_heads": 2, "ffn_inner_dim": 64, "dropout_p": 0, "final_dropout_p": 0}},
 "train": {"run": "run-onetower", "checkpoint_every": 200, "lr": {"lr": 5e-3, "warmup_steps": 20, "max_steps": 200}}}
END_JSON
mkdir bundle
expect 0 train -q sonar.json
cp "run-sonar/$(cat run-sonar/latest)/model.safetensors" bundle/sonar.safetensors || exit 1
S=bundle/sonar.safetensors

# ---- prepare ----
{ cat docs.txt; printf '\n   \n\377\376 no text\n'; } >mixed.txt
expect 0 prepare -m $S -o store --json mixed.txt
says out '"docs": 72'; says out '"concepts": 288'; says out '"docs_bad_utf8": 1'; says err "72 documents, 288 sentences"
says err "1 documents that are not UTF-8 dropped"; says err "1 left out, not UTF-8: mixed.txt:75: byte 1 is 0xff"; lines out 1
expect 0 info --json store/shard-000000.safetensors; says out '"shape": [288, 32]'
expect 0 prepare -m $S -o half --dtype f16 docs.txt
expect 0 info --json half/shard-000000.safetensors; says out '"dtype": "F16", "shape": [288, 32]'
expect 3 prepare -m $S -o strict --strict mixed.txt; says err "mixed.txt"
expect 1 prepare -m $S -o store docs.txt; says err "store" # begun with other inputs
expect 2 prepare -m $S docs.txt; says err "--out is missing"
printf '{"story": "Tom had a cat.\\nThey were happy."}\n{"story": 3}\nno json\n{"story": "\\ud800"}\n' >docs.jsonl
expect 0 prepare -m $S -o keyed --json -p --key story docs.jsonl
says out '"docs": 1'; says out '"concepts": 2'; says out '"docs_bad_json": 1'; says out '"docs_no_text": 1'
says out '"docs_bad_escape": 1'; says err "an escape that is no character: docs.jsonl:4: invalid Unicode"

# ---- bundle ----
expect 0 train -q tower.json
cp "run-tower/$(cat run-tower/latest)/model.safetensors" bundle/lcm.safetensors || exit 1
echo '{"format": 1, "sonar": "sonar.safetensors", "lcm": "lcm.safetensors", "lang": "en",
       "generate": {"steps": 12, "beam": 2}}' >bundle/bundle.json
expect 0 info bundle; says out "bundle/sonar.safetensors"; says out "lcm.kind: two_tower"
expect 0 info --json bundle; lines out 2

# ---- tokenizer encode, decode ----
"$lcm" segment docs.txt | sort -u >sentences
n=$(wc -l <sentences)
"$lcm" tokenizer encode -m bundle sentences >ids || fail "tokenizer encode"
lines ids "$n"
"$lcm" tokenizer decode -m $S ids >back || fail "tokenizer decode"; same sentences back "through ids"
"$lcm" tokenizer encode -m toy.model <sentences >ids2; same ids ids2 "model file and bundle"
expect 0 tokenizer encode -p -m bundle sentences; says out "▁"
echo "1 two" >bad; expect 3 tokenizer decode -m bundle bad; says err "is not a list of token ids"
echo "1 99999999999" >bad; expect 3 tokenizer decode -m bundle bad
echo "1 300000" >bad; expect 1 tokenizer decode -m bundle bad; says err "id 300000"
expect 2 tokenizer; says err "is missing"
expect 2 tokenizer fly; says err "train, encode and decode exist"

# ---- encode ----
"$lcm" encode -m bundle sentences >v.npy || fail "encode"
"$lcm" encode -m $S - <sentences >v2.npy; same v.npy v2.npy "bundle folder and SONAR file"
[ "$(head -c 6 v.npy | tail -c 5)" = NUMPY ] || fail "no npy magic"
[ "$(wc -c <v.npy)" = $((128 + n * 32 * 4)) ] || fail "npy of $(wc -c <v.npy) bytes for $n rows"
head -c 128 v.npy | grep -aq "'descr': '<f4', 'fortran_order': False, 'shape': ($n, 32), }" || fail "npy header"
"$lcm" encode -m bundle -f safetensors sentences >v.safetensors || fail "encode as safetensors"
expect 0 info --check --json v.safetensors; says out "\"name\": \"embeddings\", \"dtype\": \"F32\", \"shape\": [$n, 32]"
tail -c $((n * 128)) v.npy >rows; tail -c $((n * 128)) v.safetensors | cmp -s - rows || fail "the rows of npy and safetensors differ"
"$lcm" encode -m bundle -f jsonl sentences >v.jsonl || fail "encode as jsonl"; lines v.jsonl "$n"
"$lcm" encode -m bundle --threads 1 sentences >one.npy; same v.npy one.npy "encode with one thread"
printf 'A line.\n\nAnother.\r\nno end' | "$lcm" encode -m bundle >x.npy 2>err; silent err
head -c 128 x.npy | grep -aq "(4, 32)" || fail "an empty line, CR LF or the last line without end got lost"
: | "$lcm" encode -m bundle >x.npy || fail "encode of nothing"; [ "$(wc -c <x.npy)" = 128 ] || fail "npy of no rows"
yes "Tom had a" | head -n 40 | tr '\n' ' ' | "$lcm" encode -m bundle >x.npy 2>err; says err "1 of 1 sentences are longer"
printf 'good\n\xff\n' >bad; expect 3 encode -m bundle bad; says err "sentence 2"
expect 2 encode sentences; says err "--model is missing"
expect 2 encode -m bundle -f npz sentences; says err "did you mean 'npy'?"
expect 1 encode -m bundle --lang xyz_Latn sentences; says err "xyz_Latn"
expect 1 encode -m nowhere sentences; says err "nowhere"
expect 3 encode -m bundle/lcm.safetensors sentences; says err "two_tower"
expect 3 encode -m sentences sentences

# ---- decode ----
"$lcm" decode -m bundle v.npy >texts || fail "decode"; lines texts "$n"
equal=$(paste -d '|' sentences texts | awk -F'|' '$1 == $2' | wc -l)
[ "$equal" -ge $((n / 2)) ] || fail "only $equal of $n sentences survive the toy autoencoder"
for f in safetensors jsonl; do "$lcm" decode -m $S --beam 2 v.$f >t 2>err || cat err; same texts t "decoded from $f"; done
"$lcm" decode -m bundle --threads 2 - <v.npy >t; same texts t "decode with two threads"
"$lcm" decode -m bundle --noise 0.9 --seed 1 v.npy >n1; "$lcm" decode -m bundle --noise 0.9 --seed 1 v.npy >n2
same n1 n2 "noise of the same seed"
cmp -s n1 texts && fail "noise changes nothing"
"$lcm" decode -m $S --noise 0.9 v.npy >n3 || fail "noise by the input's own statistics"; lines n3 "$n"
cmp -s n3 texts && fail "noise without a concept model changes nothing"
"$lcm" decode -m bundle --noise 0 --beam 1 v.npy >t || fail "decode with beam 1"
: | "$lcm" encode -m bundle >none.npy; expect 0 decode -m bundle none.npy; silent out

# Hostile arrays: each is refused with exit code 3 or 1, one line, and no crash.
npy() { # HEADER DATABYTES: an array file of version 1.0
    local n=${#1}
    printf '\x93NUMPY\x01\x00'; printf "\\x$(printf %02x $((n & 255)))\\x$(printf %02x $((n >> 8)))%s" "$1"
    head -c "$2" /dev/zero
}
refuse() { # HEADER DATABYTES MESSAGE
    npy "$1" "$2" >bad.npy
    "$lcm" decode -m bundle bad.npy >out 2>err
    local got=$?
    [ $got = 1 ] || [ $got = 3 ] || fail "exit code $got for $1"
    silent out; says err "$3"; lines err 1
}
npy "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 32), }" 256 >good.npy
expect 0 decode -m bundle good.npy; lines out 2
npy '{"shape":(32,),"fortran_order":False,"descr":"<f8"}' 256 >good.npy; expect 0 decode -m bundle good.npy; lines out 1
refuse "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 32), }" 256 "Fortran order"
refuse "{'descr': '|O', 'fortran_order': False, 'shape': (2, 32), }" 256 "type '|O'"
refuse "{'descr': '>f4', 'fortran_order': False, 'shape': (2, 32), }" 256 "type '>f4'"
refuse "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 32), }" 256 "plain description"
refuse "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 32), }" 256 "does not match"
refuse "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 32), }" 256 "plain description"
refuse "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 32), }" 256 "plain description"
refuse "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4, 8), }" 256 "more than 2 dimensions"
refuse "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 32), }" 255 "does not match"
refuse "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 32), }" 257 "does not match"
refuse "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 16), }" 256 "vectors of 16 numbers"
refuse "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 32), }" 256 "plain description"
refuse "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 32), 'x': __import__('os')}" 256 "plain description"
refuse "{'descr': '<f4', 'fortran_order': False}" 256 "plain description"
{ npy "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 32), }" 124; printf '\0\0\xc0\x7f'; } >bad.npy
expect 1 decode -m bundle bad.npy; says err "not finite"
head -c 9 v.npy >bad; expect 3 decode -m bundle bad
head -c 300 v.safetensors >bad; expect 3 decode -m bundle bad
printf '{"vector": [1, "x"]}\n' >bad; expect 3 decode -m bundle bad; says err "line 1"
printf '{"vector": [1, 2]}\n{"vector": [1]}\n' >bad; expect 3 decode -m bundle bad; says err "line 2"
: >bad; expect 3 decode -m bundle bad; says err "neither npy"
expect 2 decode -m bundle --noise 1.5 v.npy; expect 2 decode -m bundle --beam 65 v.npy; expect 2 decode -m bundle a b

# ---- generate ----
prompt="Anna had a small cat. They went to the park."
expect 0 generate -m bundle -n 4 --eos 2 "$prompt"; silent err; lines out 4; cp out g1
expect 0 generate -m bundle -n 4 --eos 2 "$prompt"; same g1 out "the same seed"
expect 0 generate -m bundle -n 4 --eos 2 --threads 1 "$prompt"; same g1 out "one thread"
expect 0 generate -m bundle -n 4 --eos 2 --threads 2 "$prompt"; same g1 out "two threads"
echo "$prompt" >prompt; expect 0 generate -m bundle -n 4 --eos 2 -f prompt; same g1 out "a prompt from a file"
"$lcm" generate -m bundle -n 4 --eos 2 <prompt >out; same g1 out "a prompt from standard input"
expect 0 generate -m bundle -n 4 --eos 2 --json "$prompt"; lines out 5; cp out g.jsonl
sed -n 's/.*"text": "\([^"]*\)".*/\1/p' g.jsonl >t; same g1 t "--json"
says out '"done": true'; says out '"end": "count"'; says out '"l2_round_trip"'; says out '"denoise"'
expect 0 prepare -m $S -o generated --json g.jsonl # a strict reader of JSON lines: the summary has no text
says out '"docs": 4'; says out '"docs_bad_json": 0'; says out '"docs_no_text": 1'
varied=0
for seed in 1 2 3 4; do "$lcm" generate -m bundle -n 4 --eos 2 --seed $seed "$prompt" >out; cmp -s g1 out || varied=1; done
[ $varied = 1 ] || fail "five seeds, one text"
expect 0 generate -m bundle -n 3 --eos 2 --feedback text --json "$prompt"; lines out 4
expect 0 generate -m bundle --eos -1 --json "$prompt"; lines out 2; says out '"end": "end_of_text"'; says out '"concepts": 0'
expect 0 generate -m bundle --eos -1 "$prompt"; silent out # the ending concept is not text
expect 0 generate -m bundle --eos 2 --repetition 1e-9 --json "$prompt"; says out '"end"'
expect 0 generate -m bundle -n 1000 --eos 2 --json "$prompt"; says out '"end": "window"'; says err "reads no longer documents"
expect 0 generate -m bundle -n 2 --eos 2 --steps 3 --guidance 1 --rescale 0 --sigma-init 1 --beam 1 "$prompt"; lines out 2
expect 1 generate -m bundle --steps 1000 "$prompt"; says err "steps"
expect 1 generate -m bundle "  "; says err "no sentence"
expect 1 generate -m bundle -f docs.txt; says err "288 sentences"
printf '\xff' >bad; expect 3 generate -m bundle -f bad
expect 2 generate "$prompt"; expect 2 generate -m bundle -f prompt "$prompt"; expect 2 generate -m bundle -n 0 "$prompt"
expect 2 generate -m bundle --feedback both "$prompt"; says err "none of vector, text"
expect 1 generate -m $S "$prompt"; says err "no concept model"
expect 0 generate --help; grep -q -- "-1\]" out && fail "--help shows a default that means: not given"
if [ -e /dev/full ]; then
    "$lcm" generate -m bundle -n 2 --eos 2 "$prompt" >/dev/full 2>err; [ $? = 1 ] || fail "full disk goes unnoticed"; lines err 1
fi

# ---- bundles that do not fit ----
bundle_json() { cp -r bundle odd; printf '%s' "$1" >odd/bundle.json; "$lcm" generate -m odd -n 1 "$prompt" >out 2>err; code=$?; rm -r odd; }
odd() { # CODE MESSAGE JSON
    bundle_json "$3"
    [ $code = "$1" ] || fail "exit code $code, not $1, for $3"
    says err "$2"; silent out; lines err 1
}
odd 1 "unknown key 'sonarr'" '{"format": 1, "sonarr": "sonar.safetensors"}'
odd 1 "unknown key 'stepz'" '{"format": 1, "sonar": "sonar.safetensors", "generate": {"stepz": 1}}'
odd 1 "steps" '{"format": 1, "sonar": "sonar.safetensors", "generate": {"steps": 0}}'
odd 1 "does not stay inside" '{"format": 1, "sonar": "../bundle/sonar.safetensors"}'
odd 1 "does not stay inside" '{"format": 1, "sonar": "/etc/passwd"}'
odd 1 "does not stay inside" '{"format": 1, "sonar": "sonar.safetensors", "lcm": "a/../../x"}'
odd 1 "no concept model" '{"format": 1, "sonar": "sonar.safetensors"}'
odd 3 "format" '{"sonar": "sonar.safetensors"}'
odd 3 "format 2" '{"format": 2, "sonar": "sonar.safetensors"}'
odd 3 "sonar" '{"format": 1}'
odd 3 "bundle.json" '{"format": 1'
odd 3 "kind 'two_tower'" '{"format": 1, "sonar": "lcm.safetensors", "lcm": "sonar.safetensors"}'
odd 1 "missing.safetensors" '{"format": 1, "sonar": "sonar.safetensors", "lcm": "missing.safetensors"}'
# A concept model of another space: both hashes in one sentence.
"$lcm" train -q -s train.run='"run-other"' -s train.seed=2 -s train.lr.max_steps=21 sonar.json 2>err || cat err
cp -r bundle other; cp "run-other/$(cat run-other/latest)/model.safetensors" other/sonar.safetensors
space() { "$lcm" info "$1" | sed -n 's/^lcm.space: //p'; }
expect 1 generate -m other "$prompt"; lines err 1; says err "$(space bundle/lcm.safetensors)"; says err "$(space other/sonar.safetensors)"
expect 0 encode -m other sentences # the concept model is not asked

# ---- export, selftest ----
mkdir half-bundle; cp bundle/bundle.json half-bundle
echo '{"corpus": "toy"}' >origin.json
for f in sonar lcm; do
    expect 1 selftest bundle/$f.safetensors; says err "no self-test sample"
    expect 0 export bundle/$f.safetensors -o full-$f.safetensors --selftest
    expect 0 export bundle/$f.safetensors -o half-bundle/$f.safetensors --dtype f16 --selftest -p origin.json
    expect 0 selftest full-$f.safetensors half-bundle/$f.safetensors; lines out 2; says out ": ok"
    expect 0 info half-bundle/$f.safetensors; says out '{"corpus":"toy"}'; says out "F16"
    [ "$(space half-bundle/$f.safetensors)" = "$(space bundle/$f.safetensors)" ] || fail "export changes the space"
    expect 0 export half-bundle/$f.safetensors -o again.safetensors; silent err
    same half-bundle/$f.safetensors again.safetensors "export that keeps all"
    expect 0 export half-bundle/$f.safetensors -o again.safetensors --dtype f32; says err "left out"
done
expect 0 generate -m half-bundle -n 2 --eos 2 "$prompt"; lines out 2
expect 0 selftest --json full-lcm.safetensors; says out '"passed": true'
# Damage: 8 KiB in the middle of the weights, more than any tensor that has no say (queries of attention to one key).
size=$(wc -c <full-lcm.safetensors)
for at in $((size / 2)) $((size * 3 / 5)) $((size * 7 / 10)); do
    cp full-lcm.safetensors damaged; head -c 8192 /dev/zero | tr '\0' B | dd of=damaged bs=4 seek=$((at / 4)) conv=notrunc 2>/dev/null
    expect 1 selftest damaged; says out "FAILED"
done
printf '[1]' >bad; expect 3 export $S -o x -p bad; says err "JSON object"
expect 2 export $S; says err "--out is missing"
expect 3 export sentences -o x; expect 1 export nowhere -o x; [ -e x ] && fail "a failed export left a file"

# ---- quantize ----
expect 0 quantize $S -o int8.safetensors --text sentences --sentences 3 --tensors --selftest
says out "sentences   3"; says out "cosine"; says out "ffn.inner_proj.weight"
expect 0 selftest int8.safetensors; says out ": ok"
expect 0 info int8.safetensors; says out "U8"
count() { "$lcm" info "$1" | sed -n 's/^parameters: //p'; }
[ "$(count int8.safetensors)" -ge "$(count $S)" ] || fail "an int8 file of $(count int8.safetensors) parameters was one of $(count $S)"
[ "$(space int8.safetensors)" = "$(space $S)" ] || fail "quantize changes the space"
expect 0 quantize $S -o bf16.safetensors --dtype bf16; says out "matrices"
expect 1 quantize int8.safetensors -o x; says err "int8 already"
expect 1 quantize bundle/lcm.safetensors -o x; says err "int8 is for SONAR models"
expect 2 quantize $S; says err "--out is missing"
[ -e x ] && fail "a failed quantize left a file"

# ---- eval ----
M=bundle/lcm.safetensors
expect 0 eval --help; says out "reconstruct"; says out "stories"; silent err
expect 2 eval; says err "no task given"
expect 2 eval nxet; says err "did you mean 'next'?"
expect 2 eval reconstruct docs.txt; says err "--sonar is missing"
expect 2 eval reconstruct --sonar $S --noise 0,2 docs.txt; says err "--noise: '0,2' is not a list"
expect 2 eval next --sonar $S --lcm $M; says err "--store or --cloze is needed"
expect 2 eval stories -m bundle --sonar $S docs.txt; says err "--model brings both files"
expect 0 eval reconstruct --sonar $S --noise 0,0.95 --json docs.txt; says out '"sentences": 288'
# column NAME ROW: a number of the last table in out, rows from 1
column() { awk -F ' *[|] *' -v name="$1" -v row="$2" '/^[|]/ { if (!n++) for (i = 1; i <= NF; i++) if ($i == name) at = i
    if (n == row + 2) print $at }' out; }
higher() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a + 0 > b + 0) }' || fail "$3: $1 is not above $2"; }
expect 0 eval reconstruct --sonar $S --noise 0,0.95 docs.txt; says out "| noise |"; lines out 15
higher "$(column bleu 1)" 50 "BLEU of a trained autoencoder"
higher "$(column chrf 1)" "$(column chrf 2)" "chrF with and without noise"
next="eval next -q --sonar $S --store store --train-store store --steps 12 --seeds 1,2 --lcm $M"
expect 0 $next; cp out first; says out "| truth |"; says out "| two_tower | $M |"; silent err
higher "$(column ca 5)" "$(column ca 3)" "contrastive accuracy of the model and of the mean"
[ "$(column targets 5)" = 216 ] || fail "$(column targets 5) targets, not 216"
expect 0 $next; same out first "the same evaluation twice"
expect 1 eval next --sonar bundle/other.safetensors --store store; expect 3 eval next --sonar $S --cloze docs.txt
says err "docs.txt' line 1"
expect 0 eval stories -q -m bundle -n 5 --given 2 --concepts 2 --eos 2 --seeds 7 --print 2 --vocab-from docs.txt docs.txt
says out "| real, decoded |"; says out "### Story 2, bundle/lcm.safetensors, seed 7"; says out "> Tom had a red cat. They went to the park."
says out "steps 12, guidance_scale 3"; says out "beam: 2" # the bundle's
[ "$(column stop_length 3)" = 5 ] || fail "five stories of two sentences stop at their length"

# Result files: FILE SHIFT writes 30 documents whose "l2" rises with SHIFT.
results() { awk -v shift="$2" 'BEGIN {
    for (i = 0; i < 30; i++) { ids = ids sep "\"d" i "\""; v = v sep (i % 5 + shift); sum += i % 5 + shift; sep = ", " }
    printf "{\"schema\": \"lcm.eval/1\", \"task\": \"t<1>\", \"files\": [], \"sentences\": 30, \"skipped\": {}, \"facts\": {},"
    printf " \"documents\": [%s], \"rows\": [{\"model\": \"m%s\", \"kind\": \"k\", \"parameters\": 7, \"train\": null,", ids, shift
    printf " \"seconds\": null, \"seeds\": [], \"metrics\": {\"l2\": {\"mean\": %.17g, \"low\": null, \"high\": null,", sum / 30
    printf " \"higher_is_better\": false, \"values\": [%s]}}}]}\n", v }' >"$1"; }
results a.json 0; results b.json 0.5; sed 's/"documents"/"papers"/' a.json >bad.json
expect 0 eval compare a.json b.json; says out "| l2 | m0 | m0.5 |"; says out "real: m0 is better"
expect 0 eval --compare b.json b.json --json; says out '"verdict": "no difference"'
expect 2 eval compare a.json; expect 2 eval compare --a m0 a.json b.json; says err "--a and --b go together"
expect 1 eval compare --a m0 --b m7 a.json b.json; says err "no model 'm7'"
expect 3 eval compare a.json bad.json; says err "bad.json: 'documents' is not an array"
expect 0 eval report a.json; says out "| l2 ↓ | 2 |"; silent err
expect 0 eval report --html a.json; says out "<title>t&#60;1&#62;"; says out "</svg>"
expect 0 eval report a.json b.json; says out "| l2 ↓ | 2 [1.5, 2.5] | 2.5 [2, 3] |"; expect 1 eval report a.json a.json; says err "'m0' is there twice"
expect 0 eval report --json a.json b.json; cp out ab.json; expect 0 eval compare --a m0 --b m0.5 ab.json ab.json; says out "real: m0 is better"
sed 's/t<1>/u/' b.json >u.json; expect 0 eval report --html a.json u.json; says out "<title>t&#60;1&#62;, u"
expect 1 eval report --json a.json u.json; says err "one task"; expect 2 eval report --json --html a.json
expect 3 eval report docs.txt; expect 1 eval report nowhere.json; sed 's,eval/1,eval/2,' a.json >bad.json
expect 3 eval report bad.json; says err "schema 'lcm.eval/2'"

# ---- residual quantiser ----
cat >rvq.json <<END
{"kind": "rvq", "store": "store", "valid_store": "store", "quantizer": {"codebooks": 4, "units": 8}, "train": {"run": "run-rvq"}}
END
Q=run-rvq/rvq.safetensors
expect 0 train -q rvq.json; lines run-rvq/metrics.jsonl 4
expect 0 train -q -s train.run=run-two -s quantizer.codebooks=2 rvq.json; mkdir run-rest
cp run-two/rvq.safetensors run-two/metrics.jsonl run-rest # as a fit leaves it that is stopped behind its second codebook
expect 0 train -q -s train.run=run-rest rvq.json; same run-rest/rvq.safetensors $Q "a fit that was stopped"
same run-rest/metrics.jsonl run-rvq/metrics.jsonl "its log"
expect 1 train -q -s quantizer.units=4 rvq.json; says err "holds a run of another configuration"
expect 1 train -q -s train.run=x -s quantizer.units=1000 rvq.json; says err "288 rows for 1000 units"
expect 1 train -q -s train.run=x -s normalizer.with_fft=true rvq.json; says err "hold centre and scale only"
expect 0 curve run-rvq; says out "valid_loss"
expect 0 eval rvq -q --rvq $Q --store store --sonar $S --max-sentences 50 --curve rvq.svg; lines out 19; says rvq.svg "codebooks"
higher "$(column relative_error 1)" "$(column relative_error 3)" "error with 1 and 4 codebooks"
higher "$(column bleu 3)" "$(column bleu 1)" "BLEU with 4 codebooks and 1"
expect 2 eval rvq --rvq $Q; says err "--rvq and --store are needed"
expect 1 eval rvq --rvq $Q --store store --codebooks 3,2; says err "an ascending list within 1 … 4"
expect 1 eval rvq --rvq $Q --store store --sonar bundle/other.safetensors
expect 3 eval rvq --rvq $M --store store; says err "expected 'rvq'"

# ---- one-tower: another row of the registry, the same commands ----
expect 0 train -q onetower.json
mkdir onetower && cp "run-onetower/$(cat run-onetower/latest)/model.safetensors" onetower/lcm.safetensors || exit 1
cp $S bundle/bundle.json onetower
expect 0 info onetower; says out "lcm.kind: one_tower"
expect 0 generate -m onetower --concepts 2 --seed 3 --eos 2 "Tom had a red cat. They went to the park."; lines out 2; cp out first
expect 0 generate -m onetower --concepts 2 --seed 3 --eos 2 "Tom had a red cat. They went to the park."; same out first "the same seed"
expect 0 eval next -q --sonar $S --store store --train-store store --steps 12 --seeds 1 --lcm onetower/lcm.safetensors
says out "| one_tower |"; higher "$(column ca 5)" "$(column ca 3)" "contrastive accuracy of one-tower and of the mean"
expect 0 eval stories -q -m onetower -n 3 --given 2 --concepts 2 --eos 2 --seeds 7 --print 1 --vocab-from docs.txt docs.txt
says out "onetower/lcm.safetensors"
expect 2 train -q -s model.denoiser.num_layers=1 onetower.json; says err "unknown key 'denoiser'"

# ---- Quant-LCM ----
cat >quant.json <<'END_JSON'
{"kind": "quant_d", "sonar": "bundle/sonar.safetensors", "store": "store", "rvq": "run-rvq/rvq.safetensors",
 "criterion": {"cf_guidance_probability": 0.15}, "task": {"batch_concepts": 128, "max_len": 8},
 "model": {"sonar_embed_dim": 32, "max_seq_len": 12, "model_dim": 32, "codebooks": 3, "units": 8, "codebook_embed_dim": 8,
  "trained_with_cf_guidance": true,
  "tower": {"num_layers": 1, "num_attn_heads": 2, "ffn_inner_dim": 64, "dropout_p": 0, "final_dropout_p": 0}},
 "train": {"run": "run-quant_d", "checkpoint_every": 100, "lr": {"lr": 5e-3, "warmup_steps": 20, "max_steps": 100}}}
END_JSON
p="Tom had a red cat. They went to the park."
for kind in quant_c quant_d; do
    expect 0 train -q -s kind=$kind -s train.run=run-$kind -s train.ema_decay=0.9 quant.json
    mkdir $kind && cp "run-$kind/$(cat run-$kind/latest)/model.safetensors" $kind/lcm.safetensors || exit 1
    cp $S bundle/bundle.json $kind
    expect 0 info $kind/lcm.safetensors; says out "quantizer.codebooks.2"
    expect 0 generate -m $kind --concepts 2 --seed 3 --eos 2 --temperature 1 --top-k 3 --top-p 0.9 "$p"; lines out 2; cp out first
    expect 0 generate -m $kind --concepts 2 --seed 3 --eos 2 --temperature 1 --top-k 3 --top-p 0.9 "$p"; same out first "the same seed"
    expect 0 eval next -q --sonar $S --store store --train-store store --seeds 1 --guidance 1 --lcm $kind/lcm.safetensors
    says out "| $kind |"; higher "$(column ca 5)" "$(column ca 3)" "contrastive accuracy of $kind and of the mean"
done
expect 1 generate -m bundle --top-k 3 "$p"; says err "top_k: a two_tower model predicts vectors"
expect 1 train -q -s train.run=x -s rvq= quant.json; says err "needs a codebook file"
expect 3 train -q -s train.run=x -s model.units=16 quant.json; says err "wants 3 codebooks of 16 units and 32 channels"
expect 1 train -q -s train.run=x -s rvq=run-rvq/rvq.safetensors tower.json; says err "a two_tower model has no codebooks"
expect 0 train -q -s train.run=run-rvq-std -s normalizer.method=standard rvq.json
expect 3 train -q -s train.run=x -s init=quant_d/lcm.safetensors -s rvq=run-rvq-std/rvq.safetensors quant.json
says err "were fitted behind normaliser"
# Decoder for quantised vectors: the encoder, and so the space, stays.
decoder="-s init=$S -s rvq=run-two/rvq.safetensors -s task.objective.freeze_encoder=true -s train.lr.max_steps=150 -s train.lr.lr=5e-3"
expect 0 train -q -s train.run=run-decoder $decoder -s 'valid=["docs.txt"]' sonar.json
D=run-decoder/$(cat run-decoder/latest)/model.safetensors
[ "$(space $D)" = "$(space $S)" ] || fail "a new decoder changes the space"
says run-decoder/metrics.jsonl valid_quantized_exact
expect 0 eval rvq -q --rvq run-two/rvq.safetensors --store store --sonar $S; before=$(column bleu 2)
expect 0 eval rvq -q --rvq run-two/rvq.safetensors --store store --sonar $D; higher "$(column bleu 2)" "$before" "BLEU after and before fine-tuning"
expect 1 train -q -s train.run=x -s rvq=$Q sonar.json; says err "config.rvq: needs a model to start from"

[ $failures = 0 ] && echo "commands: ok"
exit $((failures > 0))

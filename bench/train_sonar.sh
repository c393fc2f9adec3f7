#!/bin/sh
# Training speed of the sentence autoencoder, ours against PyTorch, interleaved in one run:
#
#   bench/train_sonar.sh TOKENIZER.model TEXT…      (a few hundred kB of sentences are enough)
#
# BUILD    build folder                                   (build)
# THREADS  threads of both                                (all)
# TOKENS   tokens per step                                (2048)
# STEPS    steps per round, the first 5 are not counted   (25)
# ROUNDS   rounds of everything                           (3)
# PYTHON   a Python that has torch; empty: no peer
# PRECISIONS  what we try                                 (f32 bf16)
# MODES    what the peer tries, parted by commas          (padded,packed,packed compile,packed bf16)
set -eu
[ $# -ge 2 ] || { sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../build} threads=${THREADS:-$(nproc)} tokens=${TOKENS:-2048} steps=${STEPS:-25}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tokenizer=$1
shift

files=$(for f in "$@"; do printf '"%s",' "$(realpath "$f")"; done)
cat >"$work/config.json" <<END
{"kind": "sonar", "tokenizer": "$(realpath "$tokenizer")", "data": [${files%,}],
 "model": {"model_dim": 256, "encoder_layers": 2, "decoder_layers": 2, "attn_heads": 4, "ffn_inner_dim": 1024,
           "vocab_size": 4096, "max_seq_len": 128, "share_embeddings": true},
 "task": {"batch_tokens": $tokens, "window": 4096, "max_pieces": 96,
          "objective": {"latent_noise_prob": 0.4, "latent_noise_max": 0.3}},
 "train": {"run": "$work/run", "validate_every": 0, "checkpoint_every": 1000000, "lr": {"max_steps": $steps, "warmup_steps": 5}}}
END

ours() {
    rm -rf "$work/run"
    "$build/lcm" train -q -t "$threads" "$work/config.json" -s train.precision="$1"
    sed -n 's/.*"per_second":\([0-9.]*\).*/\1/p' "$work/run/metrics.jsonl" | tail -n +6 >>"$work/rate.lcm $1"
}

peer() { # file of rates, options
    out=$1
    shift
    "$PYTHON" "$here/peer_torch_sonar.py" "$work/ids" --tokens "$tokens" --steps "$steps" --threads "$threads" "$@" |
        sed 's/.*"per_second": \[\([^]]*\)\].*/\1/' | tr -d ' ' | tr , '\n' >>"$out"
}

summary() { # file -> "best median"
    sort -g "$1" | awk '{ x[NR] = $1 } END { print x[NR], x[int((NR + 1) / 2)] }'
}

round=0
while [ $round -lt "${ROUNDS:-3}" ]; do
    round=$((round + 1))
    "$build/bench/bench_sgemm" "$threads" 0.3 | awk '$1 == "peak_2048" { print $(NF - 1) }' >>"$work/peak"
    for precision in ${PRECISIONS:-f32 bf16}; do ours "$precision"; done
    [ -n "${PYTHON:-}" ] || continue
    [ -e "$work/ids" ] || "$build/bench/bench_dump_ids" "$tokenizer" 96 "$@" >"$work/ids"
    printf '%s\n' "${MODES:-padded,packed,packed compile,packed bf16}" | tr , '\n' >"$work/modes"
    while read -r mode; do
        options=
        for word in $mode; do [ "$word" = padded ] || options="$options --$word"; done
        # shellcheck disable=SC2086
        peer "$work/rate.torch $mode" $options
    done <"$work/modes"
done

# One token costs 6 FLOP per weight it meets: 4 layers of 4 D^2 + 2 D F, and V D for the logits.
# Not counted: attention over some ten tokens, folded cross-attention once a sentence, all else.
peak=$(sort -g "$work/peak" | tail -1)
echo "| program | tokens/s, best | median | ms per step | GFLOP/s | of the sgemm peak, $peak GFLOP/s |"
echo "|---|---|---|---|---|---|"
for f in "$work"/rate.*; do
    summary "$f" | awk -v name="${f##*/rate.}" -v peak="$peak" -v tokens="$tokens" '{
        flop = 6 * (4 * (4 * 256 * 256 + 2 * 256 * 1024) + 4096 * 256)
        printf "| %s | %.0f | %.0f | %.0f | %.0f | %.0f %% |\n", name, $1, $2, tokens / $2 * 1e3, $2 * flop * 1e-9,
            100 * $2 * flop * 1e-9 / peak }'
done

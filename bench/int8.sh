#!/bin/sh
# int8 inference at the size of SONAR, ours against ONNX Runtime and CTranslate2, interleaved in one run:
#
#   bench/int8.sh TOKENIZER.model DIR
#
# DIR keeps the models, of random weights, and they are made there if missing: 16 GB of disk, 16 GB of memory for
# the peers'. The tokeniser is a part of the file, no more. One thread is timed by CPU time, two by the clock, so two
# need an idle machine.
#
# BUILD    build folder                                   (build)
# THREADS  one after the other                            (1 2)
# TASKS    what is measured                               (encode mixed decode decode16 beam beam16 encode-f32)
# ROUNDS   rounds of everything                           (3)
# RUNS     timed runs of a program in a round             (2)
# LAYERS   of the encoder and of the decoder              (24)
# BATCHES  of the peers in `mixed`: sorted by length, so many at once; 0: all, as they come   (0 8)
# COLD     1: also load with the files out of the page cache                                  (0)
# PYTHON   a Python that has what peer_int8.py needs; empty: no peers
#
# best: of all runs. median: of the medians of the rounds. limit: what the time of a product in the cache, or the bytes of
# all weights at the bandwidth of a product of one row, whichever is more, allow in the same run.
set -eu
[ $# -eq 2 ] || { sed -n '2,22s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../build} dir=$2 layers=${LAYERS:-24} runs=${RUNS:-2}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
touch "$work/limits" "$work/lines"
mkdir -p "$dir/models"
MODELS=$dir/models
export MODELS

for part in encoder decoder; do
    [ -e "$dir/$part.f32" ] || "$build/bench/bench_random_sonar" "$1" "$dir/$part.f32" $part 1024 "$layers" 16 8192 256206
    [ -e "$dir/$part.int8" ] || "$build/lcm" export -q --dtype int8 -o "$dir/$part.int8" "$dir/$part.f32"
done

programs() { # task -> programs and their last argument
    case $1 in
    encode-f32) echo lcm:0 ;;
    encode) echo lcm:0 ${PYTHON:+ort:0 ct2:0} ;;
    mixed) echo lcm:0 ${PYTHON:+$(for b in ${BATCHES:-0 8}; do echo "ort:$b ct2:$b"; done)} ;;
    beam*) echo lcm:5 ${PYTHON:+ct2:5} ;;
    *) echo lcm:1 ${PYTHON:+ct2:1} ;;
    esac
}

run() { # task program last threads runs -> the program's line
    case $1 in
    encode*) args="encode 16 32" part=encoder ;;
    mixed) args="encode 32 0" part=encoder ;;
    decode | beam) args="decode 1 32" part=decoder ;;
    decode16) args="decode 16 32" part=decoder ;;
    beam16) args="decode 16 8" part=decoder ;;
    cold-encode) args="encode 1 32" part=encoder ;;
    cold-decode) args="decode 1 8" part=decoder ;;
    esac
    type=int8
    [ "$1" != encode-f32 ] || type=f32
    # shellcheck disable=SC2086
    case $2 in
    lcm) "$build/bench/bench_sonar_speed" "$dir/$part.$type" $args "$4" "$5" "$3" ;;
    *) "$PYTHON" "$here/peer_int8.py" "$dir/$part.f32" "$2" $args "$4" "$5" "$3" ;;
    esac
}

round=0
while [ $round -lt "${ROUNDS:-3}" ]; do
    round=$((round + 1))
    for threads in ${THREADS:-1 2}; do
        "$build/bench/bench_qgemm" "$threads" 0.1 | awk -v t="$threads" '
            $1 == "int8_224x1024x1024" { print t, "product", $(NF - 1) }
            $1 == "int8_1x256206x1024" { print t, "bandwidth", $(NF - 1) }' >>"$work/limits"
        for task in ${TASKS:-encode mixed decode decode16 beam beam16 encode-f32}; do
            for p in $(programs "$task"); do
                echo "$task $threads $p $(run "$task" "${p%:*}" "${p#*:}" "$threads" "$runs")" | tee -a "$work/lines" >&2
            done
        done
    done
done

echo "| task | threads | program | best | median | lcm / it, best, median | of the limit | load, first result | peak memory |"
echo "|---|---|---|---|---|---|---|---|---|"
awk -v layers="$layers" '
    function after(word, i) { for (i = 1; i < NF; i++) if ($i == word) return $(i + 1) }
    function limit(task, threads,    sentences, beam, weights, tokens, compute, memory) {
        if (task == "encode-f32") return 0
        sentences = task ~ /16/ || task == "encode" ? 16 : task == "mixed" ? 32 : 1
        if (task == "encode" || task == "mixed") {
            tokens = task == "encode" ? 32 : 27
            return top[threads, "product"] * 1e9 / (2 * tokens * layers * 20 * 1024 * 1024)
        }
        beam = task ~ /beam/ ? 5 : 1
        weights = layers * 20 * 1024 * 1024 + 256206 * 1024
        compute = 2 * weights * sentences * beam / (top[threads, "product"] * 1e9)
        memory = weights / (top[threads, "bandwidth"] * 1e9)
        return sentences / (compute > memory ? compute : memory)
    }
    function middle(s,    x, n, i, j, t) {
        n = split(s, x, " ")
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && x[j - 1] + 0 > x[j] + 0; j--) { t = x[j]; x[j] = x[j - 1]; x[j - 1] = t }
        return n % 2 ? x[(n + 1) / 2] : (x[n / 2] + x[n / 2 + 1]) / 2
    }
    FILENAME ~ /limits$/ { if ($3 > top[$1, $2]) top[$1, $2] = $3; next }
    {
        key = $1 " " $2 " " $3
        if (!(key in best)) order[++n] = key
        if (after("best") > best[key] + 0) best[key] = after("best")
        medians[key] = medians[key] " " after("median")
        if (!(key in load) || after("load") < load[key]) { load[key] = after("load"); first[key] = after("first") }
        peak[key] = after("peak")
    }
    END {
        for (i = 1; i <= n; i++) {
            split(order[i], k, " ")
            split(k[3], p, ":")
            m = middle(medians[order[i]])
            if (p[1] == "lcm") { b0 = best[order[i]]; m0 = m }
            l = limit(k[1], k[2])
            printf "| %s | %d | %s%s | %.1f | %.1f | %s | %s | %.2f, %.2f s | %.2f GB |\n", k[1], k[2], p[1],
                p[1] != "lcm" && k[1] == "mixed" ? (p[2] == 0 ? ", one batch" : ", sorted, by " p[2]) : "", best[order[i]], m,
                p[1] == "lcm" ? "" : sprintf("%.2f, %.2f", b0 / best[order[i]], m0 / m),
                l ? sprintf("%.0f %%", 100 * best[order[i]] / l) : "", load[order[i]], first[order[i]], peak[order[i]]
        }
        for (i in top) { split(i, k, SUBSEP); printf "\n%s threads: %s %.1f %s", k[1], k[2], top[i], k[2] == "product" ? "GOP/s" : "GB/s" }
        print ""
    }' "$work/limits" "$work/lines"

[ "${COLD:-0}" = 1 ] || exit 0
echo
echo "| cold start | program | load | first result |"
echo "|---|---|---|---|"
for task in cold-encode cold-decode; do
    for p in lcm:1 ${PYTHON:+ort:0 ct2:1}; do
        [ "$task $p" != "cold-decode ort:0" ] || continue
        find -L "$dir" -type f -exec dd if=/dev/null of={} oflag=nocache conv=notrunc,fdatasync count=0 status=none \;
        run "$task" "${p%:*}" "${p#*:}" 1 1 | awk -v task="${task#cold-}" -v p="${p%:*}" '
            { for (i = 1; i < NF; i++) if ($i == "load") printf "| %s | %s | %.2f s | %.2f s |\n", task, p, $(i + 1), $(i + 3) }'
    done
done

#!/bin/sh
# Speed of generation: milliseconds per concept and stage, time to the first sentence, peak memory.
#
#   bench/generate.sh BUNDLE [lcm generate options]
#
# BUILD build folder (build)   THREADS (all)   ROUNDS (5)
set -eu
[ $# -ge 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
build=${BUILD:-$(dirname "$0")/../build} threads=${THREADS:-$(nproc)}
bundle=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prompt="Once upon a time, there was a little girl named Lily. She had a small red boat. One day, she took the boat to the pond."

now() { date +%s%N; }
round=0
while [ $round -lt "${ROUNDS:-5}" ]; do
    round=$((round + 1))
    begin=$(now)
    "$build/lcm" generate -q -t "$threads" -m "$bundle" --json --eos 2 -n 16 "$@" "$prompt" |
        { IFS= read -r first; now >"$work/first"; printf '%s\n' "$first"; cat; } >"$work/out"
    echo $((($(cat "$work/first") - begin) / 1000)) >>"$work/first_us"
    cat "$work/out" >>"$work/all"
done
# GNU time only for memory: it is not everywhere, and starting it would count above
[ ! -x /usr/bin/time ] || /usr/bin/time -f %M -o "$work/rss" \
    "$build/lcm" generate -q -t "$threads" -m "$bundle" --eos 2 -n 16 "$@" "$prompt" >/dev/null

middle() { sort -g | awk '{ x[NR] = $1 } END { if (NR) printf "%.2f | %.2f\n", x[1], x[int((NR + 1) / 2)]; else print "- | -" }'; }
echo "| stage | min | median |"
echo "|---|---|---|"
for stage in encode context denoise decode; do
    echo "| $stage, ms per concept | $(sed -n "s/.*\"$stage\": *\([0-9.eE+-]*\).*/\1/p" "$work/all" | middle) |"
done
echo "| first sentence, ms from process start | $(awk '{ print $1 / 1000 }' "$work/first_us" | middle) |"
[ ! -s "$work/rss" ] || echo "| peak memory, MB | $(awk '{ print $1 / 1024 }' "$work/rss" | middle) |"

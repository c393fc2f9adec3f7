#!/bin/bash
# lcm curve: an image of one run and of several, logs that are damaged, empty or not there.
set -u
lcm=$1/lcm
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
    [ $got = "$want" ] || { fail "lcm $* exits $got, not $want"; cat err; }
}
says() { grep -qF -e "$2" "$1" || { fail "no '$2' in $1:"; head -c 2000 "$1"; }; }
silent() { [ ! -s "$1" ] || { fail "$1 is not empty:"; head -c 2000 "$1"; }; }

mkdir -p runs/a runs/b
for run in a b; do
    awk -v run=$run 'BEGIN { for (i = 1; i <= 500; i++) printf "{\"step\": %d,\"loss\":%g,\"lr\":%g,\"items\":%d%s}\n", i,
        (run == "a" ? 1 : 2) + 9 / i, 0.001 / i, i * 100, i % 50 ? "" : ",\"valid_mse\":" 1 + 8 / i }' >runs/$run/metrics.jsonl
done
expect 0 curve runs/a -o a.svg; silent out; silent err
expect 0 curve runs/a; silent err; cmp out a.svg || fail "standard output and --out differ"
expect 0 curve runs/a/metrics.jsonl; cmp out a.svg || fail "folder and file differ"
says a.svg "<svg xmlns"; says a.svg ">valid_mse</text>"; says a.svg ">a</text>"; says a.svg ">step</text>"
if command -v xmllint >xml; then xmllint --noout a.svg || fail "not XML"; fi
LC_ALL=de_DE.UTF-8 "$lcm" curve runs/a | cmp - a.svg || fail "the locale changes the image"
expect 0 curve runs/a runs/b --log --items -m loss,valid_mse --metric lr --smooth 10; says out ">b</text>"; says out ">items</text>"

cp runs/a/metrics.jsonl odd.jsonl; printf 'no json\n{"loss": 1}\n{"step": 7}\n' >>odd.jsonl
expect 0 curve odd.jsonl -o odd.svg; says err "odd.jsonl: 3 of 503 lines left out, the first is line 501"
head -c -9 runs/a/metrics.jsonl >growing; expect 0 curve growing; silent err # a run that is being written

: >empty;                              expect 3 curve empty -o x; says err "empty: the log is empty"
head -c 99 /dev/zero >zeros;           expect 3 curve zeros -o x; says err "none of 1 lines"
mkdir folder;                          expect 1 curve folder -o x; says err "folder/metrics.jsonl"
expect 1 curve runs/a missing -o x;    says err "missing"
expect 1 curve runs/a -m lose -o x;    says err "'lose'"
expect 1 curve runs/a -m loss,, -o x;  says err "'loss,,'"
[ -e x ] && fail "a failed command left a file"
expect 1 curve runs/a -o folder/no/x;  says err "folder/no/x"
expect 2 curve;                        says err "is missing"
expect 2 curve runs/a --smooth -1;     says err "--smooth"
[ "$("$lcm" curve empty 2>&1 | wc -l)" = 1 ] || fail "not one line"
if [ -e /dev/full ]; then "$lcm" curve runs/a >/dev/full 2>err; [ $? = 1 ] || fail "a full disk goes unnoticed"; fi
[ $failures = 0 ] && echo "curve: ok"
exit $((failures > 0))

#!/bin/bash
# The program from outside: what it prints where, and its exit codes.
set -u
lcm=$1/lcm
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
failures=0
unset GOMP_SPINCOUNT OMP_WAIT_POLICY OMP_NUM_THREADS # the program's own start is under test

fail() { echo "FAIL: $*"; failures=$((failures + 1)); }

# expect CODE ARGS…: the exit code; out and err hold what was printed
expect() {
    local want=$1 got
    shift
    "$lcm" "$@" >out 2>err </dev/null
    got=$?
    [ $got = "$want" ] || { fail "lcm $* exits $got, not $want"; cat out err; }
}
says() { grep -qF -e "$2" "$1" || { fail "no '$2' in $1:"; cat "$1"; }; }
silent() { [ ! -s "$1" ] || { fail "$1 is not empty:"; cat "$1"; }; }

expect 0 --help;      says out "usage: lcm COMMAND"; says out "130"; silent err
expect 0 --version;   says out "lcm "; says out "onednn"; says out "int8 "; silent err
expect 0 info --help; says out "--check"; says out "--threads N"; silent err
expect 0 info --json --help --nonsense; silent err

expect 2;                         silent out; says err "no command given"
expect 2 inof;                    silent out; says err "did you mean 'info'?"
expect 2 zzzzzz;                  silent out; says err "unknown command 'zzzzzz'"
expect 2 --versoin;               silent out; says err "unknown option"
expect 2 info --chekc x;          silent out; says err "did you mean '--check'?"
expect 2 info -Z x;               silent out; says err "unknown option '-Z'"
expect 2 info --check=1 x;        silent out; says err "--check takes no value"
expect 2 info --threads;          silent out; says err "needs a value"
expect 2 info --threads=many x;   silent out; says err "--threads: 'many' is not a whole number"
expect 2 info --threads=4097 x;   silent out; says err "--threads: 4097 is outside 0 … 4096"
expect 2 info --threads=9999999999999999999999 x; silent out; says err "is outside"
expect 2 info;                    silent out; says err "FILE|FOLDER is missing"
expect 2 info a b;                silent out; says err "unexpected argument 'b'"

expect 1 info missing.safetensors; silent out; says err "missing.safetensors"
[ "$(wc -l <err)" = 1 ] || fail "more than one line about a missing file"
head -c 4096 /dev/zero | tr '\0' 'g' >garbage; expect 3 info garbage; silent out; says err "garbage"
: >empty;                                      expect 3 info empty;   silent out
mkdir folder;                                  expect 1 info folder;  silent out; says err "bundle.json"

# A file of two tensors, one number of which is NaN; a key with an escape sequence.
header='{"__metadata__":{"lcm.kind":"base","k\u001b[31m":"v"},"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"n":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}'
safetensors() { # HEADER: the file up to its data
    local n=${#1}
    printf "\\x$(printf %02x $((n & 255)))\\x$(printf %02x $((n >> 8 & 255)))\\x$(printf %02x $((n >> 16)))\0\0\0\0\0%s" "$1"
}
{ safetensors "$header"; printf '\0\0\x80\x3f\0\0\xc0\x7f\7'; } >model
expect 0 info model
says out "lcm.kind: base"; says out "parameters: 2"; says out "tensors: 2"; says out "w [2, 1]"; says out 'k\x1b[31m: v'
grep -q "$(printf '\033')" out && fail "an escape sequence of the file reached the terminal"
expect 3 info --check model; says out "1 NaN, 0 infinite"; says err "NaN"
expect 3 info --check --json model; says out '"nan": 1'
expect 0 info --json model; says out '"parameters": 2'; says out '"shape": [2, 1]'; silent err
expect 3 info -qc model; says err "NaN"

# A message about a hostile file name carries no escape sequence either.
expect 1 info "$(printf 'a\033[31m')"; grep -q "$(printf '\033')" err && fail "raw escape sequence in a message"

# Sentences.
printf 'Dr. No came\n  in. "Go!" he said.\r\nTabs\tstay. A\tb \n\n Last' >text
printf 'Dr. No came in.\n"Go!" he said.\nTabs\tstay.\nA\tb\nLast\n' >want
expect 0 segment text; silent err
cmp out want || { fail "segment:"; cat out; }
"$lcm" segment <text | cmp - want || fail "segment of standard input"
"$lcm" segment - <text | cmp - <("$lcm" segment text) || fail "segment -"
expect 0 segment --json text; says out '{"begin": 0, "end": 17, "text": "Dr. No came\n  in."}'
printf 'one two three four' >words
expect 0 segment --max-chars 8 words; [ "$(wc -l <out)" -gt 1 ] || fail "--max-chars has no effect"
expect 0 segment empty;                silent out; silent err
printf 'ab\377c' >latin;               expect 3 segment latin; silent out; says err "2"
expect 2 segment --lang='?' text;      silent out
expect 2 segment --max-chars=-1 text;  silent out; says err "outside"
expect 1 segment missing;              silent out; says err "missing"
expect 1 segment folder;               silent out; says err "folder"

# Standard output that cannot be written.
if [ -e /dev/full ]; then
    for args in "--help" "--version" "info model" "info --json model" "info --help" "segment text"; do
        "$lcm" $args >/dev/full 2>err; got=$?
        [ $got = 1 ] || fail "lcm $args > /dev/full exits $got"
        [ "$(wc -l <err)" = 1 ] || fail "lcm $args > /dev/full: not one line: $(cat err)"
        says err "cannot write to standard output: No space left on device"
    done
fi
"$lcm" --help >&- 2>err; [ $? = 1 ] || fail "closed standard output goes unnoticed"
"$lcm" info model 2>&- >out <&- || fail "closed standard error disturbs"

# A closed pipe ends the program quietly, also when the parent ignores SIGPIPE. The output is longer
# than a pipe holds, so that it cannot be written before the reader ends.
safetensors "{\"__metadata__\":{\"long\":\"$(head -c 300000 /dev/zero | tr '\0' 'x')\"}}" >long
for ignored in URG PIPE; do
    (trap '' $ignored; { "$lcm" info long 2>err; echo $? >code; } | head -c 1 >out)
    [ "$(cat code)" = 141 ] || fail "closed pipe: exit code $(cat code)"
    silent err
done

# Threads: options, environment, affinity.
threads() { sed -n 's/^threads  *//p' out; }
OMP_NUM_THREADS=3 "$lcm" --version >out; [ "$(threads)" = 3 ] || fail "OMP_NUM_THREADS is ignored: $(threads)"
taskset -c "$(taskset -pc $$ | sed 's/.*[ ,-]//')" "$lcm" --version >out
[ "$(threads)" = 1 ] || fail "affinity to one CPU gives $(threads) threads"

# The short spin count: set by a second start, unless the user decided. libgomp reports once per start.
if "$lcm" --version | grep -q "^compiler  gcc"; then # clang adds a runtime of its own, which also reports
    starts() { grep -c "OPENMP DISPLAY ENVIRONMENT BEGIN" err; }
    OMP_DISPLAY_ENV=verbose "$lcm" --version >out 2>err
    [ "$(starts)" = 2 ] || fail "$(starts) starts, not 2"
    says err "GOMP_SPINCOUNT = '2000'"
    OMP_DISPLAY_ENV=verbose OMP_WAIT_POLICY=active "$lcm" --version >out 2>err
    [ "$(starts)" = 1 ] || fail "started anew against OMP_WAIT_POLICY"
    OMP_DISPLAY_ENV=verbose GOMP_SPINCOUNT=77 "$lcm" --version >out 2>err
    [ "$(starts)" = 1 ] || fail "started anew against GOMP_SPINCOUNT"
    says err "GOMP_SPINCOUNT = '77'"
fi

[ $failures = 0 ] && echo "cli: ok"
exit $((failures > 0))

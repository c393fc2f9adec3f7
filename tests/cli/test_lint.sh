#!/bin/bash
# script/lint passes on this tree and finds each kind of violation in a small wrong one.
set -eu
source=$2
lint=$source/script/lint
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

"$lint" >"$tree/out" || { cat "$tree/out"; echo "lint fails on the source tree"; exit 1; }

fresh() { # a tree without a violation
    rm -rf "$tree/t"
    mkdir -p "$tree/t/src/base" "$tree/t/src/nn" "$tree/t/include/lcm" "$tree/t/cli"
    printf '/* A thing. */\nLCM_API int lcm_one(void);\nLCM_API int lcm_two(void);\n' >"$tree/t/include/lcm/one.h"
    printf 'int base(void);\n' >"$tree/t/src/base/base.h"
    printf '#include "base/base.h"\n#include "lcm/one.h"\n/* exit(1), printf("%%s") */\nconst char *s = "abort()";\nint my_exit(int x);\n' >"$tree/t/src/nn/nn.c"
    printf '#include "lcm/one.h"\n' >"$tree/t/cli/main.c"
}

expect() { # RULE FILE TEXT: appending TEXT to FILE breaks RULE and nothing else
    fresh
    printf "$3" >>"$tree/t/$2"
    if "$lint" "$tree/t" >"$tree/out"; then echo "not found: $1 in $2: $3"; failures=1; fi
    if [ "$(grep -c "^$2:[0-9]*: $1: " "$tree/out")" != 1 ] || [ "$(wc -l <"$tree/out")" != 1 ]; then
        echo "expected one '$1' in $2 after: $3"; cat "$tree/out"; failures=1
    fi
}

fresh
"$lint" "$tree/t" >"$tree/out" || { cat "$tree/out"; echo "a clean tree fails"; failures=1; }

expect layer src/base/a.c '#include "nn/nn.h"\n'
expect layer src/nn/a.c '#include "../base/base.h"\n'
expect layer include/lcm/two.h '#include "base/base.h"\n'
expect layer cli/a.c '#include "base/base.h"\n'
expect dependency src/nn/a.c '#include <dnnl.h>\n'
expect dependency cli/a.c '#include <curl/curl.h>\n'
for call in 'exit(1)' 'abort()' 'printf("x")' 'getenv("X")' 'rand()' 'strtok(a, b)' 'sprintf(a, b)' 'strcpy(a, b)' 'alloca(3)' \
            'fprintf(stderr, "x")'; do
    expect forbidden src/nn/a.c "void f(void) { $call; }\n"
done
expect forbidden src/nn/a.c '/* comment\n   goes on */ void f(void) { /* x */ exit(1); }\n'
expect api include/lcm/two.h '/* Other. */\nint x;\n\nLCM_API int lcm_three(void);\n'
expect marker src/nn/a.c "/* $(printf 'TO%s' DO) later */\n"
expect space src/nn/a.c 'int x; \n'
expect space src/nn/a.c '\tint x;\n'
expect name src/nn/base.h 'int x;\n'
expect size src/nn/a.c "$(yes 'int x;\n' | head -901 | tr -d '\n')"
[ $failures = 0 ] && echo "lint: ok"
exit $failures

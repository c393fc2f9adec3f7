#!/bin/bash
# The shared library exports exactly what the public headers declare.
set -eu
build=$1 source=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# A declaration begins at LCM_API; the name is the last word before the first parenthesis.
cat "$source"/include/lcm/*.h | tr '\n' ' ' | grep -o 'LCM_API [^;(]*(' | grep -v '__attribute__' |
    sed 's/ *($//; s/.*[ *]//' | sort >"$scratch/declared"
nm -D --defined-only "$build/liblcm.so" | awk '{print $3}' | sort >"$scratch/exported"
[ "$(wc -l <"$scratch/declared")" -ge 7 ] || { echo "found no declarations"; exit 1; }
diff "$scratch/declared" "$scratch/exported" || { echo "< declared only, > exported only"; exit 1; }
echo "symbols: $(wc -l <"$scratch/exported") exported"

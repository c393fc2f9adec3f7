#!/bin/bash
# What is installed can be used: headers one by one, pkg-config, static library, CMake package, manual.
set -eu
build=$1 source=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/usr
cmake --install "$build" --prefix "$prefix" >"$scratch/log" || { cat "$scratch/log"; exit 1; }
flags=$(grep -E '^LCM_SANITIZE:' "$build/CMakeCache.txt" | sed 's/.*=//; s/..*/-fsanitize=&/')
cc=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
cd "$scratch"

for header in "$prefix"/include/lcm/*.h; do # each stands alone, as C and as C++
    name=lcm/$(basename "$header")
    for language in c c++; do
        printf '#include <%s>\n#include <%s>\n' "$name" "$name" |
            "$cc" -x "$language" -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$prefix/include" - ||
            { echo "$name does not compile alone as $language"; exit 1; }
    done
done

cat >use.c <<'END'
#include <lcm/build.h>
#include <stdio.h>
int main(void) {
    lcm_build b;
    lcm_build_get(&b);
    return printf("%s\n", b.version) < 0;
}
END
libdir=$(dirname "$(find "$prefix" -name liblcm.so)")
want=$("$prefix/bin/lcm" --version | sed -n 's/^lcm \([^ ]*\).*/\1/p')
export PKG_CONFIG_PATH=$libdir/pkgconfig
# The file names the configured prefix; pkg-config moves it to where the file lies.
flags_pc=$(pkg-config --define-variable=prefix="$prefix" --cflags --libs lcm)
# shellcheck disable=SC2086
"$cc" use.c $flags $flags_pc -Wl,-rpath,"$libdir" -o shared
[ "$(./shared)" = "$want" ] || { echo "shared library: $(./shared), not $want"; exit 1; }

static=$(pkg-config --define-variable=prefix="$prefix" --static --libs lcm | sed "s|-llcm|$libdir/liblcm.a|")
# shellcheck disable=SC2086
"$cc" -fopenmp use.c $flags -I"$prefix/include" $static -o static
[ "$(./static)" = "$want" ] || { echo "static library: $(./static), not $want"; exit 1; }
! ldd ./static | grep -q liblcm || { echo "the static program loads liblcm"; exit 1; }

printf 'cmake_minimum_required(VERSION 3.20)\nproject(use C)\nfind_package(lcm 0.1 REQUIRED)\nadd_executable(use use.c)\ntarget_link_libraries(use lcm::lcm)\n' >CMakeLists.txt
cmake -S . -B b -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" -DCMAKE_C_FLAGS="$flags" >log 2>&1 && cmake --build b >>log 2>&1 || { cat log; exit 1; }
[ "$(b/use)" = "$want" ] || { echo "CMake package: $(b/use), not $want"; exit 1; }

[ -s "$prefix/share/man/man1/lcm.1" ] || { echo "no manual page"; exit 1; }
"$prefix/bin/lcm" --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' >commands
[ -s commands ] || { echo "no commands in --help"; exit 1; }
while read -r name; do
    grep -q "^\.It Cm $name\b" "$prefix/share/man/man1/lcm.1" || { echo "the manual lacks 'lcm $name'"; exit 1; }
done <commands
echo "install: ok"

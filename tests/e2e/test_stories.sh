#!/bin/bash
# The shipped bundle: both files pass their self-test, a story is continued, the same for one and two threads, and
# simple sentences written for this test come back from their vectors.
set -eu
lcm=$1/lcm
bundle=$2/models/stories
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

size=$(du -sk "$bundle" | cut -f1)
[ "$size" -le 40960 ] || fail "the bundle takes $size kB, limit 40960"
"$lcm" selftest "$bundle/sonar.safetensors" "$bundle/lcm.safetensors" > "$dir/selftest" || { cat "$dir/selftest"; fail "selftest"; }

start="Once upon a time, there was a little girl named Lily. She had a small red boat. One day, she took the boat to the pond."
for t in 1 2; do
    "$lcm" generate -q -t $t -m "$bundle" --seed 5 --concepts 5 "$start" > "$dir/story$t" || fail "generate with $t threads"
done
cmp "$dir/story1" "$dir/story2" || { paste "$dir/story1" "$dir/story2"; fail "threads change the text"; }
[ "$(wc -l < "$dir/story1")" -ge 1 ] || fail "no sentence was generated"
"$lcm" generate -q -m "$bundle" --seed 6 --concepts 5 "$start" > "$dir/other"
cmp -s "$dir/story1" "$dir/other" && fail "another seed gives the same text"
"$1/example_continue_text" "$bundle" "$start" 2 > "$dir/example" || fail "example"
[ "$(wc -l < "$dir/example")" -ge 1 ] || fail "the example wrote nothing"

cat > "$dir/sentences" <<'TXT'
Tom had a big red ball.
She was very happy and said, "Thank you!"
The little dog ran to the tree and sat down.
Mom gave him a hug and they went home.
One day, Anna found a shiny stone in the garden.
The bird was sad because it could not fly.
They played in the park all day long.
"Can I help you?" asked the old man.
Ben and Lily shared the cake with their friends.
He looked up and saw a blue kite in the sky.
TXT
"$lcm" encode -q -m "$bundle" < "$dir/sentences" | "$lcm" decode -q -m "$bundle" > "$dir/back"
same=$(paste -d '\n' "$dir/sentences" "$dir/back" | awk 'NR % 2 { a = $0; next } a == $0 { n++ } END { print n + 0 }')
[ "$same" -ge 8 ] || { diff "$dir/sentences" "$dir/back"; fail "$same of 10 sentences came back"; }
echo "1 passed, 0 failed"

#!/bin/sh
# Runs the fuzz targets for SECONDS each, 10 by default. What they find is left
# in build-fuzz/; the inputs that reach new code are kept for the next time.
# usage: scripts/fuzz.sh [SECONDS]
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-10}
build='build-fuzz'

probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
echo 'int LLVMFuzzerTestOneInput(const char *b, unsigned long n);
  int LLVMFuzzerTestOneInput(const char *b, unsigned long n)
  { return b && n > 99 && *b == 1 ? 0 : 0; }' >"$probe/probe.c"
if ! clang -fsanitize=fuzzer,address,undefined "$probe/probe.c" \
  -o "$probe/probe" >/dev/null 2>&1; then
  echo "fuzz: skipped, clang has no libFuzzer here (Debian's packages: clang," \
    "libclang-rt-dev)"
  exit 0
fi

cmake -S . -B $build -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug \
  -DASTRUM_FUZZ=ON >/dev/null
cmake --build $build --parallel 2 --target fuzz_codec fuzz_graph >/dev/null

mkdir -p $build/corpus/codec $build/corpus/graph
# A table with an item and a pair, and one that is referred to.
printf '\247AV\1\0\0\0\0\2\6\1\0\0\0\1\0\0\0\205\5\1v\4\0\0\0\0\0\0\360\77\2' \
  >$build/corpus/codec/values
printf '\247AV\1\1\0\0\0\1\6\2\0\0\0\1\0\0\0\7\0\0\0\0\0\0\0\0\10\22\0\0\0%b' \
  '\11\1\0' >$build/corpus/codec/shared
for target in codec graph; do
  echo "fuzz: $target, $seconds s"
  $build/fuzz/fuzz_$target -max_total_time="$seconds" -max_len=4096 \
    -rss_limit_mb=512 -timeout=1 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix=$build/ $build/corpus/$target 2>"$probe/log" || {
    cat "$probe/log" >&2
    exit 1
  }
  grep -E 'number_of_executed_units|average_exec' "$probe/log" || :
done

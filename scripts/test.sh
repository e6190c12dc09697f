#!/bin/sh
# Runs the C tests and the specs of one build folder.
# usage: scripts/test.sh [BUILD]
# The last line is `N passed, N failed`; exits 1 when anything failed. A test
# program counts by its own closing line, another ctest test as one.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${1:-build}
xml=$build/ctest.xml
ASTRUM_SPEC_COUNTS=$(pwd)/$build/spec.counts
export ASTRUM_SPEC_COUNTS
rm -f "$xml" "$ASTRUM_SPEC_COUNTS"

ctest --test-dir "$build" --output-on-failure --output-junit ctest.xml \
  --test-output-size-passed 1000000 --test-output-size-failed 1000000
ctest_code=$?

# passed failed
c_counts=$(awk '
  function close_case() {
    if (!open) return
    if (!counted && ok) passed++
    if (!ok && failures == 0) failed++
    open = 0
  }
  /<testcase / {
    close_case()
    open = 1; counted = 0; failures = 0
    ok = $0 ~ /status="run"/
  }
  open && match($0, /[0-9]+ passed, [0-9]+ failed/) {
    split(substr($0, RSTART, RLENGTH), words, /[ ,]+/)
    passed += words[1]; failed += words[3]
    counted = 1; failures += words[3]
  }
  END { close_case(); print passed + 0, failed + 0 }
' "$xml" 2>/dev/null) || c_counts="0 1"
[ "$ctest_code" -eq 0 ] || [ "${c_counts#* }" -gt 0 ] || c_counts="${c_counts% *} 1"

"$build/bin/astrum-lua" /usr/bin/busted --ignore-lua \
  -o spec/support/output.lua spec
spec_code=$?

# passed failed skipped; a crash of the specs is one failure.
if [ -s "$ASTRUM_SPEC_COUNTS" ]; then
  read -r passed failed skipped <"$ASTRUM_SPEC_COUNTS"
else
  echo "the specs did not come to their end (exit code $spec_code)" >&2
  passed=0 failed=1 skipped=0
fi
[ "$spec_code" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1

passed=$((passed + ${c_counts% *}))
failed=$((failed + ${c_counts#* }))
echo "C tests: ${c_counts% *} passed, ${c_counts#* } failed. All together:"
if [ "$skipped" -gt 0 ]; then
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]

#!/bin/sh
# Runs the programs with several threads under the thread sanitizer: the tests of
# several Lua states and of the pool, and all specs but spec/core/preemption_spec.lua and
# spec/gallery_spec.lua. The sanitizer lets a signal in only where libc is
# called, so that loops there, which only compute, would never be stopped.
# usage: scripts/test-threads.sh BUILD, made with ASTRUM_SANITIZE=thread
set -eu
cd "$(dirname "$0")/.."
build=$1
export TSAN_OPTIONS="halt_on_error=1 ${TSAN_OPTIONS:-}"

"$build/test/test_states"
"$build/test/test_thread_pool"
"$build/bin/astrum-lua" /usr/bin/busted --ignore-lua \
  --exclude-pattern=preemption_spec --exclude-pattern=gallery_spec -o spec/support/output.lua spec

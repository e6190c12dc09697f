#!/bin/sh
# Measures how long the specs wait for time to pass, in all processes and threads
# that they start: calls of poll and its like that ended because their time was
# over, and sleeps. Waiting for an event, such as the end of a child process, does
# not count, nor does a sleep that was interrupted: its program has been ended.
# usage: scripts/check-waits.sh [BUILD]     fails above 2 seconds
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}

if ! command -v strace >/dev/null; then
  echo "check-waits: strace is not here: skipped"
  exit 0
fi
traces=$(mktemp -d)
trap 'rm -rf "$traces"' EXIT
calls=epoll_wait,epoll_pwait,poll,ppoll,select,pselect6,nanosleep,clock_nanosleep,futex
strace -ff -T -e "trace=$calls" -e signal=none -o "$traces/t" \
  "$build/bin/astrum-lua" /usr/bin/busted --ignore-lua \
  -o spec/support/output.lua spec >"$traces/output" 2>&1 || {
  tail -n 20 "$traces/output" >&2
  exit 1
}
cat "$traces"/t.* | awk '
  # name(arguments) = result <seconds>
  match($0, /^[a-z_0-9]+\(/) && match($0, /<[0-9.]+>$/) {
    seconds = substr($0, RSTART + 1, RLENGTH - 2)
    name = substr($0, 1, index($0, "(") - 1)
    over = name ~ /sleep/ ? / = 0 </ : name == "futex" ? /ETIMEDOUT/ : / = 0 (\(Timeout\) )?</
    if (over) {
      sum[name] += seconds
      all += seconds
    }
  }
  END {
    for (name in sum)
      printf "%s: %.3f s\n", name, sum[name]
    printf "the specs wait %.2f s for time to pass\n", all
    if (all > 2) {
      print "check-waits: that is more than 2 s; use virtual time, or wait for an event"
      exit 1
    }
  }'

#!/bin/sh
# Counts the instructions that a task costs, from its declaration to its result,
# and compares them with bench/cost.txt: a slow-down is seen in the change that
# makes it. Times would depend on the machine and on what else it does.
# usage: scripts/check-cost.sh [BUILD]        fails above 1.1 x bench/cost.txt
#        scripts/check-cost.sh write [BUILD]  writes bench/cost.txt
set -u
cd "$(dirname "$0")/.." || exit 1
mode="check"
if [ "${1:-}" = write ]; then
  mode="write"
  shift
fi
build=${1:-build}
kept=bench/cost.txt

if ! command -v valgrind >/dev/null; then
  echo "check-cost: valgrind is not here: skipped"
  exit 0
fi
cmake --build "$build" --target bench_sched >/dev/null || exit 1

# Instructions of a command, after options of callgrind.
instructions() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 >/dev/null |
    sed -n 's/,//g; s/.*Collected : \([0-9]*\).*/\1/p'
}

run() { # KIND SHAPE TASKS
  case $1 in
    lua) instructions "$build/bin/astrum-lua" bench/lua_tasks.lua time "$2" "$3" 1 astrum ;;
    flow | sched)
      instructions --toggle-collect="bench_$1" "$build/bench_sched" "$2" "$3" 1 "$1"
      ;;
  esac
}

# What a task more costs: starting the program is not counted, and with C tasks
# neither is making the graph that both are told of.
small=1000 large=5000
measure() { # KIND SHAPE
  few=$(run "$1" "$2" $small) many=$(run "$1" "$2" $large)
  if [ -z "$few" ] || [ -z "$many" ]; then
    echo "check-cost: $1 $2 could not be measured" >&2
    exit 1
  fi
  echo $(((many - few) / (large - small)))
}

code=0
lines=
for kind in lua flow sched; do
  for shape in chain layered wide; do
    cost=$(measure $kind $shape) || exit 1
    lines="$lines$kind $shape $cost
"
    known=$(sed -n "s/^$kind $shape //p" $kept 2>/dev/null)
    echo "$kind $shape: $cost instructions a task (${known:-none} before)"
    if [ $mode = check ] && [ "$cost" -gt $((${known:-0} * 11 / 10)) ]; then
      echo "check-cost: that is more than a tenth above $kept; make it cheaper," \
        "or write it anew by scripts/check-cost.sh write and say why" >&2
      code=1
    fi
  done
done
if [ $mode = write ]; then
  {
    echo "# Instructions for each task, declared, built and run; see scripts/check-cost.sh."
    printf '%s' "$lines"
  } >$kept
fi
exit $code

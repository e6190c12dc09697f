#!/bin/sh
# Runs the specs of workflows with bodies in worker threads wherever these can
# do without what their spec shares with them (spec/support/threads.lua), but
# for those below, which say what holds only in the loop.
# usage: scripts/spec-threads.sh BUILD
set -eu
cd "$(dirname "$0")/.."
build=$1

# Names of specs, as patterns of Lua, each with what it needs.
left_out="
names the tasks that wait$|a wait that the loop knows of
raises a SchedulerError from report|the same
has skipped the tasks that could not start|the same
nothing can happen any more.* is |the same
that is a function fails the task|an error value that is no data
what the __index of a result raises|a result that is no data
may give nil, false or a function|an argument that is no data
survives inputs whose methods fail|the same
survives inputs that cannot be compared|the same
explanation of any task that fails alone|the same
hides what an object gives|the same
error in a to.be.closed variable and ends|io.stderr of the spec
does not replace the error of the body|the same
errors that nobody takes|the same
around sees an error of the body|the value itself in place of an error object
handle:cancel keeps what was complete|a task that is over at once
^the report of a run that failed in part|the same
fails before the others end does not stop them|the same
calls a failed task with dependents a task|tasks that fail one after the other
with the path through a map of workflows|the same
tells how many tasks failed besides the first|the same
says apart what only had not begun when the run|the same
says what a cancelled run was about|where a body in the loop was
"

IFS='
'
set --
for line in $left_out; do
  set -- "$@" "--filter-out=${line%%|*}"
done
exec "$build/bin/astrum-lua" /usr/bin/busted --ignore-lua \
  --helper=spec/support/threads.lua --exclude-pattern=big_graphs_spec \
  -o spec/support/output.lua "$@" spec/flow spec/core

#!/bin/bash
# Checks that the layers stay apart, in the sources and in what is built:
# spec, examples -> lua/astrum -> bindings -> core -> libuv in core/src/uv.
# usage: scripts/check-boundary.sh [BUILD]
set -u
cd "$(dirname "$0")/.." || exit 1
build=${1:-build}
failures=0

fail() {
  failures=$((failures + 1))
  echo "boundary: $1" >&2
}

# forbid TEXT PATTERN FILE...: no line of the files may match.
forbid() {
  local text=$1 pattern=$2 found
  shift 2
  [ $# -gt 0 ] || return 0
  found=$(grep -nHE "$pattern" "$@") || return 0
  while IFS= read -r line; do
    fail "$text: $line"
  done <<<"$found"
}

# include PATTERN: the line that includes a header which matches.
include() { echo "^[[:space:]]*#[[:space:]]*include[[:space:]]+[<\"]($1)[>\"]"; }

mapfile -t core < <(find core/src -maxdepth 1 -name '*.[ch]')
mapfile -t uv < <(find core/src/uv -name '*.[ch]')
mapfile -t bindings < <(find bindings -name '*.[ch]')
mapfile -t lua < <(find lua/astrum -name '*.lua')

forbid "core knows no Lua" "$(include '(lua|lauxlib|lualib)[^>"]*')" \
  "${core[@]}" "${uv[@]}" core/include/astrum.h
forbid "only core/src/uv includes libuv" "$(include 'uv[./][^>"]*')" \
  "${core[@]}" "${bindings[@]}" core/include/astrum.h
forbid "astrum.h includes <stddef.h> and <stdint.h> only" \
  '^#[[:space:]]*include[[:space:]]+([^<]|<[^s]|<s[^t]|<st[^di]|<stdio)' \
  core/include/astrum.h
forbid "bindings use the public header" "$(include '[^">]*core/[^">]*')" \
  "${bindings[@]}"

# Inside core, lower files do not know higher ones.
below() {
  local headers=$1 name
  shift
  for name in "$@"; do
    [ -e "core/src/$name" ] || continue
    forbid "core/src/$name must not know a file above it" \
      "$(include "(uv/)?($headers)\\.h")" "core/src/$name"
  done
}
below 'names|graph|plan|scheduler|loop|process' \
  internal.h list.h alloc.c alloc.h error.c retry.c retry.h
below 'graph|plan|scheduler|loop|process' names.c names.h
below 'plan|scheduler|loop|process' graph.c graph.h
below 'scheduler|loop|process' plan.c plan.h
below 'plan|loop|process' maps.c pools.c ready.c records.c runs.c \
  scheduler.c scheduler.h stop.c timers.c triggers.c

# The library allocates in one place, and neither prints nor exits.
for file in "${core[@]}" "${uv[@]}"; do
  [ "$file" = core/src/alloc.c ] ||
    forbid "only alloc.c allocates" \
      '(^|[^_[:alnum:]>.])(malloc|calloc|realloc|free|strn?dup)[[:space:]]*\(' \
      "$file"
done
forbid "core does not print, exit or abort" \
  '(^|[^_[:alnum:]>.])(f?printf|puts|perror|_?exit|abort)[[:space:]]*\(' \
  "${core[@]}" "${uv[@]}"

forbid "Lua files require astrum.* only" \
  'require[[:space:]]*\(?[[:space:]]*["'\''](([^a]|a[^s])[^"'\'']*|astrum[^."'\''][^"'\'']*)["'\'']' \
  "${lua[@]}"

# What is built. Sanitizers add symbols of their own.
archive=$build/libastrum.a
shared=$build/libastrum.so
module=$build/lua/astrum/core.so
if grep -qs '^ASTRUM_SANITIZE:STRING=.' "$build/CMakeCache.txt"; then
  archive='' shared='' module=''
fi

# symbols TEXT COMMAND...: no line of the command's output may be left.
symbols() {
  local text=$1 line
  shift
  while IFS= read -r line; do
    [ -z "$line" ] || fail "$text: $line"
  done < <("$@")
}
undefined_lua() { nm -u "$archive" 2>/dev/null | grep -E ' U lua'; }
foreign_globals() {
  nm -g --defined-only "$archive" | awk 'NF == 3 && $3 !~ /^astrum_/ {print $3}'
}
writable_data() {
  size -A "$archive" | awk '/\(ex / {file = $1}
    ($1 ~ /^\.(data|bss)/ && $1 !~ /^\.data\.rel\.ro/) && $2 > 0 {print file, $1, $2}'
}
exported() {
  nm -D --defined-only "$1" | awk -v allowed="$2" '$3 !~ allowed {print $3}'
}
if [ -e "$archive" ]; then
  symbols "libastrum.a needs Lua" undefined_lua
  symbols "libastrum.a has a global without prefix" foreign_globals
  symbols "libastrum.a has writable data" writable_data
fi
[ ! -e "$shared" ] ||
  symbols "libastrum.so exports too much" exported "$shared" '^astrum_[^_]'
if [ -e "$module" ]; then
  symbols "core.so exports too much" exported "$module" '^luaopen_astrum_core$'
  nm -D --defined-only "$module" | grep -q ' luaopen_astrum_core$' ||
    fail "core.so does not export luaopen_astrum_core"
  ! ldd "$module" 2>/dev/null | grep -q liblua ||
    fail "core.so is linked to a Lua of its own"
fi

[ "$failures" -eq 0 ]

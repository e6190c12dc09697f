#!/bin/sh
# Installs a build into a folder of its own and uses it as strangers would:
# a C program by find_package, one by pkg-config, a script by lua5.4, the
# program itself.
# usage: scripts/check-install.sh BUILD
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
prefix=$build/install-test
work=$build/install-use
rm -rf "$prefix" "$work"
cmake --install "$build" --prefix "$prefix" >/dev/null

flags=
if grep -q '^ASTRUM_SANITIZE:STRING=.' "$build/CMakeCache.txt"; then
  flags="-fsanitize=$(sed -n 's/^ASTRUM_SANITIZE:STRING=//p' \
    "$build/CMakeCache.txt")"
fi

echo "find_package"
cmake -S "$source/core/test/consumer" -B "$work" \
  -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_FLAGS="$flags" >/dev/null
cmake --build "$work" >/dev/null
"$work/consumer"

echo "pkg-config"
pc=$(find "$prefix" -name astrum.pc)
# shellcheck disable=SC2046,SC2086
cc $flags "$source/core/test/consumer/consumer.c" -o "$work/by-pkg-config" \
  $(PKG_CONFIG_PATH=${pc%/*} pkg-config --cflags --libs astrum)
LD_LIBRARY_PATH=${pc%/pkgconfig/*} "$work/by-pkg-config"

[ -x "$prefix/bin/astrum-lua" ] || exit 0
echo "astrum-lua"
(cd / && "$prefix/bin/astrum-lua" -e 'assert(require "astrum".task)')
share=$prefix/share
bash -n "$share/bash-completion/completions/astrum-lua"
grep -q '^#compdef astrum-lua' "$share/zsh/site-functions/_astrum-lua"
grep -q -- '-l graph' "$share/fish/vendor_completions.d/astrum-lua.fish"
test -s "$prefix/share/man/man1/astrum-lua.1"

# A module built with sanitizers needs a program built with them.
[ -z "$flags" ] || exit 0
echo "lua5.4"
module=$(find "$prefix" -name core.so)
LUA_PATH="$prefix/share/lua/5.4/?.lua;$prefix/share/lua/5.4/?/init.lua" \
  LUA_CPATH="${module%/astrum/core.so}/?.so" \
  lua5.4 -e 'assert(require "astrum".task)'

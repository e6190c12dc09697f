#!/bin/sh
# Builds the rock into a tree of its own and loads the module from there with
# stock lua5.4. Slow, so it runs with `make check` only.
# usage: scripts/check-rock.sh [FOLDER]
set -eu
cd "$(dirname "$0")/.."
tree=${1:-build/rock-tree}
mkdir -p "$tree"
tree=$(cd "$tree" && pwd)
rocks=$(command -v luarocks-5.4 || command -v luarocks)
# luarocks builds in the folder it is called in: a copy keeps ours clean.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$copy"
(cd "$copy" && "$rocks" --lua-version=5.4 --tree="$tree" make \
  cmake/astrum-dev-1.rockspec >"$copy/log" 2>&1) || {
  cat "$copy/log"
  exit 1
}
LUA_PATH="$tree/share/lua/5.4/?.lua;$tree/share/lua/5.4/?/init.lua" \
  LUA_CPATH="$tree/lib/lua/5.4/?.so" \
  lua5.4 -e 'local astrum = require "astrum"
    astrum.task("a", function() return 1 end)
    assert(astrum.run():assert():result("a") == 1)
    print("rock: astrum " .. astrum.VERSION .. " runs in " .. _VERSION)'

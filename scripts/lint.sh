#!/bin/sh
# Reads the sources for mistakes. Each tool that finds one prints it.
set -u
cd "$(dirname "$0")/.." || exit 1
code=0
run() {
  echo "lint: $1"
  "$@" || code=1
}

run luacheck --quiet lua spec examples bench scripts
run lua5.4 scripts/check-annotations.lua
run cppcheck --quiet --enable=warning,style,performance,portability \
  --inline-suppr --std=c11 --error-exitcode=1 \
  --library=scripts/cppcheck.cfg --suppress=missingIncludeSystem \
  -Icore/include -ibindings/test core/src bindings
run shellcheck scripts/*.sh .ci/run
run g++ -std=c++11 -fsyntax-only -pedantic -Wall -Wextra -x c++ \
  core/include/astrum.h

# Both compilers are clean under the whole list of warnings.
for compiler in gcc clang; do
  command -v $compiler >/dev/null || continue
  echo "lint: $compiler"
  cmake -S . -B build/lint-$compiler -DCMAKE_C_COMPILER=$compiler \
    -DASTRUM_WERROR=ON >/dev/null &&
    cmake --build build/lint-$compiler --parallel 2 >/dev/null || code=1
done

# The rock: its description is read, nothing is built.
rocks=$(command -v luarocks-5.4 || command -v luarocks)
run "$rocks" --lua-version=5.4 lint cmake/astrum-dev-1.rockspec
exit $code

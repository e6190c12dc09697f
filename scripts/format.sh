#!/bin/sh
# Formats the C and Lua sources, or checks that they are formatted.
# usage: scripts/format.sh write|check
# shellcheck disable=SC2086 # lists of words
set -u
cd "$(dirname "$0")/.." || exit 1
mode=${1:-check}
code=0

c_files=$(find core bindings examples bench -name '*.[ch]')
if [ "$mode" = write ]; then
  clang-format -i $c_files || code=1
else
  clang-format --dry-run --Werror $c_files || code=1
fi

# stylua is not in Debian; npm brings its binary where it can.
stylua=$(command -v stylua || echo build/tools/node_modules/.bin/stylua)
if [ ! -x "$stylua" ] && command -v npm >/dev/null; then
  npm install --silent --no-save --prefix build/tools \
    @johnnymorganz/stylua-bin@2.5.2 >/dev/null 2>&1
fi
if ! "$stylua" --version >/dev/null 2>&1; then
  echo "format: stylua is not here and npm could not bring it: Lua skipped" >&2
elif [ "$mode" = write ]; then
  "$stylua" lua spec examples bench scripts bindings/test || code=1
else
  "$stylua" --check lua spec examples bench scripts bindings/test || code=1
fi
exit $code

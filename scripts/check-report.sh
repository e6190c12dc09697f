#!/bin/sh
# Opens HTML reports in Chromium and uses them, with playwright-core from npm.
# Says so and passes where node, chromium or playwright-core is missing.
# usage: scripts/check-report.sh BUILD [SCREENSHOTS]
set -eu
cd "$(dirname "$0")/.."
build=$1
tools=build/tools/browser

skip() {
  echo "check-report: skipped, $1"
  exit 0
}
command -v node >/dev/null || skip "there is no node (Debian package nodejs)"
CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser ||
  command -v google-chrome || :)}
[ -n "$CHROMIUM" ] || skip "there is no Chromium (Debian package chromium)"
export CHROMIUM
if [ ! -d $tools/node_modules/playwright-core ] && command -v npm >/dev/null; then
  npm install --silent --no-save --no-package-lock --prefix $tools \
    playwright-core@1.65.1 >/dev/null 2>&1 || :
fi
[ -d $tools/node_modules/playwright-core ] ||
  skip "npm could not bring playwright-core"

pages=$build/report-pages
mkdir -p "$pages"
"$build/bin/astrum-lua" spec/browser/pages.lua "$pages"
[ $# -lt 2 ] || mkdir -p "$2"
NODE_PATH=$tools/node_modules node spec/browser/report_test.js "$pages" ${2+"$2"}

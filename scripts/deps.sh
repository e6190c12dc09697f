#!/bin/sh
# Installs the Debian packages that are missing for: build, test, check,
# peers.
# usage: scripts/deps.sh GROUP...
# shellcheck disable=SC2086 # lists of words
set -eu

# The product works without these.
optional="libedit-dev libmimalloc-dev"

packages=
for group in "$@"; do
  case $group in
    build) packages="$packages gcc libc6-dev make cmake pkg-config
      liblua5.4-dev libuv1-dev libedit-dev libmimalloc-dev" ;;
    test) packages="$packages lua5.4 lua-busted lua-dkjson lua-luv" ;;
    check) packages="$packages g++ clang libclang-rt-dev clang-format
      cppcheck lua-check luarocks shellcheck
      strace valgrind" ;;
    peers)
      packages="$packages python3-dask ninja-build make"
      # Node may have come with one that is no package of its own.
      command -v npm >/dev/null || packages="$packages npm"
      ;;
    *) echo "scripts/deps.sh: unknown group '$group'" >&2; exit 2 ;;
  esac
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  # Another system: go on where the tools of a build are there.
  if command -v cmake >/dev/null && command -v cc >/dev/null &&
    pkg-config --exists lua5.4 libuv 2>/dev/null; then
    exit 0
  fi
  echo "This system has no apt. Install by hand what these Debian packages" \
    "hold, then try again:" $packages >&2
  exit 1
fi

missing=
for package in $packages; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || :
  [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "Packages are missing and there is no sudo. As root, run:" \
      "apt-get install$missing" >&2
    exit 1
  fi
  root=sudo
fi

echo "Installing with apt:$missing"
$root apt-get update -q >/dev/null ||
  echo "apt-get update failed; trying with the package lists as they are" >&2
install() {
  $root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "$@" >/dev/null
}
install $missing && exit 0
needed=
for package in $missing; do
  case " $optional " in
    *" $package "*) echo "apt could not install $package: going on without it" >&2 ;;
    *) needed="$needed $package" ;;
  esac
done
[ -z "$needed" ] || install $needed || {
  echo "apt could not install:$needed" >&2
  exit 1
}

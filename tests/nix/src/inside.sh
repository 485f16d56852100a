# SPDX-License-Identifier: MIT OR Apache-2.0
# Makes ROOT the root of this mount namespace, with PROJECT at /src, TOOLS at /tools and STORE at
# /nix, and becomes the words it is given. nix takes its builds into namespaces of their own only
# below a real root: in a chroot it would build with the whole machine visible.
set -eu
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
mount --bind "$PROJECT" "$ROOT/src"
mount -o remount,bind,ro "$ROOT/src"
mount --bind "$TOOLS" "$ROOT/tools"
mount -o remount,bind,ro "$ROOT/tools"
mount --bind "$STORE" "$ROOT/nix"
mkdir -p "$STORE/tmp"
mount --bind "$STORE/tmp" "$ROOT/tmp"
mount -t tmpfs tmpfs "$ROOT/root"
mount -t tmpfs tmpfs "$ROOT/etc/nix"
cd "$ROOT"
pivot_root . oldroot
umount -l /oldroot
cd /src
exec env -i HOME=/root USER=root LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  NIX_CONFIG="$NIX_CONFIG" "$@"

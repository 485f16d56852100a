# SPDX-License-Identifier: MIT OR Apache-2.0
# The root file system: everything that a system refers to, and what its first program expects.
# Modes of the directories that no store path brings are said here: the builder's own differ from
# machine to machine, and 0750 on / locks out everybody but root.
{
  run,
  tools,
  toplevel,
  # Room of a slot on the board.
  maxBytes ? 1073741824,
}:
let
  closure = import ./lib/closure.nix toplevel;
in
run "rootfs.squashfs"
  {
    inherit tools;
    inherit (closure) attrs;
  }
  ''
    ${closure.list}
    # It refuses to be told the time twice.
    unset SOURCE_DATE_EPOCH
    # shellcheck disable=SC2046
    mksquashfs $(cat paths) "$out" -no-strip -all-root -no-xattrs -noappend -quiet -no-progress \
      -comp zstd -Xcompression-level 19 -b 1M -mkfs-time 1 -all-time 1 -root-mode 0755 \
      -p "nix m 755 0 0" -p "nix/store m 755 0 0" \
      -p "bin d 755 0 0" -p "data d 755 0 0" -p "dev d 755 0 0" -p "etc d 755 0 0" \
      -p "home d 755 0 0" -p "proc d 555 0 0" -p "root d 700 0 0" -p "run d 755 0 0" \
      -p "sbin d 755 0 0" -p "sys d 555 0 0" -p "tmp d 1777 0 0" -p "usr d 755 0 0" \
      -p "usr/bin d 755 0 0" -p "var d 755 0 0" \
      -p "init s 777 0 0 $toplevel/init" -p "sbin/init s 777 0 0 $toplevel/init"
    size=$(stat -c %s "$out")
    if [ "$size" -gt ${toString maxBytes} ]; then
      echo "$size bytes do not fit into a slot of ${toString maxBytes}" >&2
      exit 1
    fi
  ''

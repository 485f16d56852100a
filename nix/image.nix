# SPDX-License-Identifier: MIT OR Apache-2.0
# The flashable image, its list of components and their checksums: all of it by `atomix image build` alone.
{
  run,
  lib,
  atomix,
  # Of the operating system; part of the file's name.
  series,
  # Of the product.
  version,
  bootFiles,
  rootfs,
  components,
  # Null: the emulator loads it itself.
  uboot,
  watchdog ? false,
  board ? "rock64",
}:
let
  arguments =
    import ./lib/parts.nix lib {
      inherit
        bootFiles
        rootfs
        version
        watchdog
        board
        ;
    }
    ++ [
      "--series"
      series
      "--components"
      "${components}"
    ]
    ++ lib.optionals (uboot != null) [
      "--idbloader"
      "${uboot}/idbloader.img"
      "--u-boot"
      "${uboot}/u-boot.itb"
    ];
in
run "atomixos-${series}" { tools = [ atomix ]; } ''
  atomix image build ${lib.escapeShellArgs arguments} "$out"
''

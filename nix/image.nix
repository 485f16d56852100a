# SPDX-License-Identifier: MIT OR Apache-2.0
# The flashable image, its list of components and their checksums. What is in it is decided by `atomix image build` alone.
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
  sbom,
  # Null: the emulator loads it itself.
  uboot,
  watchdog ? false,
  board ? "rock64",
}:
let
  name = "atomixos-${series}.img";
  sbomName = "atomixos-${series}.cdx.json";
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
    ++ lib.optionals (uboot != null) [
      "--idbloader"
      "${uboot}/idbloader.img"
      "--u-boot"
      "${uboot}/u-boot.itb"
    ];
in
run name { tools = [ atomix ]; } ''
  mkdir "$out"
  atomix image build ${lib.escapeShellArgs arguments} "$out/${name}"
  cp ${sbom} "$out/${sbomName}"
  cd "$out"
  sha256sum "${name}" "${sbomName}" >SHA256SUMS
''

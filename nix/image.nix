# SPDX-License-Identifier: MIT OR Apache-2.0
# The flashable image and its checksum. What is in it is decided by `atomix image build` alone.
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
  init,
  uboot ? null,
  watchdog ? false,
}:
let
  name = "atomixos-${series}.img";
  arguments = [
    "--boot"
    bootFiles
    "--rootfs"
    rootfs
    "--image-version"
    version
    "--init"
    init
    "--source-date-epoch"
    "1"
  ]
  ++ lib.optionals (uboot != null) [
    "--idbloader"
    "${uboot}/idbloader.img"
    "--u-boot"
    "${uboot}/u-boot.itb"
  ]
  ++ lib.optional watchdog "--watchdog";
in
run name { tools = [ atomix ]; } ''
  mkdir "$out"
  atomix image build ${lib.escapeShellArgs arguments} "$out/${name}"
  cd "$out"
  sha256sum "${name}" >SHA256SUMS
''

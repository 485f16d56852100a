# SPDX-License-Identifier: MIT OR Apache-2.0
# What a bundle carries, unsigned: manifest, boot and root file system. No private key comes near a
# store that everybody on the machine can read; nix/rauc-bundle.nix and `nix run .#sign-bundle` sign.
{
  run,
  lib,
  atomix,
  version,
  bootFiles,
  rootfs,
  watchdog ? false,
  board ? "rock64",
}:
let
  arguments = import ./lib/parts.nix lib {
    inherit
      bootFiles
      rootfs
      version
      watchdog
      board
      ;
  };
in
run "bundle-content" { tools = [ atomix ]; } ''
  atomix image content ${lib.escapeShellArgs arguments} "$out"
''

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
}:
let
  arguments = import ./lib/parts.nix lib {
    inherit
      bootFiles
      rootfs
      version
      watchdog
      ;
  };
in
run "bundle-content" { tools = [ atomix ]; } ''
  atomix image content ${lib.escapeShellArgs arguments} "$out"
''

# SPDX-License-Identifier: MIT OR Apache-2.0
# The verbs' scripts by name: nix/apps.nix with a nixpkgs that makes no programs of them.
builtins.mapAttrs (_: app: app.program) (
  import ../../nix/apps.nix {
    packages.image-rock64-qemu = "/image";
    uboot-rock64-qemu = "/u-boot";
    pkgs = {
      lib.getExe = app: app.text;
      writeShellApplication = app: app;
    };
  }
)

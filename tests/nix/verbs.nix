# SPDX-License-Identifier: MIT OR Apache-2.0
# The verbs' scripts by name: nix/apps.nix with a nixpkgs that makes no programs of them.
builtins.mapAttrs (_: app: app.program) (
  import ../../nix/apps.nix {
    packages = { };
    pkgs = {
      lib.getExe = app: app.text;
      writeShellApplication = app: app;
    };
  }
)

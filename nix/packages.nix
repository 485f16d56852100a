# SPDX-License-Identifier: MIT OR Apache-2.0
# The packages of one system. Tools come from `pkgs`, everything else from this repository.
{ pkgs, source }:
let
  inherit (pkgs) lib;
  version = (lib.importTOML ../Cargo.toml).workspace.package.version;
  program =
    arguments:
    import ./program.nix (
      {
        inherit lib source version;
        inherit (pkgs) rustPlatform pkg-config openssl;
      }
      // arguments
    );
in
{
  atomix = program {
    pname = "atomix";
    crates = [
      "atomix"
      "config-api"
    ];
    links = [
      "rauc"
      "fw_printenv"
      "fw_setenv"
    ];
  };
  # For the initrd: the same code without TLS, D-Bus and a runtime.
  atomix-repart = program {
    pname = "atomix-repart";
    crates = [ "atomix-repart" ];
  };
}

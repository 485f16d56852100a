# SPDX-License-Identifier: MIT OR Apache-2.0
# Everything that the flake offers, by system.
{ self, nixpkgs }:
let
  inherit (nixpkgs) lib;
  systems = [
    "aarch64-linux"
    "x86_64-linux"
  ];
  forEach = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
  source = import ./source.nix;
  packagesOf = pkgs: import ./packages.nix { inherit pkgs source; };
  systemsOf = import ./configurations.nix {
    inherit lib;
    packages = self.packages.aarch64-linux;
  };
in
{
  packages = forEach packagesOf;
  nixosConfigurations = systemsOf.configurations;
  nixosModules = {
    default = ./modules;
    rock64 = ./boards/rock64.nix;
  };
  # A Rock64 with its owner's modules; without a keyring among them it does not evaluate.
  lib = {
    inherit (systemsOf) rock64;
    # For checks: what the modules say otherwise than the files that the Rust side tests, and their page.
    agreement = import ../tests/nix/agreement.nix {
      inherit lib;
      inherit (systemsOf) configurations development rock64;
    };
    units = import ../tests/nix/units.nix {
      inherit lib;
      inherit (systemsOf.configurations.rock64-development) config;
    };
    options = import ../tests/nix/options.nix {
      inherit lib;
      inherit (systemsOf.configurations.rock64-development) options;
    };
  };
  formatter = forEach (pkgs: pkgs.nixfmt);
}

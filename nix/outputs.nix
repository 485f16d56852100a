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
  # Ours, and which state of the source it is: two builds are told apart by it.
  version =
    (lib.importTOML ../Cargo.toml).workspace.package.version
    + "+"
    + (self.shortRev or self.dirtyShortRev or "unknown");
  packagesOf = pkgs: import ./packages.nix { inherit pkgs source version; };
  # What is flashed and installed of a system, put together on a machine of another kind or the same.
  releaseOf =
    pkgs: signing: system:
    let
      watchdog = lib.optionalString system.config.atomixos.watchdog.enable "-watchdog";
    in
    import ./release.nix {
      inherit
        lib
        system
        version
        signing
        ;
      run = import ./run.nix pkgs;
      inherit (pkgs) squashfsTools;
      inherit (self.packages.${pkgs.stdenv.hostPlatform.system}) atomix;
      armTrustedFirmware = nixpkgs.legacyPackages.aarch64-linux.armTrustedFirmwareRK3328;
      uboot =
        {
          rock64 = self.packages.aarch64-linux."uboot-rock64${watchdog}";
          rock64-qemu = null;
        }
        .${system.config.atomixos.board.name};
    };
  developmentSigning = {
    certificate = "${self.packages.aarch64-linux.development-keys}/signer.pem";
    key = "${self.packages.aarch64-linux.development-keys}/signer.key";
  };
  systemsOf = import ./configurations.nix {
    inherit lib version;
    packages = self.packages.aarch64-linux;
  };
in
{
  packages = forEach (
    pkgs:
    packagesOf pkgs
    // releaseOf pkgs developmentSigning self.nixosConfigurations.rock64-development
    // {
      image-rock64-qemu = (releaseOf pkgs developmentSigning self.nixosConfigurations.rock64-qemu).image;
    }
  );
  checks = forEach (
    pkgs:
    import ./checks.nix {
      inherit pkgs source version;
      packages = self.packages.${pkgs.stdenv.hostPlatform.system};
    }
  );
  apps = forEach (
    pkgs:
    import ./apps.nix {
      inherit pkgs;
      packages = self.packages.${pkgs.stdenv.hostPlatform.system};
      uboot-rock64-qemu = self.packages.aarch64-linux.uboot-rock64-qemu;
    }
  );
  devShells = forEach (pkgs: {
    default = pkgs.mkShell { packages = import ./toolchain.nix { inherit pkgs; }; };
  });
  nixosConfigurations = systemsOf.configurations;
  nixosModules = {
    default = ./modules;
    rock64 = ./boards/rock64.nix;
  };
  # A Rock64 with its owner's modules; without a keyring among them it does not evaluate. Image and bundle
  # of such a system.
  lib = {
    inherit (systemsOf) rock64;
    inherit releaseOf;
    # For checks: what the modules say otherwise than the files that the Rust side tests, and their page.
    agreement = import ../tests/nix/agreement.nix {
      inherit lib;
      inherit (systemsOf) configurations development rock64;
    };
    filters = import ../tests/nix/filters.nix {
      inherit lib;
      inherit (systemsOf) configurations development rock64;
    };
    needs = import ../tests/nix/kernel.nix {
      inherit lib;
      inherit (systemsOf) configurations development rock64;
    };
    releases = import ../tests/nix/releases.nix {
      inherit lib;
      inherit (systemsOf) configurations;
      packages = self.packages.aarch64-linux;
      releases = forEach (
        pkgs: builtins.mapAttrs (_: releaseOf pkgs developmentSigning) systemsOf.configurations
      );
    };
    units = {
      inherit
        (import ../tests/nix/units.nix {
          inherit lib;
          inherit (systemsOf.configurations.rock64-development) config;
        })
        initrd
        rules
        system
        ;
    };
    initrd = import ../tests/nix/initrd.nix {
      inherit lib;
      inherit (systemsOf) development rock64;
    };
    options = import ../tests/nix/options.nix {
      inherit lib;
      inherit (systemsOf.configurations.rock64-development) options;
    };
  };
  formatter = forEach (pkgs: pkgs.nixfmt);
}

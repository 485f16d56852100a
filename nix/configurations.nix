# SPDX-License-Identifier: MIT OR Apache-2.0
# Systems that are built from the modules. No production system is among them: its keyring is its
# owner's, and the function `rock64` refuses to be without one.
{
  lib,
  packages,
  # Of the product.
  version,
}:
rec {
  # A Rock64 with whatever its owner adds.
  rock64 = onBoard ./boards/rock64.nix;
  # The same in an emulator, for a look at it.
  rock64-qemu = onBoard ./boards/rock64-qemu.nix;
  onBoard =
    board: modules:
    lib.nixosSystem {
      system = "aarch64-linux";
      modules = [
        board
        {
          atomixos.package = lib.mkDefault packages.atomix;
          atomixos.repart.package = lib.mkDefault packages.atomix-repart;
          # What follows a flashed slot must not be older. NixOS takes no "+" in it.
          system.image.version = lib.mkDefault (lib.head (lib.splitString "+" version));
        }
      ]
      ++ modules;
    };

  # Believes whoever signs with the keys that this machine made for development.
  development = {
    networking.hostName = "gateway";
    atomixos.update.developmentKeyring = "${packages.development-keys}/ca.pem";
  };

  configurations = {
    rock64-development = rock64 [ development ];
    rock64-qemu = rock64-qemu [
      development
      # A terminal for whoever tries it: nobody else comes to this board.
      { users.users.root.initialHashedPassword = ""; }
    ];
    # What no other one has switched on.
    rock64-development-watchdog = rock64 [
      development
      {
        atomixos.watchdog.enable = true;
        atomixos.agents = {
          mode = "hawkbit";
          metered = true;
        };
        atomixos.update = {
          busPolicy = "everybody";
          minBundleVersion = "1.0.0";
        };
        atomixos.configApi.console = false;
      }
    ];
  };
}

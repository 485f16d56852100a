# SPDX-License-Identifier: MIT OR Apache-2.0
# Systems that are built from the modules.
{ lib, packages }:
{
  rock64 = lib.nixosSystem {
    system = "aarch64-linux";
    modules = [
      {
        networking.hostName = "gateway";
        environment.systemPackages = [ packages.atomix ];
      }
    ];
  };
}

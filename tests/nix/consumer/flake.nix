# SPDX-License-Identifier: MIT OR Apache-2.0
# Somebody's own flake, as docs/nix-modules.md and docs/building.md say that one is written. It sees of
# this repository what the flake gives out, and nothing else.
{
  inputs.atomix.url = "github:example/atomix";
  inputs.nixpkgs.follows = "atomix/nixpkgs";
  outputs =
    {
      self,
      atomix,
      nixpkgs,
    }:
    let
      # A file of another flake comes as a string, not as a path.
      certificate = "${atomix}/tests/fixtures/rauc-1.8/ca.cert.pem";
      release =
        system:
        atomix.lib.releaseOf nixpkgs.legacyPackages.${system} {
          inherit certificate;
          key = "/never/used";
        } self.nixosConfigurations.gateway;
    in
    {
      nixosConfigurations.gateway = atomix.lib.rock64 [
        {
          atomixos.update.keyring = certificate;
          networking.hostName = "gateway-of-somebody";
        }
      ];
      packages.x86_64-linux = release "x86_64-linux";
      packages.aarch64-linux = release "aarch64-linux";
    };
}

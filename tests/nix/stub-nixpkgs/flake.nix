# SPDX-License-Identifier: MIT OR Apache-2.0
# Stands in for the nixpkgs input where nixpkgs cannot be fetched. Our own text, nothing of it is
# from nixpkgs. It is stricter: packages, their arguments and options that are not listed here are
# errors. That a name is listed says that somebody looked it up, not that nixpkgs was evaluated.
{
  description = "stand-in for nixpkgs: strict options, a fixed list of packages";
  outputs =
    { self }:
    let
      lib = import ./lib.nix;
      pkgsFor = system: import ./pkgs.nix { inherit lib system; };
      nixosSystem = import ./nixos.nix { inherit lib pkgsFor; };
    in
    {
      lib = lib // {
        inherit nixosSystem;
      };
      legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] pkgsFor;
    };
}

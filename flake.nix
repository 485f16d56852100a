# SPDX-License-Identifier: MIT OR Apache-2.0
# Only wires nixpkgs to nix/: every file there is a function of named arguments.
{
  description = "atomix: the boot and update chain of A/B devices, its images and its NixOS modules";
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";
  outputs = { self, nixpkgs }: import ./nix/outputs.nix { inherit self nixpkgs; };
}

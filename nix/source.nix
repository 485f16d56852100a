# SPDX-License-Identifier: MIT OR Apache-2.0
# What the programs are built from: a change of these is no reason to compile.
let
  root = ../.;
  left = [
    ".ci"
    ".git"
    "flake.lock"
    "flake.nix"
    "nix"
    "target"
  ];
in
builtins.path {
  path = root;
  name = "atomix-source";
  filter = path: _: !(dirOf path == toString root && builtins.elem (baseNameOf path) left);
}

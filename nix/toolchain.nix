# SPDX-License-Identifier: MIT OR Apache-2.0
# What this workspace is written and judged with, where it comes from nixpkgs.
{ pkgs }:
[
  pkgs.cargo
  pkgs.cargo-deny
  pkgs.clippy
  pkgs.deadnix
  pkgs.dosfstools
  pkgs.f2fs-tools
  pkgs.gdisk
  pkgs.mdbook
  pkgs.mtools
  pkgs.nixfmt
  pkgs.openssl
  pkgs.pkg-config
  pkgs.rustc
  pkgs.rustfmt
  pkgs.squashfsTools
  pkgs.ubootTools
]

# SPDX-License-Identifier: MIT OR Apache-2.0
# The scenarios of the original's suite, as machines: what a NixOS of these modules does, and what is
# left on its disks. Written against our programs; never run where this repository is tested, for want
# of nixpkgs: there they are evaluated, and their scripts are compiled.
{ pkgs, packages }:
let
  inherit (pkgs) lib;
  board = import ./board.nix { inherit lib pkgs packages; };
  scenario =
    name:
    pkgs.testers.runNixOSTest (
      import (./. + "/${name}.nix") { inherit lib pkgs board; } // { inherit name; }
    );
in
lib.genAttrs [
  "confirm"
  "disk"
  "firewall"
  "first-boot-provision"
  "forensics"
  "network-isolation"
  "power-loss"
  "rauc-slots"
  "repart"
  "rollback"
  "serial-recovery"
  "ssh-wan-toggle"
  "update"
  "watchdog"
] scenario

# SPDX-License-Identifier: MIT OR Apache-2.0
# What is flashed and installed of every configuration, put together on either kind of machine: is each part a
# derivation, and do the system, its U-Boot and the program mean the same board, and the same about the watchdog? What is otherwise, in words.
{
  lib,
  configurations,
  # For the board.
  packages,
  # By the machine that builds, then by configuration.
  releases,
}:
let
  ofRelease =
    builder: name: release:
    let
      where = "${name}, put together on ${builder}";
      watchdog = configurations.${name}.config.atomixos.watchdog.enable;
      board = configurations.${name}.config.atomixos.board.name;
      told = part: lib.hasInfix "--watchdog" release.${part}.buildCommand;
      named =
        part:
        builtins.match ".*--board-name'? '?${board}['[:space:]].*" release.${part}.buildCommand != null;
      # What is looked for must not be a dependency.
      bare = builtins.unsafeDiscardStringContext;
      flashed =
        uboot: lib.hasInfix (bare "${packages.${uboot}}/idbloader.img") release.image.buildCommand;
      wrong =
        part:
        lib.optional (told part != watchdog) "${where}: ${part} and the system differ about the watchdog"
        ++ lib.optional (!(named part)) "${where}: ${part} is not told the board";
    in
    lib.concatMap (
      part: lib.optional (!(lib.hasSuffix ".drv" release.${part}.drvPath)) "${where}: no ${part}"
    ) (builtins.attrNames release)
    ++ lib.concatMap wrong [
      "boot-script"
      "bundle-content"
      "image"
    ]
    ++ lib.optional (
      # The emulator loads its own by itself.
      flashed "uboot-rock64-watchdog" != watchdog
      || flashed "uboot-rock64" != (board == "rock64" && !watchdog)
    ) "${where}: the image has the U-Boot of another system";
  armed = builtins.filter (name: configurations.${name}.config.atomixos.watchdog.enable) (
    builtins.attrNames configurations
  );
in
lib.optional (armed == [ ]) "no configuration has the watchdog"
++ lib.concatLists (
  lib.mapAttrsToList (
    builder: ofConfigurations: lib.concatLists (lib.mapAttrsToList (ofRelease builder) ofConfigurations)
  ) releases
)

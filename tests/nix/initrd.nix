# SPDX-License-Identifier: MIT OR Apache-2.0
# The initrd's units with the commands that they have, for a systemd that starts them: units.nix plays
# the commands. The disk is a device that every machine has, and so is what tells machines apart.
{
  lib,
  rock64,
  development,
}:
let
  inherit
    (rock64 [
      development
      {
        atomixos.board.disk = lib.mkForce "/dev/full";
        atomixos.root.machineIdFrom = lib.mkForce "/proc/sys/kernel/random/boot_id";
      }
    ])
    config
    ;
  units = import ./units.nix { inherit lib config; };
  inherit (config.boot.initrd.systemd) services;
  scripts = lib.filterAttrs (_: text: text != "") (lib.mapAttrs (_: unit: unit.script) services);
in
{
  inherit scripts;
  units = lib.mapAttrs' (
    name: unit:
    lib.nameValuePair "${name}.service" (
      builtins.replaceStrings
        [ "ExecStart=/bin/true" ]
        [ "ExecStart=/bin/sh -e /run/told/scripts/${name}" ]
        (units.service unit)
    )
  ) (builtins.removeAttrs services [ "atomix-repart" ]);
  mounts = lib.filterAttrs (name: _: lib.hasSuffix "overlay.mount" name) (
    builtins.listToAttrs (map units.mount config.boot.initrd.systemd.mounts)
  );
  root = lib.concatStringsSep "," config.fileSystems."/".options;
}

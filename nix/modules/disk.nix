# SPDX-License-Identifier: MIT OR Apache-2.0
# Which partitions are this boot's? Links that udev makes on the board's own disk alone, by the slot that
# the selector has put on the kernel command line. A label on a card or a stick makes none of them.
#
# No PARTUUID stands here, because none is known when an image is made: each device's first boot draws
# its own. A fixed one would be a label again, the same on every device's card.
{ config, lib, ... }:
let
  cfg = config.atomixos;
  inherit (cfg) board;
  kernelName = device: lib.removePrefix "/dev/" device;

  onDisk = ''SUBSYSTEM=="block", ENV{DEVTYPE}=="partition", ENV{ID_PART_ENTRY_SCHEME}=="gpt"'';
  slotRules = name: devices: [
    ''${onDisk}, KERNEL=="${kernelName devices.boot}", ENV{rauc.slot}=="${name}", SYMLINK+="disk/atomixos/boot"''
    ''${onDisk}, KERNEL=="${kernelName devices.rootfs}", ENV{rauc.slot}=="${name}", ENV{atomixos.lowerdev}=="${devices.rootfs}", SYMLINK+="disk/atomixos/rootfs"''
  ];
  # vda1, but mmcblk1p1: what ends in a number has a letter before the partition's.
  partitions = board.disk + lib.optionalString (builtins.match ".*[0-9]" board.disk != null) "p";
  rules = lib.concatStringsSep "\n" (
    [
      ''SUBSYSTEM=="block", IMPORT{cmdline}="rauc.slot"''
      ''SUBSYSTEM=="block", IMPORT{cmdline}="atomixos.lowerdev"''
    ]
    ++ slotRules "A" board.slots.A
    ++ slotRules "B" board.slots.B
    ++ [
      ''${onDisk}, KERNEL=="${kernelName partitions}[0-9]*", ENV{ID_PART_ENTRY_NAME}=="${board.dataLabel}", SYMLINK+="disk/atomixos/data"''
      ""
    ]
  );
in
{
  options.atomixos.disk = {
    enable = lib.mkEnableOption "/boot of the running slot and /data of the board's own disk";
    rules = lib.mkOption {
      type = lib.types.str;
      internal = true;
      readOnly = true;
      default = rules;
      defaultText = lib.literalExpression "udev rules of the board's partitions";
      example = "SUBSYSTEM==\"block\", …";
      description = "The udev rules that name this boot's partitions; the Nix step has them judged.";
    };
  };

  config = lib.mkIf cfg.disk.enable {
    services.udev.extraRules = rules;
    boot.initrd.services.udev.rules = rules;

    # Read-only, and nothing waits for it: a boot partition that is damaged costs no boot (fault 12).
    fileSystems."/boot" = {
      device = "/dev/disk/atomixos/boot";
      fsType = "vfat";
      options = [
        "ro"
        "nofail"
        "nodev"
        "nosuid"
        "noexec"
        "umask=0077"
        "x-systemd.device-timeout=30s"
      ];
    };

    # Updating does not need it; who makes directories on it waits for it.
    fileSystems."/data" = {
      device = "/dev/disk/atomixos/data";
      fsType = "f2fs";
      options = [
        "noatime"
        "nodev"
        "nofail"
        "x-systemd.device-timeout=60s"
        "x-systemd.before=systemd-tmpfiles-setup.service"
      ];
    };
  };
}

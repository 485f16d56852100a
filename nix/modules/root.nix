# SPDX-License-Identifier: MIT OR Apache-2.0
# What is / made of? The slot's squashfs, read-only, below a file system in memory. Everything is done by
# units of systemd in the initrd; no script reads the kernel command line.
{
  config,
  lib,
  ...
}:
let
  cfg = config.atomixos.root;
  lower = "/run/atomixos/lower";
  upper = "/run/atomixos/overlay";
in
{
  options.atomixos.root = {
    enable = lib.mkEnableOption "the slot's squashfs as root, with changes in memory";
    memory = lib.mkOption {
      type = lib.types.str;
      default = "20%";
      example = "256M";
      description = ''
        The most that changes to / may take of the memory: in a file system of their own, so that
        whoever fills / leaves /run alone.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    fileSystems."/" = {
      device = "overlay";
      fsType = "overlay";
      neededForBoot = true;
      options = [
        "lowerdir=${lower}"
        "upperdir=${upper}/upper"
        "workdir=${upper}/work"
        "x-systemd.requires=atomixos-overlay.service"
        "x-systemd.requires-mounts-for=${lower}"
      ];
    };
    # An overlay cannot be mounted anew with its own options.
    systemd.suppressedSystemUnits = [ "systemd-remount-fs.service" ];

    boot.initrd.systemd = {
      enable = true;
      emergencyAccess = false;
      mounts = [
        {
          what = "/dev/disk/atomixos/rootfs";
          where = lower;
          type = "squashfs";
          options = "ro";
          unitConfig.DefaultDependencies = false;
        }
        {
          what = "tmpfs";
          where = upper;
          type = "tmpfs";
          options = "mode=0755,size=${cfg.memory}";
          unitConfig.DefaultDependencies = false;
        }
      ];
      services.atomixos-overlay = {
        description = "Directories of the root file system's changes";
        before = [
          "sysroot.mount"
          "shutdown.target"
        ];
        conflicts = [ "shutdown.target" ];
        unitConfig = {
          DefaultDependencies = false;
          RequiresMountsFor = upper;
        };
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "/bin/mkdir -p ${upper}/upper ${upper}/work";
          NoNewPrivileges = true;
        };
      };

      # Nobody sits at the console: an initrd that cannot go on has cost its slot an attempt, and the
      # selector goes on with the next one. The pause leaves time to read the serial line.
      services.atomixos-dead-end = {
        description = "Restart of an initrd that cannot go on";
        wantedBy = [ "emergency.target" ];
        unitConfig.DefaultDependencies = false;
        serviceConfig = {
          Type = "oneshot";
          ExecStartPre = "/bin/sleep 20";
          ExecStart = "/bin/systemctl --force --force reboot";
          StandardOutput = "journal+console";
          NoNewPrivileges = true;
        };
      };
    };
  };
}

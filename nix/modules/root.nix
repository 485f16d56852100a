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
  closed = import ../lib/initrd-hardening.nix;
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
    machineIdFrom = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "/sys/class/block/mmcblk1/device/cid";
      description = ''
        A file that no other device has with the same content, of which the machine's identity is made at
        every boot; / forgets it, and a journal is kept by it. Null: another identity at every boot.
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
          requiredBy = [ "sysroot.mount" ];
          before = [ "sysroot.mount" ];
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
        # From here and not from the file system's options: these are in the fstab of the system too, which
        # would then require a unit that only the initrd has.
        requiredBy = [ "sysroot.mount" ];
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
        }
        // closed;
      };

      # Without it systemd would take every boot for the first one of a new machine.
      services.atomixos-machine-id = lib.mkIf (cfg.machineIdFrom != null) {
        description = "Identity of the machine";
        wantedBy = [ "initrd.target" ];
        before = [
          "initrd-nixos-activation.service"
          "initrd.target"
          "shutdown.target"
        ];
        conflicts = [ "shutdown.target" ];
        unitConfig = {
          DefaultDependencies = false;
          RequiresMountsFor = "/sysroot";
          ConditionPathExists = cfg.machineIdFrom;
        };
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
        }
        // closed;
        # A hash with a word of its own: what identifies the medium is told to nobody.
        script = ''
          mkdir -p /sysroot/etc
          # Of what cannot be read every device would get the same.
          medium=$(cat ${cfg.machineIdFrom})
          test -n "$medium"
          printf 'atomixos machine-id\n%s\n' "$medium" | sha256sum | cut -c1-32 >/sysroot/etc/machine-id
        '';
      };

      # Nobody sits at the console: an initrd that cannot go on has cost its slot an attempt, and the
      # selector goes on with the next one. The pause leaves time to read the serial line.
      services.atomixos-dead-end = {
        description = "Restart of an initrd that cannot go on";
        wantedBy = [ "emergency.target" ];
        unitConfig = {
          DefaultDependencies = false;
          # Whatever keeps the program from it, a limit among them: PID 1 restarts by itself.
          FailureAction = "reboot-immediate";
        };
        serviceConfig = {
          Type = "oneshot";
          ExecStartPre = "/bin/sleep 20";
          ExecStart = "/bin/systemctl --force --force reboot";
          StandardOutput = "journal+console";
        }
        // closed
        // {
          CapabilityBoundingSet = "CAP_SYS_BOOT";
          # The bus, should systemctl ask PID 1 for it after all.
          RestrictAddressFamilies = "AF_UNIX";
          SystemCallFilter = closed.SystemCallFilter ++ [ "@reboot" ];
        };
      };
    };
  };
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# When are the missing partitions made? In the initrd, by atomix-repart, before anything of the disk is
# mounted; and once more in the system, where /data is there, to end the first boot.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.atomixos.repart;
  inherit (config.atomixos) board;
  definitions = board.generated + "/etc/repart.d";
  names = builtins.attrNames (builtins.readDir definitions);
  etc = name: { source = board.generated + "/etc/${name}"; };
in
{
  options.atomixos.repart = {
    enable = lib.mkEnableOption "making the partitions that a flashed image lacks, at the first boot";
    package = lib.mkOption {
      type = lib.types.package;
      example = lib.literalExpression "self.packages.aarch64-linux.atomix-repart";
      description = "The program for the initrd: no TLS, no D-Bus, no network.";
    };
    f2fsTools = lib.mkOption {
      type = lib.types.package;
      default = pkgs.f2fs-tools;
      defaultText = lib.literalExpression "pkgs.f2fs-tools";
      example = lib.literalExpression "pkgs.f2fs-tools";
      description = "Where mkfs.f2fs for the data partition comes from.";
    };
  };

  config = lib.mkIf cfg.enable {
    # systemd's own repart would change the table of an unconfirmed slot at every boot (fault 20), and
    # trims what lies before the first partition.
    assertions = [
      {
        assertion = !config.boot.initrd.systemd.repart.enable && !config.systemd.repart.enable;
        message = "systemd-repart and atomixos.repart would both write the partition table: leave systemd's off.";
      }
    ];

    environment.etc = builtins.listToAttrs (
      map (name: {
        name = "repart.d/${name}";
        value = etc "repart.d/${name}";
      }) names
    );

    atomixos.units."atomix-repart.service" = ../../atomix/units/atomix-repart.service;

    boot.initrd.systemd = {
      extraBin = {
        atomix-repart = "${cfg.package}/bin/atomix-repart";
        "mkfs.f2fs" = "${cfg.f2fsTools}/bin/mkfs.f2fs";
      };
      contents = {
        "/etc/atomix/atomix.toml" = etc "atomix/atomix.toml";
        "/etc/fw_env.config" = etc "fw_env.config";
      }
      // builtins.listToAttrs (
        map (name: {
          name = "/etc/repart.d/${name}";
          value = etc "repart.d/${name}";
        }) names
      );
      services.atomix-repart = {
        description = "Partitions that the definitions ask for";
        wantedBy = [ "initrd.target" ];
        # The kernel drops and adds all partitions meanwhile: whoever waits for one comes after it. A
        # failure is told and costs no boot: slot A is on every image.
        after = [ "atomix-disk.service" ];
        requires = [ "atomix-disk.service" ];
        before = [
          "initrd-root-device.target"
          "run-atomixos-lower.mount"
          "sysroot.mount"
          "shutdown.target"
        ];
        conflicts = [ "shutdown.target" ];
        unitConfig.DefaultDependencies = false;
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStartPre = "/bin/mkdir -p /run/lock";
          ExecStart = "/bin/atomix-repart";
          TimeoutStartSec = 120;
          StandardOutput = "journal+console";
          StandardError = "journal+console";
        }
        // import ../lib/hardening.nix "atomix-orderly-shutdown.service";
      };
      # Waits until udev has seen the disk, so that no name lags behind (history of the original).
      services.atomix-disk = {
        description = "The board's disk";
        after = [ "systemd-udev-trigger.service" ];
        wants = [ "systemd-udev-trigger.service" ];
        before = [ "shutdown.target" ];
        conflicts = [ "shutdown.target" ];
        unitConfig.DefaultDependencies = false;
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "/bin/udevadm wait --settle --timeout=30 ${board.disk}";
        }
        // import ../lib/initrd-hardening.nix
        // {
          # udev's news, and its socket.
          RestrictAddressFamilies = "AF_NETLINK AF_UNIX";
        };
      };
    };
  };
}

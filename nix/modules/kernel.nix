# SPDX-License-Identifier: MIT OR Apache-2.0
# What has the kernel to have? Judged twice: what the board asks of it when the configuration is
# evaluated, and the .config that came out when it is built. An option that the kernel's own configuration
# drops without a word fails the build (fault 2).
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.atomixos.kernel;
  needs =
    map (name: {
      inherit name;
      values = "y";
    }) cfg.builtIn
    ++ map (name: {
      inherit name;
      values = "ym";
    }) cfg.available;
  # The parts' needs and the board's may be the same ones; each is told once.
  missing = lib.unique (
    builtins.filter (need: !(lib.hasInfix (cfg.asked.${need.name} or "n") need.values)) needs
  );
  show = need: "${need.name}=[${need.values}]";
in
{
  options.atomixos.kernel = {
    builtIn = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "SQUASHFS_ZSTD" ];
      description = "Options of the kernel that this system needs built in. The parts add theirs.";
    };
    available = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "F2FS_FS" ];
      description = "Options that it needs built in or as a module.";
    };
    asked = lib.mkOption {
      type = lib.types.attrsOf (
        lib.types.enum [
          "y"
          "m"
          "n"
        ]
      );
      default = { };
      example = {
        SQUASHFS = "y";
      };
      description = "What the board asks its kernel to be built with.";
    };
    configFile = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      example = lib.literalExpression "config.boot.kernelPackages.kernel.configfile";
      description = "The kernel's .config as it came out; the build looks there for every need. Null: only what is asked is judged.";
    };
    verityInKernel = lib.mkOption {
      type = lib.types.bool;
      default = false;
      example = true;
      description = ''
        Whether dm-verity is needed: for a root file system that the kernel checks. Bundles are verified
        in the process and need neither it nor loop devices.
      '';
    };
  };

  config = {
    atomixos.kernel = lib.mkMerge [
      (lib.mkIf config.atomixos.root.enable {
        builtIn = [
          "BLK_DEV_INITRD"
          "DEVTMPFS"
          "SQUASHFS_ZSTD"
          "TMPFS"
        ];
        available = [
          "OVERLAY_FS"
          "SQUASHFS"
        ];
      })
      (lib.mkIf config.atomixos.disk.enable {
        builtIn = [ "EFI_PARTITION" ];
        available = [
          "F2FS_FS"
          "NLS_CODEPAGE_437"
          "NLS_ISO8859_1"
          "VFAT_FS"
        ];
      })
      (lib.mkIf config.atomixos.watchdog.enable {
        builtIn = [
          "WATCHDOG"
          "WATCHDOG_HANDLE_BOOT_ENABLED"
        ];
      })
      (lib.mkIf cfg.verityInKernel {
        available = [
          "BLK_DEV_DM"
          "DM_VERITY"
        ];
      })
    ];

    assertions = [
      {
        assertion = missing == [ ];
        message = "the board's kernel is not asked for what this system needs: ${
          lib.concatMapStringsSep ", " show missing
        }";
      }
    ];

    system.checks = lib.optional (cfg.configFile != null) (
      pkgs.runCommand "atomixos-kernel-needs" { } ''
        ${import ../lib/kernel-needs.nix needs cfg.configFile}
        touch $out
      ''
    );
  };
}

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
  # The parts' needs and the board's may be the same ones; each is told once.
  needs = lib.unique (
    map (name: {
      inherit name;
      values = "y";
    }) cfg.builtIn
    ++ map (name: {
      inherit name;
      values = "ym";
    }) cfg.available
  );
  # What one part needs is not off for the others.
  off = lib.subtractLists (map (need: need.name) needs) cfg.off;
  strangers = builtins.filter (name: (cfg.asked.${name} or "n") != "n") off;
  # The lowest console of the serial line, by the name that its driver gives it.
  console =
    if lib.hasPrefix "ttyAMA" config.atomixos.board.serialConsole then
      "SERIAL_AMBA_PL011_CONSOLE"
    else
      "SERIAL_8250_CONSOLE";
  missing = builtins.filter (need: !(lib.hasInfix (cfg.asked.${need.name} or "n") need.values)) needs;
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
    off = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "BT" ];
      description = "Options that this system's kernel must not have, unless a part needs one of them.";
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
      # The packet filter's table is of family inet, and its first rules are about known connections.
      (lib.mkIf config.atomixos.firewall.enable {
        builtIn = [ "NF_TABLES_INET" ];
        available = [
          "NFT_CT"
          "NF_CONNTRACK"
          "NF_TABLES"
        ];
      })
      # Limits and devices of containers; networks of those without privileges are pasta's, or a bridge
      # in a namespace of its own.
      (lib.mkIf config.atomixos.containers.enable {
        builtIn = [
          "CGROUP_BPF"
          "CGROUP_PIDS"
          "MEMCG"
          "SECCOMP_FILTER"
          "USER_NS"
        ];
        available = [
          "BRIDGE"
          "NFT_MASQ"
          "NFT_NAT"
          "OVERLAY_FS"
          "TUN"
          "VETH"
        ];
      })
      # A first configuration is looked for on sticks of either file system.
      (lib.mkIf config.atomixos.configApi.enable {
        available = [
          "BLK_DEV_SD"
          "EXT4_FS"
          "SCSI"
          "USB_STORAGE"
          "VFAT_FS"
        ];
      })
      (lib.mkIf config.atomixos.logging.enable { available = [ "PSTORE" ]; })
      (lib.mkIf config.atomixos.openvpn.enable { available = [ "TUN" ]; })
      (lib.mkIf config.atomixos.serialRecovery.enable { builtIn = [ console ]; })
      (lib.mkIf config.atomixos.watchdog.enable {
        builtIn = [
          "WATCHDOG"
          "WATCHDOG_HANDLE_BOOT_ENABLED"
        ];
      })
      (lib.mkIf cfg.verityInKernel {
        builtIn = [ "MD" ];
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
      {
        assertion = strangers == [ ];
        message = "the board's kernel is asked for what this system must not have: ${lib.concatStringsSep ", " strangers}";
      }
    ];

    system.checks = lib.optional (cfg.configFile != null) (
      pkgs.runCommand "atomixos-kernel-needs" { } ''
        ${import ../lib/kernel-needs.nix needs off cfg.configFile}
        touch $out
      ''
    );
  };
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# The Pine64 Rock64 (RK3328) as a gateway: everything on but what somebody has to decide. Who may sign
# updates is nowhere here; a system without a keyring does not evaluate.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  # Built in is what a boot needs before a module could be loaded, and what a technician needs when the
  # root file system is what is broken.
  builtIn = [
    "ARCH_ROCKCHIP"
    "AUTOFS_FS"
    "BLK_DEV_INITRD"
    "BLK_DEV_SD"
    "COMMON_CLK_RK808"
    "DEVTMPFS"
    "DWMAC_ROCKCHIP"
    "DW_WATCHDOG"
    "EFI_PARTITION"
    "F2FS_FS"
    "GPIO_ROCKCHIP"
    "I2C_RK3X"
    "MFD_RK8XX_I2C"
    "MMC"
    "MMC_BLOCK"
    "MMC_DW"
    "MMC_DW_ROCKCHIP"
    "MTD"
    "MTD_SPI_NOR"
    "NLS_CODEPAGE_437"
    "NLS_ISO8859_1"
    "OVERLAY_FS"
    "PHY_ROCKCHIP_INNO_USB2"
    "PSTORE"
    "PSTORE_RAM"
    "REGULATOR_RK808"
    "RTC_DRV_RK808"
    "SCSI"
    "SERIAL_8250_DW"
    "SPI_ROCKCHIP"
    "SQUASHFS"
    "SQUASHFS_ZSTD"
    "STMMAC_ETH"
    "STMMAC_PLATFORM"
    "TMPFS"
    "USB_DWC2"
    "USB_DWC3"
    "USB_EHCI_HCD"
    "USB_OHCI_HCD"
    "USB_STORAGE"
    "USB_XHCI_HCD"
    "VFAT_FS"
    "WATCHDOG"
    "WATCHDOG_HANDLE_BOOT_ENABLED"
  ];
  modules = [
    "NF_TABLES"
    "TUN"
    "USB_NET_AX88179_178A"
    "USB_NET_CDCETHER"
    "USB_RTL8152"
    "WIREGUARD"
  ];
  each = value: names: lib.genAttrs names (_: value);
  # Never by kernel modules that the board has no use for as a gateway, and that read strangers' bytes.
  off = [
    "BT"
    "MD"
    "WLAN"
  ];
in
{
  imports = [ ../modules ];

  config = {
    atomixos = {
      board = {
        generated = ../../board-rock64/generated;
        generatedWatchdog = ../../board-rock64/generated-watchdog;
        serialConsole = "ttyS2";
        slots = {
          A = {
            boot = "/dev/mmcblk1p1";
            rootfs = "/dev/mmcblk1p2";
          };
          B = {
            boot = "/dev/mmcblk1p3";
            rootfs = "/dev/mmcblk1p4";
          };
        };
      };
      kernel = {
        inherit builtIn;
        available = modules;
        asked = each "y" builtIn // each "m" modules // each "n" off;
        configFile = config.boot.kernelPackages.kernel.configfile;
      };
      update = {
        enable = lib.mkDefault true;
        compatible = "rock64";
      };
      agents.mode = lib.mkDefault "configured";
      boot.enable = lib.mkDefault true;
      configApi.enable = lib.mkDefault true;
      disk.enable = lib.mkDefault true;
      firewall.enable = lib.mkDefault true;
      lanGateway = {
        enable = lib.mkDefault true;
        wanPath = lib.mkDefault "platform-ff540000.ethernet";
        lanPath = lib.mkDefault "platform-*-usb-*";
      };
      logging.enable = lib.mkDefault true;
      openvpn.enable = lib.mkDefault true;
      repart.enable = lib.mkDefault true;
      root.enable = lib.mkDefault true;
      # Of the eMMC module: an identity moves with the data.
      root.machineIdFrom = lib.mkDefault "/sys/class/block/mmcblk1/device/cid";
      serialRecovery.enable = lib.mkDefault true;
      ssh.enable = lib.mkDefault true;
      verification.enable = lib.mkDefault true;
    };

    boot.kernelPackages = pkgs.linuxPackagesFor (
      pkgs.linux_latest.override {
        structuredExtraConfig = lib.mapAttrs (
          _: value:
          {
            "y" = lib.kernel.yes;
            "m" = lib.kernel.module;
            "n" = lib.kernel.no;
          }
          .${value}
        ) config.atomixos.kernel.asked;
      }
    );
    # All that the initrd needs is built in.
    boot.initrd.includeDefaultModules = false;
    hardware.deviceTree.name = "rockchip/rk3328-rock64.dtb";

    networking.hostName = lib.mkDefault "gateway";
    # A system that is only ever replaced whole needs nothing to change it.
    nix.enable = false;
    system.stateVersion = lib.mkDefault "25.11";
    system.disableInstallerTools = true;
    system.switch.enable = false;
    documentation.enable = false;
  };
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# The Pine64 Rock64 (RK3328) as a gateway.
{ lib, ... }:
{
  imports = [ ./gateway.nix ];

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
      kernel = import ./kernel.nix lib {
        builtIn = [
          "ARCH_ROCKCHIP"
          "COMMON_CLK_RK808"
          "DWMAC_ROCKCHIP"
          "DW_WATCHDOG"
          "GPIO_ROCKCHIP"
          "I2C_RK3X"
          "MFD_RK8XX_I2C"
          "MMC_DW"
          "MMC_DW_ROCKCHIP"
          "MTD"
          "MTD_SPI_NOR"
          "PHY_ROCKCHIP_INNO_USB2"
          "PSTORE_RAM"
          "REGULATOR_RK808"
          "RTC_DRV_RK808"
          "SERIAL_8250"
          "SERIAL_8250_CONSOLE"
          "SERIAL_8250_DW"
          "SPI_ROCKCHIP"
          "STMMAC_ETH"
          "STMMAC_PLATFORM"
          "USB_DWC2"
          "USB_DWC3"
          "USB_EHCI_HCD"
          "USB_OHCI_HCD"
          "USB_XHCI_HCD"
        ];
        modules = [
          "USB_NET_AX88179_178A"
          "USB_NET_CDCETHER"
          "USB_RTL8152"
        ];
      };
      update.compatible = "rock64";
      lanGateway = {
        wanPath = lib.mkDefault "platform-ff540000.ethernet";
        lanPath = lib.mkDefault "platform-*-usb-*";
      };
      # Of the eMMC module: an identity moves with the data.
      root.machineIdFrom = lib.mkDefault "/sys/class/block/mmcblk1/device/cid";
    };
    hardware.deviceTree.name = "rockchip/rk3328-rock64.dtb";
  };
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# What stands for the Rock64 in an emulator: the same system on QEMU's machine `virt`, by real U-Boot with the
# same selector. Its prompt is open: nothing for a product.
{ lib, pkgs, ... }:
let
  # As the end-to-end tests start it. Without firmware the machine has other devices.
  machine = lib.trim (builtins.readFile ../../tests/e2e/src/parts/machine.words);
  tree = import ../run.nix pkgs "qemu-virt-tree" { tools = [ pkgs.qemu ]; } ''
    mkdir "$out"
    head -c 4096 /dev/zero >any
    qemu-system-aarch64 -nodefaults -display none -serial null -M virt,dumpdtb="$out/qemu-virt.dtb" -bios any ${machine}
  '';
in
{
  imports = [ ./gateway.nix ];

  config = {
    atomixos = {
      board = {
        name = "rock64-qemu";
        generated = ../../board-rock64/generated-qemu;
        serialConsole = "ttyAMA0";
        slots = {
          A = {
            boot = "/dev/vda1";
            rootfs = "/dev/vda2";
          };
          B = {
            boot = "/dev/vda3";
            rootfs = "/dev/vda4";
          };
        };
      };
      kernel = import ./kernel.nix lib {
        builtIn = [
          "MMC_SDHCI"
          "MMC_SDHCI_PCI"
          "PCI"
          "PCI_HOST_GENERIC"
          "SERIAL_AMBA_PL011"
          "SERIAL_AMBA_PL011_CONSOLE"
          "VIRTIO"
          "VIRTIO_BLK"
          "VIRTIO_PCI"
        ];
        modules = [
          "I6300ESB_WDT"
          "VIRTIO_NET"
        ];
      };
      update.compatible = "qemu-virt";
      # Where `cargo xtask rock64-qemu-vm` plugs them in.
      lanGateway = {
        wanPath = lib.mkDefault "pci-0000:00:10.0";
        lanPath = lib.mkDefault "pci-0000:00:11.0";
      };
    };
    hardware.deviceTree = {
      package = lib.mkForce tree;
      name = "qemu-virt.dtb";
    };
  };
}

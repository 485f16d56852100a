# SPDX-License-Identifier: MIT OR Apache-2.0
# What is flashed and what is installed, of one system. Tools are the builder's, the system is the
# board's: both need not be the same machine.
{
  run,
  lib,
  atomix,
  squashfsTools,
  # As lib.nixosSystem gives it.
  system,
  # Null: what starts the board brings its own.
  uboot,
  # What is built into U-Boot.
  armTrustedFirmware,
  # Of the product: never that of nixpkgs, which two products may share.
  version,
  # Certificate and key for `rauc-bundle`; see there.
  signing,
}:
let
  inherit (system) config;
  inherit (config.system.build) toplevel;
  series = config.system.nixos.release;
  watchdog = config.atomixos.watchdog.enable;
  board = config.atomixos.board.name;
  rootfs = import ./squashfs.nix {
    inherit run toplevel;
    tools = [ squashfsTools ];
  };
  bootFiles = import ./boot-files.nix {
    inherit run;
    kernel = "${config.system.build.kernel}/${config.system.boot.loader.kernelFile}";
    initrd = "${config.system.build.initialRamdisk}/${config.system.boot.loader.initrdFile}";
    deviceTrees = config.hardware.deviceTree.package;
    deviceTree = config.hardware.deviceTree.name;
  };
  content = import ./bundle-content.nix {
    inherit
      run
      lib
      atomix
      version
      bootFiles
      rootfs
      watchdog
      board
      ;
  };
  components = import ./components.nix {
    inherit run toplevel;
    crateList = ../atomix/dist/crates/system.json;
    firmware = lib.optionals (uboot != null) [
      uboot
      armTrustedFirmware
    ];
  };
in
{
  squashfs = rootfs;
  bundle-content = content;
  inherit components;
  boot-script = import ./boot-script.nix {
    inherit
      run
      lib
      atomix
      watchdog
      board
      ;
  };
  rauc-bundle = import ./rauc-bundle.nix {
    inherit
      run
      lib
      atomix
      content
      ;
    inherit (signing) certificate key;
    name = config.atomixos.update.compatible;
  };
  image = import ./image.nix {
    inherit
      run
      lib
      atomix
      series
      version
      bootFiles
      rootfs
      uboot
      watchdog
      board
      components
      ;
  };
}

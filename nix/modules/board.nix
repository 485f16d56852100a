# SPDX-License-Identifier: MIT OR Apache-2.0
# Which board is it? Its facts come from files that board-rock64 generates and its tests compare; here
# they are only put into their places.
{ config, lib, ... }:
let
  cfg = config.atomixos.board;
  settings = builtins.fromTOML (builtins.readFile (cfg.generated + "/etc/atomix/atomix.toml"));
  slot =
    name: example:
    lib.mkOption {
      type = lib.types.str;
      inherit example;
      description = "Device of slot ${name}.";
    };
in
{
  options.atomixos.board = {
    name = lib.mkOption {
      type = lib.types.enum [
        "rock64"
        "rock64-qemu"
      ];
      default = "rock64";
      example = "rock64-qemu";
      description = "The board's name for `atomix image build --board-name`, which brings layout and boot script.";
    };
    generated = lib.mkOption {
      type = lib.types.path;
      example = lib.literalExpression "./board-rock64/generated";
      description = ''
        Directory of the files that repeat the board's facts: settings, repartitioning, U-Boot.
        `UPDATE=1 cargo test -p board-rock64 generated::` makes it.
      '';
    };
    generatedWatchdog = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      example = lib.literalExpression "./board-rock64/generated-watchdog";
      description = "What is another file where the hardware watchdog is used; null: the board has none.";
    };
    disk = lib.mkOption {
      type = lib.types.str;
      default = settings.disk.device;
      defaultText = lib.literalExpression "disk.device of etc/atomix/atomix.toml";
      example = "/dev/mmcblk1";
      description = ''
        The disk of slots and data. A name that no other disk can have: on the Rock64 the device tree
        numbers the controllers, so that a card or a stick never becomes mmcblk1.
      '';
    };
    dataLabel = lib.mkOption {
      type = lib.types.str;
      default = settings.disk.data-label or "data";
      defaultText = lib.literalExpression "disk.data-label of etc/atomix/atomix.toml";
      example = "data";
      description = "Name of the data partition. It counts on the board's own disk only.";
    };
    slots = {
      A = {
        boot = slot "boot.0" "/dev/mmcblk1p1";
        rootfs = slot "rootfs.0" "/dev/mmcblk1p2";
      };
      B = {
        boot = slot "boot.1" "/dev/mmcblk1p3";
        rootfs = slot "rootfs.1" "/dev/mmcblk1p4";
      };
    };
    serialConsole = lib.mkOption {
      type = lib.types.str;
      default = "ttyS2";
      example = "ttyAMA0";
      description = "The serial line where a technician sits.";
    };
    firmware = lib.mkOption {
      type = lib.types.path;
      readOnly = true;
      default =
        # Without facts of a watchdog the watchdog's own assertion says so, and not a null here.
        (
          if config.atomixos.watchdog.enable && cfg.generatedWatchdog != null then
            cfg.generatedWatchdog
          else
            cfg.generated
        )
        + "/u-boot";
      defaultText = lib.literalExpression "u-boot of generated, or of generatedWatchdog";
      example = lib.literalExpression "./board-rock64/generated/u-boot";
      description = "U-Boot's fragment, selector and slot script for this configuration, for the image.";
    };
  };

  config.environment.etc = {
    "atomix/atomix.toml".source = cfg.generated + "/etc/atomix/atomix.toml";
    "fw_env.config".source = cfg.generated + "/etc/fw_env.config";
  };
}

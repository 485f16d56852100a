# SPDX-License-Identifier: MIT OR Apache-2.0
# What does a boot tell the boot state, and how does every dead end go on? The units are those that the
# real chain is tested with. The kernel's command line is the slot script's: what NixOS puts into
# boot.kernelParams never reaches a board.
{
  config,
  lib,
  ...
}:
let
  cfg = config.atomixos.boot;
  dir = ../../atomix/units;
  # The words that the chain rests on, and what is lost without each.
  words = {
    " panic=" = "a kernel that panics would stand still";
    " gpt " = "a damaged primary partition table would not be made good from its copy";
    " init=/init " = "the system of the slot would not be found";
    " root=fstab " = "the initrd would not mount the slot's overlay";
    "atomixos.lowerdev=" = "the initrd would not know the slot's root file system";
    " \${atomix_args}" = "the selector's word about slot and reason would be lost";
  };
in
{
  options.atomixos.boot = {
    enable = lib.mkEnableOption "the boot state's units and the way out of every dead end";
    script = lib.mkOption {
      type = lib.types.str;
      internal = true;
      default = builtins.readFile (config.atomixos.board.firmware + "/boot.cmd");
      defaultText = lib.literalExpression "boot.cmd of the board's firmware";
      example = "setenv bootargs …";
      description = "The slot script whose kernel command line is judged; the Nix step takes words from it.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = map (word: {
      assertion = lib.hasInfix word cfg.script;
      message = "the slot script has no `${word}' on the kernel command line: ${words.${word}}";
    }) (builtins.attrNames words);

    boot.loader.grub.enable = false;

    atomixos.units = lib.genAttrs [
      "atomix-attempts.service"
      "atomix-attempts.timer"
      "atomix-orderly-shutdown.service"
      "atomix-started.service"
      "emergency.service.d/atomix.conf"
      "rescue.service.d/atomix.conf"
    ] (name: dir + "/${name}");
    environment.etc."systemd/system.conf.d/atomix.conf".source = dir + "/system.conf.d/atomix.conf";
  };
}

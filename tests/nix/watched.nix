# SPDX-License-Identifier: MIT OR Apache-2.0
# What does a watchdog change in a system? Its firmware, two words for the kernel, the driver, systemd's
# times and the warning, and nothing else: every part below is otherwise that of the system without.
{
  lib,
  rock64,
  development,
  device,
  differs,
}:
let
  fed =
    (rock64 [
      development
      { atomixos.watchdog.enable = true; }
    ]).config;
  times = "systemd/system.conf.d/50-atomix-watchdog.conf";
  words = " watchdog.handle_boot_enabled=1 watchdog.open_timeout=300";
  of = parts: lib.genAttrs parts;
  services = config: lib.mapAttrs (_: unit: unit.serviceConfig) config.systemd.services;
  parts = config: {
    inherit (config) fileSystems;
    etc = builtins.removeAttrs config.environment.etc [ times ];
    initrd = of [
      "contents"
      "emergencyAccess"
      "extraBin"
      "mounts"
      "services"
    ] (name: config.boot.initrd.systemd.${name});
    rules = [
      config.boot.initrd.services.udev.rules
      config.services.udev.extraRules
      config.systemd.tmpfiles.rules
    ];
    kernel = {
      inherit (config.boot.kernel) sysctl;
      inherit (config.boot) kernelParams;
      script = builtins.replaceStrings [ words ] [ "" ] config.atomixos.boot.script;
    };
    network = [
      config.networking.nftables.tables
      config.systemd.network.networks
      config.services.dnsmasq.settings
      config.services.chrony.extraConfig
    ];
    rights = [
      config.services.openssh.settings
      config.security.polkit.extraConfig
      config.users.users
    ];
    journal = config.services.journald;
    limits = services config;
    mounts = config.systemd.mounts;
    texts = config.atomixos.unitTexts;
  };
  # The machine of the test: a driver for the device that it has.
  inherit
    (import ../../nix/tests/watchdog.nix {
      inherit lib;
      board.module = { };
      board.prelude = "";
    })
    nodes
    ;
  played = nodes.machine.atomixos.watchdog.driver;
  shown = value: builtins.unsafeDiscardStringContext (builtins.toJSON value);
  ours = parts fed;
  theirs = parts device;
in
lib.concatMap (
  name: differs "a watchdog changes ${name}" (shown ours.${name}) (shown theirs.${name})
) (builtins.attrNames theirs)
++ differs "modules of an initrd without a watchdog" device.boot.initrd.kernelModules [ ]
++ differs "modules of an initrd with a watchdog" fed.boot.initrd.kernelModules [ "dw_wdt" ]
++
  differs "words of a watchdog for the kernel"
    (map (lib.hasInfix words) [
      fed.atomixos.boot.script
      device.atomixos.boot.script
    ])
    [
      true
      false
    ]
++ differs "times of a system without a watchdog" (device.environment.etc ? ${times}) false
++ differs "warnings of a system with a watchdog" (map (
  text: lib.hasInfix "no soak test is named" text
) (lib.subtractLists device.warnings fed.warnings)) [ true ]
++ lib.optional (
  !(builtins.elem "-device ${played}" nodes.machine.virtualisation.qemu.options)
) "the watchdog's test loads ${played}, and QEMU is not given one"

# SPDX-License-Identifier: MIT OR Apache-2.0
# Is the emulated board what the Rust side says of it, and the Rock64's system otherwise? Names of its disk, its
# serial line, its network cards and what it is compatible with are put in their places; the rest is the same.
{
  lib,
  device,
  emulated,
  trimmed,
  read,
  differs,
}:
let
  inherit (emulated.atomixos) board;
  generated = "/board-rock64/generated-qemu";
  slots = lib.concatMap (slot: [
    slot.boot
    slot.rootfs
  ]) (builtins.attrValues board.slots);
  shown = value: builtins.unsafeDiscardStringContext (builtins.toJSON value);
  renamed =
    builtins.replaceStrings
      [ "/dev/vda" "qemu-virt" "ttyAMA0" ]
      [ "/dev/mmcblk1p" "rock64" "ttyS2" ];

  parts = config: {
    services = lib.mapAttrs (_: unit: unit.serviceConfig) config.systemd.services;
    network = [
      config.networking.nftables.tables
      config.systemd.network.networks
      config.services.dnsmasq.settings
      config.services.chrony.extraConfig
    ];
    rights = [
      config.services.openssh.settings
      config.security.polkit.extraConfig
      config.systemd.tmpfiles.rules
    ];
    journal = config.services.journald;
    mounts = config.systemd.mounts;
    texts = config.atomixos.unitTexts;
    files = builtins.attrNames config.environment.etc;
  };
  ours = parts emulated;
  theirs = parts device;
  # "pci-0000:00:10.0" is plugged in at 0x10.
  place =
    path:
    let
      number = builtins.match "pci-0000:00:([0-9a-f]+)\\.0" path;
    in
    "addr=0x${builtins.head number}\"";
  plugged = read "/tests/e2e/src/vm.rs";
in
differs "system.conf of the emulated board" (trimmed emulated.atomixos.update.systemConf) (
  trimmed (read "${generated}/etc/rauc/system.conf")
)
++ differs "slots of the emulated board" slots (
  map (number: "${board.disk}${toString number}") [
    1
    2
    3
    4
  ]
)
++
  differs "the device tree of the emulated board"
    (lib.hasInfix "dtbs/${emulated.hardware.deviceTree.name};" (read "${generated}/u-boot/boot.cmd"))
    true
++ differs "the serial line of the emulated board" (lib.hasInfix "console=${board.serialConsole} " (
  read "${generated}/u-boot/boot.cmd"
)) true
++
  differs "places of the emulator's network cards"
    (map (path: lib.hasInfix (place path) plugged) [
      emulated.atomixos.lanGateway.wanPath
      emulated.atomixos.lanGateway.lanPath
    ])
    [
      true
      true
    ]
++ lib.concatMap (
  name:
  differs "the emulated board changes ${name}" (renamed (shown ours.${name})) (shown theirs.${name})
) (builtins.attrNames theirs)

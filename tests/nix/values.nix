# SPDX-License-Identifier: MIT OR Apache-2.0
# Has a system the values that docs/nix-modules.md tells, one by one? Its table names every value of the
# parts below and no other: one that is changed, added or taken away is found on either side.
{
  lib,
  device,
  differs,
  lacks,
}:
let
  read = path: builtins.readFile (../.. + path);
  lines = text: builtins.filter (line: line != "") (lib.splitString "\n" text);
  flat =
    text:
    lib.concatStringsSep " " (
      builtins.filter (word: builtins.isString word && word != "") (builtins.split "[ \n]+" text)
    );
  picked = names: set: lib.genAttrs names (name: set.${name});
  under = prefix: set: lib.mapAttrs' (name: value: lib.nameValuePair "${prefix}.${name}" value) set;

  sshd = under "services.openssh.settings" device.services.openssh.settings;
  ssh = under "services.openssh" (
    picked [
      "openFirewall"
      "startWhenNeeded"
      "authorizedKeysFiles"
      "hostKeys"
      "extraConfig"
    ] device.services.openssh
  );
  rights = {
    "users.users.root.hashedPassword" = device.users.users.root.hashedPassword;
    "security.sudo.enable" = device.security.sudo.enable;
    "security.polkit.enable" = device.security.polkit.enable;
    "security.polkit.extraConfig" = flat device.security.polkit.extraConfig;
  };
  # "SystemMaxUse=128M" is a value of its own.
  journal = {
    "services.journald.storage" = device.services.journald.storage;
  }
  // builtins.listToAttrs (
    map (
      line:
      let
        parts = builtins.match "([A-Za-z]+)=(.*)" line;
      in
      lib.nameValuePair "journald.conf.${builtins.head parts}" (lib.last parts)
    ) (lines device.services.journald.extraConfig)
  );
  places = lib.concatMap (
    place:
    lib.mapAttrsToList (key: value: lib.nameValuePair "fileSystems.${place}.${key}" value) (
      picked [ "device" "fsType" "neededForBoot" "options" ] device.fileSystems.${place}
    )
  ) (builtins.attrNames device.fileSystems);
  mounts =
    prefix: all:
    map (
      mount:
      lib.nameValuePair "${prefix}.${mount.where}" {
        inherit (mount)
          what
          type
          options
          ;
        for = mount.requiredBy ++ mount.wantedBy;
      }
    ) all;
  initrd = {
    "boot.initrd.systemd.emergencyAccess" = device.boot.initrd.systemd.emergencyAccess;
    "systemd.suppressedSystemUnits" = device.systemd.suppressedSystemUnits;
  }
  // lib.mapAttrs' (
    name: unit:
    lib.nameValuePair "boot.initrd.systemd.services.${name}" {
      before = unit.before;
      for = unit.requiredBy ++ unit.wantedBy;
      mounts = unit.unitConfig.RequiresMountsFor or "";
      runs = unit.serviceConfig.ExecStart or "a script";
    }
  ) device.boot.initrd.systemd.services;
  memory = {
    "systemd.tmpfiles.rules" = device.systemd.tmpfiles.rules;
  }
  // under "boot.kernel.sysctl" device.boot.kernel.sysctl;

  has = lib.mapAttrs (_: value: builtins.unsafeDiscardStringContext (builtins.toJSON value)) (
    sshd
    // ssh
    // rights
    // journal
    // builtins.listToAttrs places
    // builtins.listToAttrs (mounts "initrd mount" device.boot.initrd.systemd.mounts)
    // builtins.listToAttrs (mounts "mount" device.systemd.mounts)
    // initrd
    // memory
  );
  told = builtins.listToAttrs (
    map (row: lib.nameValuePair (builtins.head row) (lib.last row)) (
      builtins.filter (row: row != null) (
        map (builtins.match "\\| `([^`]+)` \\| `([^`]+)` \\|") (lines (read "/docs/nix-modules.md"))
      )
    )
  );
  known = builtins.filter (name: told ? ${name}) (builtins.attrNames has);

  # The rules follow from what the Rust side generates: the devices of system.conf, the root that the
  # slot script names for each slot, the disk of atomix.toml.
  rules =
    let
      system = lib.splitString "[slot." (read "/board-rock64/generated/etc/rauc/system.conf");
      slotDevice =
        name:
        let
          section = builtins.head (builtins.filter (lib.hasPrefix "${name}]") system);
        in
        builtins.head (
          builtins.concatMap (
            line:
            let
              found = builtins.match "device=/dev/(.*)" line;
            in
            if found == null then [ ] else found
          ) (lines section)
        );
      script = read "/board-rock64/generated/u-boot/boot.cmd";
      lowers = map builtins.head (
        builtins.filter builtins.isList (builtins.split "atomixos\\.lowerdev=([^ ]+)" script)
      );
      disk = builtins.fromTOML (read "/board-rock64/generated/etc/atomix/atomix.toml");
      part = ''SUBSYSTEM=="block", ENV{DEVTYPE}=="partition", ENV{ID_PART_ENTRY_SCHEME}=="gpt"'';
      slot = name: index: [
        ''${part}, KERNEL=="${slotDevice "boot.${toString index}"}", ENV{rauc.slot}=="${name}", SYMLINK+="disk/atomixos/boot"''
        ''${part}, KERNEL=="${slotDevice "rootfs.${toString index}"}", ENV{rauc.slot}=="${name}", ENV{atomixos.lowerdev}=="${builtins.elemAt lowers index}", SYMLINK+="disk/atomixos/rootfs"''
      ];
      expected = [
        ''SUBSYSTEM=="block", IMPORT{cmdline}="rauc.slot"''
        ''SUBSYSTEM=="block", IMPORT{cmdline}="atomixos.lowerdev"''
      ]
      ++ slot "A" 0
      ++ slot "B" 1
      ++ [
        ''${part}, KERNEL=="${lib.removePrefix "/dev/" disk.disk.device}p[0-9]*", ENV{ID_PART_ENTRY_NAME}=="data", SYMLINK+="disk/atomixos/data"''
      ];
    in
    differs "udev's rules" (lines device.services.udev.extraRules) expected
    ++ differs "the initrd's udev rules" (lines device.boot.initrd.services.udev.rules) expected;
in
lib.concatMap (name: differs name has.${name} told.${name}) known
++ lacks "values that docs/nix-modules.md does not tell" (
  map (name: "| `${name}` | `${has.${name}}` |") (
    builtins.filter (name: !(told ? ${name})) (builtins.attrNames has)
  )
)
++ lacks "docs/nix-modules.md tells what no system has" (
  builtins.filter (name: !(has ? ${name})) (builtins.attrNames told)
)
++ rules

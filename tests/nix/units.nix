# SPDX-License-Identifier: MIT OR Apache-2.0
# The units of a system as systemd is to read them: the checked-in files with the drop-ins that NixOS makes
# of the modules, and the units that only the modules have. For systemd's own judgement; programs are
# played by one that every machine has.
{ lib, config }:
let
  word =
    value:
    if value == true then
      "true"
    else if value == false then
      "false"
    else
      toString value;
  keys =
    set:
    lib.concatLists (
      lib.mapAttrsToList (
        key: value: map (one: "${key}=${word one}") (if builtins.isList value then value else [ value ])
      ) set
    );
  relations = unit: {
    After = unit.after;
    Before = unit.before;
    Conflicts = unit.conflicts;
    PartOf = unit.partOf;
    Requires = unit.requires;
    Wants = unit.wants;
  };
  section =
    name: lines: lib.optionalString (lines != [ ]) (lib.concatLines ([ "[${name}]" ] ++ lines));
  described = unit: lib.optional (unit.description != "") "Description=${unit.description}";
  unitSection =
    unit: section "Unit" (described unit ++ keys (relations unit) ++ keys unit.unitConfig);
  service =
    unit:
    unitSection unit
    + section "Service" (
      keys unit.serviceConfig ++ lib.optional (unit.script != "") "ExecStart=/bin/true"
    );
  escaped = where: builtins.replaceStrings [ "/" ] [ "-" ] (lib.removePrefix "/" where);
  mount = unit: {
    name = "${escaped unit.where}.mount";
    value =
      unitSection unit
      + section "Mount" [
        "What=${unit.what}"
        "Where=${unit.where}"
        "Type=${unit.type}"
        "Options=${unit.options}"
      ];
  };
  played =
    text:
    builtins.unsafeDiscardStringContext (
      builtins.concatStringsSep "/bin/true" (
        builtins.filter builtins.isString (builtins.split "/nix/store/[^ \n]*|/bin/[a-z0-9-]+" text)
      )
    );
  dropIns =
    systemd: checkedIn:
    lib.mapAttrs' (
      name: unit:
      if checkedIn ? "${name}.service" || unit.overrideStrategy == "asDropin" then
        lib.nameValuePair "${name}.service.d" { "overrides.conf" = played (service unit); }
      else
        lib.nameValuePair "${name}.service" (played (service unit))
    ) systemd.services;
  mounts = systemd: lib.mapAttrs (_: played) (builtins.listToAttrs (map mount systemd.mounts));
  # "emergency.service.d/atomix.conf" is a file in a directory.
  nested = lib.mapAttrs' (
    name: text:
    let
      parts = lib.splitString "/" name;
    in
    lib.nameValuePair (builtins.head parts) (
      if builtins.length parts == 1 then played text else { ${lib.last parts} = played text; }
    )
  );
  # Who is started at a boot, as drop-ins of the targets that want it.
  wants =
    systemd: checkedIn:
    let
      of = suffix: lib.mapAttrsToList (name: unit: unit // { unit = "${name}.${suffix}"; });
      all =
        of "service" systemd.services
        ++ of "timer" (systemd.timers or { })
        ++ map (unit: unit // { unit = "${escaped unit.where}.mount"; }) systemd.mounts;
      targets = lib.unique (lib.concatMap (unit: unit.wantedBy ++ unit.requiredBy) all);
      wantedFrom =
        target: builtins.filter (unit: builtins.elem target (unit.wantedBy ++ unit.requiredBy)) all;
    in
    builtins.listToAttrs (
      map (target: {
        name = "${target}.d";
        value = (checkedIn."${target}.d" or { }) // {
          "wants.conf" = section "Unit" (map (unit: "Wants=${unit.unit}") (wantedFrom target));
        };
      }) targets
    );
  # What systemd makes of an fstab: the part that orders.
  table =
    prefix: places:
    builtins.listToAttrs (
      map (place: {
        name = "${if prefix == "" then escaped place.mountPoint else prefix}.mount";
        value =
          section "Unit" (
            map (option: "Before=${lib.removePrefix "x-systemd.before=" option}") (
              builtins.filter (lib.hasPrefix "x-systemd.before=") place.options
            )
          )
          + section "Mount" [
            "What=${place.device}"
            "Where=${if prefix == "" then place.mountPoint else "/${prefix}"}"
          ];
      }) places
    );
  place = mountPoint: config.fileSystems.${mountPoint} // { inherit mountPoint; };
in
{
  inherit mount service;
  system =
    nested config.atomixos.unitTexts
    // dropIns config.systemd config.atomixos.unitTexts
    // mounts config.systemd
    // wants config.systemd (nested config.atomixos.unitTexts)
    // table "" [
      (place "/boot")
      (place "/data")
    ]
    // {
      "local-fs.target.d" = {
        "wants.conf" = section "Unit" [
          "Wants=boot.mount data.mount var-log-journal.mount var-lib-systemd-pstore.mount"
        ];
      };
    };
  initrd =
    dropIns config.boot.initrd.systemd { }
    // mounts config.boot.initrd.systemd
    // wants config.boot.initrd.systemd { }
    // table "sysroot" [ (place "/") ]
    // {
      "initrd-root-fs.target.d"."requires.conf" = "[Unit]\nRequires=sysroot.mount\nAfter=sysroot.mount\n";
    };
  rules."99-local.rules" = config.atomixos.disk.rules;
}

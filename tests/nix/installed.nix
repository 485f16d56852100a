# SPDX-License-Identifier: MIT OR Apache-2.0
# Is what a system installs what this repository ships, to the letter? Every file that is shipped is
# installed at one place, with its content, or stands here with the reason why it is not.
{
  lib,
  device,
  watched,
  differs,
  lacks,
}:
let
  units = import ../../nix/lib/units.nix;
  root = ../..;
  read = path: builtins.readFile (root + "/${path}");

  # "a/b" for every file below a directory.
  below =
    directory:
    let
      entries = builtins.readDir (root + "/${directory}");
    in
    lib.concatMap (
      name:
      if entries.${name} == "directory" then
        map (inner: "${name}/${inner}") (below "${directory}/${name}")
      else
        [ name ]
    ) (builtins.attrNames entries);

  content = file: if file ? text then file.text else builtins.readFile file;
  entry = file: if file.text != null then file.text else content file.source;
  farms =
    config:
    builtins.foldl' (all: one: all // (one.entries or { })) { } (
      config.systemd.packages ++ config.systemd.tmpfiles.packages ++ config.services.dbus.packages
    );
  prefixed =
    prefix: files: lib.mapAttrs' (name: file: lib.nameValuePair "${prefix}${name}" (entry file)) files;
  # By the place where it is installed, the text.
  installed =
    config:
    lib.mapAttrs (_: content) (farms config)
    // prefixed "etc/" config.environment.etc
    // prefixed "initrd" config.boot.initrd.systemd.contents;

  # The programs' paths of a NixOS as they are in the files, said here a second time.
  programs = {
    "atomix atomix" = "/usr/bin/atomix";
    "atomix atomix-config-api" = "/usr/bin/atomix-config-api";
    "atomix rauc" = "/usr/bin/rauc";
    "nftables nft" = "/usr/sbin/nft";
    "util-linux agetty --login-program shadow login" = "/sbin/agetty";
  };
  named =
    word:
    let
      parts = builtins.match "/nix/store/[0-9a-z]{32}-([a-z-]+)(-[0-9][^/]*)?/bin/(.*)" word;
    in
    if parts == null then word else "${builtins.elemAt parts 0} ${builtins.elemAt parts 2}";
  back =
    text:
    let
      path = "/nix/store/[^ \n]*[^ .\n]";
      one =
        found:
        let
          key = lib.concatStringsSep " " (map named (lib.splitString " " (builtins.head found)));
        in
        programs.${key} or (builtins.head found);
    in
    lib.concatStrings (
      map (part: if builtins.isString part then part else one part) (
        builtins.split "(${path} --login-program ${path}|${path})" (
          builtins.unsafeDiscardStringContext text
        )
      )
    );

  # Where a file goes that is no unit.
  elsewhere = {
    "atomix/units/system.conf.d/atomix.conf" = "etc/systemd/system.conf.d/atomix.conf";
    "atomix/dist/rauc/de.pengutronix.rauc-root-only.conf" =
      "share/dbus-1/system.d/de.pengutronix.rauc.conf";
    "atomix/dist/rauc/de.pengutronix.rauc.service" =
      "share/dbus-1/system-services/de.pengutronix.rauc.service";
    "config-api/dist/atomix-config-api.conf" = "lib/tmpfiles.d/atomix-config-api.conf";
    "config-api/dist/atomix-config-session.conf" = "share/dbus-1/session.d/atomix-config-session.conf";
  };
  # What no system installs, and why.
  notInstalled = {
    "atomix/dist/rauc/system.conf" = "an example for other boards";
    "atomix/dist/rauc/de.pengutronix.rauc.conf" = "the other system of this check has it";
    "board-rock64/generated/etc/rauc/system.conf" = "rendered, and compared by its meaning";
    "config-api/dist/atomix-config-user.conf" = "NixOS makes the account: `account' below";
  };
  shippedFrom =
    prefix: directory:
    map (name: rec {
      file = "${directory}/${name}";
      place = elsewhere.${file} or "${prefix}${name}";
    }) (below directory);
  all =
    lib.concatMap (shippedFrom "lib/systemd/system/") [
      "atomix/dist/rauc"
      "atomix/units"
      "config-api/dist"
      "nix/dist"
    ]
    ++ shippedFrom "etc/" "board-rock64/generated/etc";
  shipped = builtins.filter (one: !(notInstalled ? ${one.file})) all;
  inInitrd =
    map
      (name: {
        file = "board-rock64/generated/etc/${name}";
        place = "initrd/etc/${name}";
      })
      (
        builtins.filter (name: name != "rauc/system.conf" && name != "atomix/health.toml") (
          below "board-rock64/generated/etc"
        )
      );
  ofWatched = [
    {
      file = "atomix/dist/rauc/de.pengutronix.rauc.conf";
      place = "share/dbus-1/system.d/de.pengutronix.rauc.conf";
    }
    {
      file = "board-rock64/generated-watchdog/etc/systemd/system.conf.d/50-atomix-watchdog.conf";
      place = "etc/systemd/system.conf.d/50-atomix-watchdog.conf";
    }
  ];

  compared =
    files: one:
    if files ? ${one.place} then
      differs "${one.place} and ${one.file}" (back files.${one.place}) (read one.file)
    else
      [ "${one.file} is not installed as ${one.place}" ];
  # A reason for what is not there any more is none.
  reasons = lacks "reasons for files that nobody ships" (
    builtins.filter (file: !(builtins.elem file (map (one: one.file) all))) (
      builtins.attrNames notInstalled
    )
  );
  strangers = lacks "installed and shipped by nobody" (
    builtins.filter (place: !(builtins.elem place (map (one: one.place) shipped))) (
      builtins.attrNames (farms device)
    )
  );

  # What is written here and shipped nowhere, and who else looks at it; of a system and of the other one.
  alsoThere = [
    # Compared by its meaning in agreement.nix.
    "etc/rauc/system.conf"
    # `keyring' below.
    "etc/rauc/ca.cert.pem"
    # Told at each login; an image of a production keyring has none.
    "etc/issue.d/10-development-keyring.issue"
  ];
  alsoInWatched = [
    # Who pays for the network, by an option; read by atomix-agent.service.
    "etc/atomix/metered"
  ];
  places = map (one: one.place) (shipped ++ inInitrd ++ ofWatched) ++ alsoThere;
  strangersIn =
    name: config: known:
    lacks "installed in ${name} and known to nobody" (
      builtins.filter (place: !(builtins.elem place known)) (builtins.attrNames (installed config))
    )
    # What has no files that could be looked at: NixOS makes them of these.
    ++ differs "packages of udev rules in ${name}" (map toString config.services.udev.packages) [ ]
    ++ differs "settings of tmpfiles in ${name}" config.systemd.tmpfiles.settings { }
    ++
      differs "programs of the initrd in ${name}" (builtins.attrNames config.boot.initrd.systemd.extraBin)
        [
          "atomix-repart"
          "mkfs.f2fs"
        ];
  nobodys =
    strangersIn "a system" device places
    ++ strangersIn "a system with a watchdog" watched (places ++ alsoInWatched);
  # A drop-in that says more than the file could take its limits back.
  dropIns =
    let
      expected = {
        rauc.serviceConfig = {
          ProtectKernelTunables = true;
          RestrictSUIDSGID = true;
        };
        atomix-config-first-boot.unitConfig.OnSuccess = "serial-getty@ttyS2.service";
      };
      services = builtins.filter (name: units.kind name == "service") (
        builtins.attrNames device.atomixos.units
      );
    in
    lib.concatMap (
      name:
      let
        stem = units.stem name;
        made = device.systemd.services.${stem};
        of = key: differs "the drop-in of ${name}" made.${key} (expected.${stem}.${key} or { });
      in
      of "serviceConfig" ++ of "unitConfig"
    ) services;

  # Each unit of the page is in a system.
  rows =
    let
      found = map (builtins.match "\\| `([^`]+\\.[a-z]+)` .*") (
        lib.splitString "\n" (read "docs/units.md")
      );
      names = map builtins.head (builtins.filter (row: row != null) found);
    in
    lib.optional (names == [ ]) "docs/units.md has no units"
    ++ lacks "units of docs/units.md that no system has" (
      builtins.filter (name: !(farms device ? "lib/systemd/system/${name}")) names
    );

  account = differs "the config API's account" [
    "u atomix-config - \"${device.users.users.atomix-config.description}\" - -"
  ] (units.meaning (read "config-api/dist/atomix-config-user.conf"));
  # A copy of the certificate alone: the key of its signer lies beside it.
  keyring =
    let
      inherit (device.environment.etc."rauc/ca.cert.pem") source;
    in
    lib.optional (
      lib.hasInfix "development-keys" (builtins.unsafeDiscardStringContext "${source}")
      || !(lib.hasInfix "-development-keys/ca.pem \"$out\"" source.buildCommand)
    ) "the keyring is ${source}";
in
lib.concatMap (compared (installed device)) (shipped ++ inInitrd)
++ lib.concatMap (compared (installed watched)) ofWatched
++ reasons
++ strangers
++ nobodys
++ dropIns
++ rows
++ account
++ keyring

# SPDX-License-Identifier: MIT OR Apache-2.0
# Do the modules say what the Rust side checks in and tests? Everything that does not, in words; none
# is right. Evaluates with nixpkgs as with its stand-in: nix eval --json .#lib.agreement
{
  lib,
  configurations,
  rock64,
  development,
}:
let
  root = ../..;
  units = import ../../nix/lib/units.nix;
  production = {
    atomixos.update.keyring = ../fixtures/rauc-1.8/ca.cert.pem;
  };
  device = configurations.rock64-development.config;
  watched = configurations.rock64-development-watchdog.config;
  # As in the gateway's tests: no tunnel, no switch for SSH.
  plain =
    (rock64 [
      development
      {
        atomixos.openvpn.enable = lib.mkForce false;
        atomixos.firewall.sshFromWorld = false;
      }
    ]).config;

  read = path: builtins.readFile (root + path);
  trimmed = text: filterEmpty (map lib.trim (units.meaning text));
  filterEmpty = builtins.filter (line: line != "");
  differs =
    name: ours: theirs:
    lib.optional (ours != theirs) "${name}: ${builtins.toJSON ours} is not ${builtins.toJSON theirs}";
  lacks = name: missing: lib.optional (missing != [ ]) "${name}: ${builtins.toJSON missing}";
  filesIn =
    directory: suffix:
    builtins.filter (lib.hasSuffix suffix) (builtins.attrNames (builtins.readDir (root + directory)));

  # A unit that is checked in and that nobody starts would be tested and never run.
  unused =
    let
      all =
        filesIn "/atomix/units" ".service"
        ++ filesIn "/atomix/units" ".timer"
        ++ filesIn "/config-api/dist" ".service"
        ++ [
          "emergency.service.d/atomix.conf"
          "rescue.service.d/atomix.conf"
          "rauc.service"
        ];
    in
    lacks "units that no module takes" (builtins.filter (name: !(device.atomixos.units ? ${name})) all);

  # Only commands are other lines than in the files.
  rewritten = lib.concatMap (
    name:
    let
      theirs = trimmed (builtins.readFile device.atomixos.units.${name});
      ours = trimmed device.atomixos.unitTexts.${name};
      command = line: builtins.match "Exec[A-Za-z]+=.*" line != null;
      rest = builtins.filter (line: !(command line));
      commands = text: builtins.length (builtins.filter command text);
    in
    differs name (rest ours) (rest theirs) ++ differs name (commands ours) (commands theirs)
  ) (builtins.attrNames device.atomixos.units);

  # What [Install] says is what the system does.
  installed =
    let
      of = {
        service = device.systemd.services;
        timer = device.systemd.timers;
      };
    in
    lib.concatMap (
      name:
      let
        kind = units.kind name;
      in
      lib.optionals (of ? ${toString kind}) (
        differs "${name} is wanted by" (of.${kind}.${units.stem name}.wantedBy) (
          units.wantedBy device.atomixos.unitTexts.${name}
        )
      )
    ) (builtins.attrNames device.atomixos.units);

  # A login is no service that could be limited.
  unlimited =
    let
      ours =
        builtins.filter (name: units.kind name == "service") (builtins.attrNames device.atomixos.units)
        ++ [
          "atomixos-log-directories.service"
          "openvpn-recovery.service"
        ];
      limited =
        name:
        (device.systemd.services.${units.stem name}.serviceConfig or { }) ? CapabilityBoundingSet
        || units.values "Service" "CapabilityBoundingSet" (device.atomixos.unitTexts.${name} or "") != [ ];
    in
    lacks "services without limits" (
      builtins.filter (name: name != "atomix-serial-root@.service" && !(limited name)) ours
    );

  probes =
    let
      asked =
        builtins.filter (probe: probe.kind == "unit")
          (builtins.fromTOML (read "/board-rock64/generated/etc/atomix/health.toml")).probe;
      services = device.systemd.services;
      known =
        map (name: "${name}.service") (builtins.attrNames services)
        ++ lib.concatMap (name: services.${name}.aliases) (builtins.attrNames services)
        ++ lib.optional device.services.dnsmasq.enable "dnsmasq.service"
        ++ lib.optional device.services.chrony.enable "chronyd.service";
    in
    lacks "probes of units that do not exist" (
      builtins.filter (unit: !(builtins.elem unit known)) (map (probe: probe.unit) asked)
    );

  word =
    value:
    if value == true then
      "yes"
    else if value == false then
      "no"
    else
      toString value;
  section =
    name: keys:
    lib.optionals (keys != { }) (
      [ "[${name}]" ] ++ lib.mapAttrsToList (key: value: "${key}=${word value}") keys
    );
  network =
    name:
    let
      made = device.systemd.network.networks.${name};
    in
    differs name (
      section "Match" made.matchConfig
      ++ section "Network" made.networkConfig
      ++ section "DHCPv4" made.dhcpV4Config
    ) (trimmed (read "/tests/gateway/guest/image/etc/systemd/network/${name}.network"));

  gateway = "/tests/gateway/guest/image/etc";
  chains =
    let
      table = trimmed (read "${gateway}/nftables.conf");
    in
    differs "nftables" (
      [
        "flush ruleset"
        "table inet filter {"
      ]
      ++ trimmed plain.atomixos.firewall.content
      ++ [ "}" ]
    ) table;
  sorted = builtins.sort builtins.lessThan;
  dnsmasq = differs "dnsmasq" (sorted (
    lib.mapAttrsToList (
      key: value: if value == true then key else "${key}=${toString value}"
    ) device.services.dnsmasq.settings
    # NixOS gives this one on the command line.
    ++ [ "user=dnsmasq" ]
  )) (sorted (trimmed (read "${gateway}/dnsmasq.conf")));

  definitions =
    let
      names = filesIn "/board-rock64/generated/etc/repart.d" ".conf";
    in
    lacks "definitions that are not everywhere" (
      builtins.filter (
        name:
        !(device.environment.etc ? "repart.d/${name}")
        || !(device.boot.initrd.systemd.contents ? "/etc/repart.d/${name}")
      ) names
    );

  # By a link that udev makes on the board's own disk, for the slot that runs.
  mounts =
    lib.concatMap
      (
        place:
        lib.optional (
          !(lib.hasPrefix "/dev/disk/atomixos/" device.fileSystems.${place}.device)
        ) "${place} is ${device.fileSystems.${place}.device}"
      )
      [
        "/boot"
        "/data"
      ];
  # An fstab is the initrd's and the system's: it names no unit that one of them lacks.
  tables = lib.concatMap (
    place:
    lacks "${place} requires units" (
      builtins.filter (lib.hasPrefix "x-systemd.requires") device.fileSystems.${place}.options
    )
  ) (builtins.attrNames device.fileSystems);
  disk =
    differs "the disk"
      (map (slot: lib.hasPrefix "${device.atomixos.board.disk}p" slot) (
        lib.concatMap (slot: [
          slot.boot
          slot.rootfs
        ]) (builtins.attrValues device.atomixos.board.slots)
      ))
      [
        true
        true
        true
        true
      ];

  watchdog =
    lib.optional (
      !(lib.hasInfix "CONFIG_WATCHDOG=y" (
        builtins.readFile (watched.atomixos.board.firmware + "/atomix.config")
      ))
    ) "a system with a watchdog has a U-Boot that does not feed it"
    ++ lib.optional (lib.hasInfix "CONFIG_WATCHDOG=y" (
      builtins.readFile (device.atomixos.board.firmware + "/atomix.config")
    )) "a system without a watchdog has a U-Boot that feeds one";

  # One agent, or that which the configuration names; and never one without a choice.
  agents =
    let
      has =
        system:
        builtins.filter (name: system.atomixos.units ? ${name}) [
          "os-upgrade.service"
          "os-upgrade.timer"
          "atomix-agent.service"
        ];
    in
    differs "the agents of a system led by hawkBit" (has watched) [ "atomix-agent.service" ]
    ++ differs "the agents of a system without" (has
      (rock64 [
        development
        { atomixos.agents.mode = lib.mkForce "none"; }
      ]).config
    ) [ ]
    ++ differs "an agent that starts by itself" (units.wantedBy
      device.atomixos.unitTexts."atomix-agent.service"
    ) [ ];

  refusals = import ./refusals.nix { inherit lib rock64 development; };
  # In the initrd there is no mount namespace to have; all other limits are those of the shipped unit.
  initrd =
    let
      ours = device.boot.initrd.systemd.services.atomix-repart.serviceConfig;
      shipped = builtins.filter (line: builtins.match "[A-Za-z]+=.*" line != null) (
        trimmed (read "/atomix/units/atomix-repart.service")
      );
      isLimit =
        line:
        builtins.match "(${
          lib.concatStringsSep "|" [
            "NoNewPrivileges"
            "CapabilityBoundingSet"
            "KeyringMode"
            "LockPersonality"
            "MemoryDenyWriteExecute"
            "Restrict[A-Za-z]+"
            "SystemCall[A-Za-z]+"
          ]
        })=.*" line != null;
      limits = builtins.filter isLimit shipped;
      has =
        line:
        let
          parts = builtins.match "([A-Za-z]+)=(.*)" line;
        in
        (ours.${builtins.head parts} or null) == [ (lib.last parts) ];
    in
    lacks "limits of atomix-repart.service that the initrd's has not" (
      builtins.filter (line: !(has line)) limits
    )
    ++ lib.optional (
      builtins.length limits < 12
    ) "only ${toString (builtins.length limits)} limits of atomix-repart.service";
  told = differs "warnings of a production system" (rock64 [ production ]).config.warnings [ ];
  # What is made at build is looked at there, and only there.
  keyrings =
    let
      looks =
        config:
        builtins.any (one: lib.hasInfix "atomixos-keyring-needs" (one.name or "")) config.system.checks;
      # Not a file of the sources, and given as a product's.
      made =
        (rock64 [ { atomixos.update.keyring = development.atomixos.update.developmentKeyring; } ]).config;
      looked =
        config:
        builtins.any (
          one:
          lib.hasInfix "atomixos-keyring-needs" (one.name or "")
          && builtins.all (words: lib.hasInfix words one.buildCommand) (
            import ../../nix/lib/development-words.nix
          )
        ) config.system.checks;
      ofFlake = rock64 [
        { atomixos.update.keyring = "${../fixtures}/rauc-1.8/ca.cert.pem"; }
      ];
    in
    differs "a keyring that a build makes is looked at" (looks device) true
    ++ differs "a keyring of the sources is looked at again" (looks
      (rock64 [ production ]).config
    ) false
    ++ differs "a keyring of a flake is looked at again" (looks ofFlake.config) false
    ++
      differs "a keyring that a build makes is looked at for development keys"
        (map looked [
          made
          device
        ])
        [
          true
          false
        ]
    # At the desk the same file is one.
    ++ differs "a development keyring of the sources is refused" (map (one: one.message) (
      builtins.filter (one: !one.assertion)
        (rock64 [ { atomixos.update.developmentKeyring = ./refused/development-ca.pem; } ])
        .config.assertions
    )) [ ]
    ++ lib.optional (
      !(builtins.tryEval ofFlake.config.system.build.toplevel.drvPath).success
    ) "a keyring of a flake does not evaluate";
  # What whoever logs in reads, at the serial line before the password and everywhere after it.
  notices =
    let
      notice = "DEVELOPMENT BUILD: updates signed with a development key are installed here.\n";
      place = "issue.d/10-development-keyring.issue";
      product = (rock64 [ production ]).config;
    in
    differs "the notice after a login" device.users.motd notice
    ++ differs "the notice before a login" device.environment.etc.${place}.text notice
    ++
      differs "a product's notice"
        [
          product.users.motd
          (product.environment.etc ? ${place})
        ]
        [
          ""
          false
        ];
  warned = differs "the warning of a development system" (map (
    text: lib.hasInfix "development keyring" text
  ) device.warnings) [ true ];
in
differs "system.conf" (trimmed device.atomixos.update.systemConf) (
  trimmed (read "/board-rock64/generated/etc/rauc/system.conf")
)
++ unused
++ rewritten
++ installed
++ unlimited
++ probes
++ network "10-wan"
++ network "20-lan"
++ chains
++ dnsmasq
++ differs "chrony" (trimmed device.services.chrony.extraConfig) (
  trimmed (read "${gateway}/chrony/chrony.conf")
)
++ definitions
++ mounts
++ tables
++ disk
++ watchdog
++ agents
++ refusals
++ initrd
++ differs "the flake's deny.toml" (builtins.readFile (
  import ../../nix/source.nix + "/deny.toml"
)) (read "/deny.toml")
++ told
++ notices
++ keyrings
++ warned
++ import ./flags.nix { inherit lib differs; }
++ import ./installed.nix {
  inherit
    lib
    device
    watched
    differs
    lacks
    ;
}
++ import ./values.nix {
  inherit
    lib
    device
    differs
    lacks
    ;
}
++ import ./emulated.nix {
  inherit
    lib
    device
    trimmed
    read
    differs
    ;
  emulated = configurations.rock64-qemu.config;
}
++ import ./watched.nix {
  inherit
    lib
    rock64
    development
    device
    differs
    ;
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# Which configurations must not evaluate, and in which words? One for each assertion of each module: what
# an assertion says stands behind it in its module, and some configuration here has to be refused with
# words from there. An assertion without one is told, and so is a word that nobody says.
{
  lib,
  rock64,
  development,
}:
let
  production = {
    atomixos.update.keyring = ../fixtures/rauc-1.8/ca.cert.pem;
  };
  # The slot script without one of its words.
  device = (rock64 [ production ]).config;
  scriptWithout = word: {
    atomixos.boot.script = lib.mkForce (
      builtins.replaceStrings [ word ] [ " " ] device.atomixos.boot.script
    );
  };
  one = name: says: modules: {
    inherit name says;
    modules = [ production ] ++ modules;
  };
  # What takes a keyring of its own.
  bare = name: says: modules: { inherit name says modules; };

  # By the module that refuses.
  cases = {
    agents = [
      (one "an agent that nobody tells what may follow" "Set system.image.version" [
        { system.image.version = lib.mkForce null; }
      ])
      (one "an agent without an update to install" "atomixos.update does not install any" [
        { atomixos.update.enable = false; }
      ])
      (one "a system with two agents" "two update agents" [
        {
          atomixos.agents.mode = "hawkbit";
          atomixos.units."os-upgrade.timer" = ../../atomix/units/os-upgrade.timer;
        }
      ])
    ];
    boot =
      map
        (
          word:
          one "a slot script without `${word}'" "' on the kernel command line: " [ (scriptWithout word) ]
          // {
            also = "`${word}'";
          }
        )
        [
          " panic="
          " gpt "
          " init=/init "
          " root=fstab "
          "atomixos.lowerdev="
          " \${atomix_args}"
        ];
    config-api = [
      (one "a configuration of ports without a firewall" "nftables' table inet filter" [
        { networking.nftables.enable = lib.mkForce false; }
      ])
    ];
    # Each need of its own: kernel.nix.
    kernel = [
      (one "a kernel without dm-verity that needs it" "not asked for what this system needs" [
        { atomixos.kernel.verityInKernel = true; }
      ])
      (one "a kernel with Bluetooth" "asked for what this system must not have" [
        { atomixos.kernel.asked.BT = "m"; }
      ])
    ];
    repart = [
      (one "two programs that write the table in the initrd" "would both write the partition table" [
        { boot.initrd.systemd.repart.enable = true; }
      ])
      (one "two programs that write the table" "would both write the partition table" [
        { systemd.repart.enable = true; }
      ])
    ];
    units = [
      (one "a unit that runs a stranger" "runs a program that this system has not" [
        { atomixos.units."stranger.service" = ./refused/stranger.service; }
      ])
    ];
    update = [
      (bare "a system without a keyring" "this device would have nobody to believe" [ ])
      (one "a system with two keyrings" "are both set" [ development ])
      (bare "a keyring with a private key" "holds a private key" [
        { atomixos.update.keyring = ./refused/keyring-with-key.pem; }
      ])
      (bare "a keyring without a certificate" "holds no certificate" [
        { atomixos.update.keyring = ../../README.md; }
      ])
      (bare "the development keys' authority as a product's" "is of the development keys" [
        { atomixos.update.keyring = ./refused/development-ca.pem; }
      ])
      (bare "the development keys' authority in a file of a flake" "is of the development keys" [
        { atomixos.update.keyring = "${./refused}/development-ca.pem"; }
      ])
      # As a file of another flake comes: a string, not a path.
      (bare "a private key in a file of a flake" "holds a private key" [
        { atomixos.update.keyring = "${./refused}/keyring-with-key.pem"; }
      ])
      (bare "a file of a flake without a certificate" "holds no certificate" [
        { atomixos.update.keyring = "${./refused}/stranger.service"; }
      ])
      (bare "a keyring that lies on the builder" "which no image has" [
        { atomixos.update.keyring = "/etc/ssl/certs/ca.pem"; }
      ])
      (bare "a development keyring that lies on the builder" "which no image has" [
        { atomixos.update.developmentKeyring = "/etc/ssl/certs/ca.pem"; }
      ])
    ];
    verification = [
      (one "a confirmation of what nobody records" "confirms what atomixos.boot records" [
        { atomixos.boot.enable = false; }
      ])
    ];
    watchdog = [
      (one "a watchdog on a board that has none" "this board has no facts of a watchdog" [
        {
          atomixos.watchdog.enable = true;
          atomixos.board.generatedWatchdog = lib.mkForce null;
        }
      ])
    ];
  };

  refused =
    case:
    let
      system = (rock64 case.modules).config;
      said = map (one: one.message) (builtins.filter (one: !one.assertion) system.assertions);
      all = [ case.says ] ++ lib.optional (case ? also) case.also;
    in
    lib.optional (builtins.tryEval system.system.build.toplevel.drvPath).success "${case.name} evaluates"
    ++ lib.optional (
      builtins.length said != 1 || !(builtins.all (words: lib.hasInfix words (builtins.head said)) all)
    ) "${case.name} is refused with ${builtins.toJSON said}";

  # What stands behind each `assertion =' of a module.
  places = [
    "/nix/modules"
    "/nix/boards"
  ];
  assertions = lib.concatMap (
    place:
    lib.concatMap (
      file:
      lib.imap1
        (number: text: {
          inherit text;
          name = lib.removeSuffix ".nix" file;
          where = "${file}, assertion ${toString number}";
        })
        (
          builtins.tail (
            builtins.filter builtins.isString (
              builtins.split "assertion *=" (builtins.readFile (../.. + "${place}/${file}"))
            )
          )
        )
    ) (builtins.attrNames (builtins.readDir (../.. + place)))
  ) places;
  unrefused = lib.concatMap (
    assertion:
    lib.optional (
      !(builtins.any (case: lib.hasInfix case.says assertion.text) (cases.${assertion.name} or [ ]))
    ) "no configuration is refused by ${assertion.where}"
  ) assertions;
  # An empty slot script lacks every word that the module knows: each has its own configuration above.
  words =
    let
      known =
        builtins.filter (one: !one.assertion)
          (rock64 [
            production
            { atomixos.boot.script = lib.mkForce ""; }
          ]).config.assertions;
    in
    lib.optional (
      builtins.length known != builtins.length cases.boot
    ) "${toString (builtins.length known)} words of the slot script, and not each is tried";
  # A module that names its list otherwise would not be counted.
  least = lib.optional (
    builtins.length assertions < 14
  ) "only ${toString (builtins.length assertions)} assertions";
in
lib.concatMap refused (lib.concatLists (builtins.attrValues cases)) ++ unrefused ++ words ++ least

# SPDX-License-Identifier: MIT OR Apache-2.0
# Is each need of the kernel one? A kernel that lacks exactly one is refused, with its name; one that has
# them all is not; and dm-verity is a need only where it is asked for. For each part alone, then for the
# Rock64 as it ships. Everything that is otherwise, in words.
{
  lib,
  configurations,
  rock64,
  development,
}:
let
  table = import ./kernel-needs.nix;
  device = configurations.rock64-development.config;
  switches = {
    config-api.atomixos = {
      configApi.enable = true;
      firewall.enable = true;
    };
    containers.atomixos.containers.enable = true;
    firewall.atomixos.firewall.enable = true;
    logging.atomixos.logging.enable = true;
    openvpn.atomixos.openvpn.enable = true;
    serial-recovery.atomixos.serialRecovery.enable = true;
    root.atomixos.root.enable = true;
    disk.atomixos.disk.enable = true;
    watchdog.atomixos.watchdog.enable = true;
    verity.atomixos.kernel.verityInKernel = true;
  };
  # A machine with one part and a kernel with what is given.
  machine =
    part: asked:
    (lib.nixosSystem {
      system = "aarch64-linux";
      modules = [
        ../../nix/modules
        switches.${part}
        {
          atomixos.board = {
            generated = ../../board-rock64/generated;
            generatedWatchdog = ../../board-rock64/generated-watchdog;
            inherit (device.atomixos.board) slots serialConsole;
          };
          atomixos.package = device.atomixos.package;
          atomixos.kernel = { inherit asked; };
        }
      ];
    }).config;
  said = system: map (one: one.message) (builtins.filter (one: !one.assertion) system.assertions);
  refusal = missing: "the board's kernel is not asked for what this system needs: ${missing}";
  differs =
    name: ours: theirs:
    lib.optional (ours != theirs) "${name}: ${builtins.toJSON ours} is not ${builtins.toJSON theirs}";

  ofPart =
    part:
    let
      needs = table.${part};
      besides = lib.optionals (part == "config-api") (
        lib.concatMap (name: table.${name}.y ++ table.${name}.ym) [
          "containers"
          "firewall"
        ]
      );
      all = lib.genAttrs (needs.y ++ needs.ym ++ besides) (_: "y");
      without =
        values: name:
        differs "a kernel without ${name} for ${part}" (said (machine part (removeAttrs all [ name ]))) [
          (refusal "${name}=[${values}]")
        ];
      asModule =
        name: expected:
        differs "a kernel with ${name} as a module for ${part}" (said (
          machine part (all // { ${name} = "m"; })
        )) expected;
    in
    differs "a kernel with all for ${part}" (said (machine part all)) [ ]
    ++ lib.concatMap (without "y") needs.y
    ++ lib.concatMap (without "ym") needs.ym
    ++ lib.concatMap (name: asModule name [ (refusal "${name}=[y]") ]) needs.y
    ++ lib.concatMap (name: asModule name [ ]) needs.ym;

  # What the board's system needs of its own is in its own list; without one of them it is refused too.
  isNeed = name: device.atomixos.kernel.asked.${name} != "n";
  onBoard =
    name:
    let
      system =
        (rock64 [
          development
          { atomixos.kernel.asked.${name} = lib.mkForce "n"; }
        ]).config;
      told = said system;
    in
    lib.optional (builtins.tryEval system.system.build.toplevel.drvPath).success "a Rock64 without ${name} evaluates"
    ++ lib.optional (
      !(builtins.elem told [
        [ (refusal "${name}=[y]") ]
        [ (refusal "${name}=[ym]") ]
        [ (refusal "${name}=[y], ${name}=[ym]") ]
      ])
    ) "a Rock64 without ${name} is refused with ${builtins.toJSON told}";

  # Read off a stick, which the recovery of a device rests on.
  stick =
    lib.concatMap
      (name: lib.optional (!(builtins.elem name device.atomixos.kernel.builtIn)) "no need: ${name}")
      [
        "BLK_DEV_SD"
        "SCSI"
        "USB_STORAGE"
      ];
  # What is off is off in what nixpkgs makes of it, and nothing else has another value than asked.
  structured = system: system.boot.kernelPackages.kernel.configfile.structuredConfig;
  answers = lib.concatMap (
    name:
    differs "the kernel's answer to ${name}" (structured device).${name}.tristate
      device.atomixos.kernel.asked.${name}
  ) (builtins.attrNames device.atomixos.kernel.asked);
  off =
    differs "what a Rock64's kernel has not" device.atomixos.kernel.off [
      "BT"
      "MD"
      "WLAN"
    ]
    ++ lib.concatMap (
      name:
      differs "a kernel with ${name}" (said
        (rock64 [
          development
          { atomixos.kernel.asked.${name} = "m"; }
        ]).config
      ) [ "the board's kernel is asked for what this system must not have: ${name}" ]
    ) device.atomixos.kernel.off;
  # With dm-verity, and with what it is a part of, which is off otherwise.
  verified =
    (rock64 [
      development
      {
        atomixos.kernel = {
          verityInKernel = true;
          asked = {
            BLK_DEV_DM = "y";
            DM_VERITY = "y";
            MD = "y";
          };
        };
      }
    ]).config;
  verity =
    differs "a Rock64 with dm-verity is refused" (said verified) [ ]
    ++ lib.optional (
      !(builtins.tryEval verified.system.build.toplevel.drvPath).success
    ) "a Rock64 with dm-verity does not evaluate"
    ++
      lib.concatMap (name: differs "${name} with dm-verity" (structured verified).${name}.tristate "y")
        [
          "BLK_DEV_DM"
          "DM_VERITY"
          "MD"
        ]
    ++ differs "the kernel with dm-verity is looked at for what is off" (lib.hasInfix "CONFIG_MD=[ym]" (
      needsOf verified
    )) false
    ++ differs "the kernel is looked at for what is off" (lib.hasInfix "CONFIG_MD=[ym]" (
      needsOf device
    )) true;
  needsOf =
    system:
    lib.concatMapStrings (one: one.buildCommand or "") (
      builtins.filter (one: lib.hasInfix "atomixos-kernel-needs" (one.name or "")) system.system.checks
    );
  # By the name of the serial line: another driver has another console.
  pl011 =
    differs "the console of the emulated board"
      (builtins.elem "SERIAL_AMBA_PL011_CONSOLE" configurations.rock64-qemu.config.atomixos.kernel.builtIn)
      true;
  unasked = lib.concatMap (
    name:
    lib.optional (builtins.any (need: need == name) (
      device.atomixos.kernel.builtIn ++ device.atomixos.kernel.available
    )) "${name} is needed and nobody asked for it"
  ) table.verity.ym;
in
lib.concatMap ofPart (builtins.attrNames table)
++ lib.concatMap onBoard (builtins.filter isNeed (builtins.attrNames device.atomixos.kernel.asked))
++ stick
++ answers
++ off
++ verity
++ pl011
++ unasked

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
      all = lib.genAttrs (needs.y ++ needs.ym) (_: "y");
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
++ unasked

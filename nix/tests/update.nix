# SPDX-License-Identifier: MIT OR Apache-2.0
# An update goes into the slots that do not run, byte for byte, and is what boots next. That the second one
# goes the other way takes a boot of the other slot: `cargo xtask e2e`.
{ board, lib, ... }:
{
  nodes.machine = board.module;
  testScript = ''
    ${board.prelude}
    first_boot(machine)
    # Each refused for its own reason, before the same update is taken; and nothing is left of them.
    # RAUC's own command knows no other code than 1.
    before = env(machine, "BOOT_ORDER")
    ${lib.concatMapStrings (one: ''
      answer(machine, "atomix install ${one.bundle}", ${toString one.code}, ${builtins.toJSON one.words})
      answer(machine, "rauc install ${one.bundle}", 1, ${builtins.toJSON one.words})
    '') (builtins.attrValues board.refused)}
    assert env(machine, "BOOT_ORDER") == before
    running = [digest(machine, f"/dev/vdb{n}", 134217728 if n == 1 else 1 << 24) for n in (1, 2)]
    machine.succeed("rauc status mark-good booted")
    assert env(machine, "BOOT_ORDER").split()[0] == "A"
    machine.succeed("rauc install ${board.bundle "2.0.0"}")
    assert env(machine, "BOOT_ORDER").split()[0] == "B"
    assert env(machine, "atomix_state_B") == "trying"
    assert env(machine, "BOOT_B_LEFT") == "3"
    machine.succeed("atomix slot check B")
    assert running == [
        digest(machine, f"/dev/vdb{n}", 134217728 if n == 1 else 1 << 24) for n in (1, 2)
    ], "the running slots were written"
    machine.succeed("atomix boot mark-good B")
    assert env(machine, "atomix_state_B") == "good"
  '';
}

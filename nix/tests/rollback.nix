# SPDX-License-Identifier: MIT OR Apache-2.0
# A slot that is marked bad is not booted again, the other one is, and the same bundle is not installed
# a second time by an agent.
{ board, ... }:
{
  nodes.machine = board.module;
  testScript = ''
    ${board.prelude}
    first_boot(machine)
    machine.succeed("rauc status mark-good booted")
    machine.succeed("atomix install ${board.bundle "2.0.0"}")
    assert env(machine, "BOOT_ORDER").split()[0] == "B"
    machine.succeed("rauc status mark-bad other")
    assert env(machine, "atomix_state_B") == "bad"
    assert env(machine, "BOOT_ORDER").split()[0] == "A"
    assert env(machine, "atomix_state_A") == "good"
    machine.succeed("rauc status mark-active booted")
    assert env(machine, "BOOT_ORDER").split()[0] == "A"
    # Refused in this state, and done when somebody insists.
    answer(
        machine,
        "atomix install ${board.bundle "2.0.0"}",
        3,
        "was installed before and did not become healthy",
    )
    assert env(machine, "atomix_state_B") == "bad"
    machine.succeed("atomix install --force ${board.bundle "2.0.0"}")
    assert env(machine, "atomix_state_B") == "trying"
  '';
}

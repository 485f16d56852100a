# SPDX-License-Identifier: MIT OR Apache-2.0
# The power goes in the middle of an install: the running slot is untouched and still first, the other
# one is not bootable, and the repeated install comes to its end.
{ board, ... }:
{
  nodes.machine = board.module;
  testScript = ''
    ${board.prelude}
    first_boot(machine)
    running = digest(machine, "/dev/vdb1", 134217728)
    machine.execute("systemd-run --unit=played-install atomix install ${board.bundle "2.0.0"}")
    machine.wait_until_succeeds("test \"$(fw_printenv -n atomix_state_B)\" = writing")
    machine.crash()
    machine.start()
    machine.wait_for_unit("multi-user.target")
    machine.succeed("mkdir -p /data && mount /dev/disk/by-partlabel/data /data")
    assert digest(machine, "/dev/vdb1", 134217728) == running
    # It may have been over before the power went; then all of it is there.
    if env(machine, "atomix_state_B") == "trying":
        machine.succeed("atomix slot check B")
    else:
        assert env(machine, "atomix_state_B") == "writing"
        assert env(machine, "BOOT_ORDER").split() == ["A"]
    # The running slot can still be told from the other one, and confirmed.
    machine.succeed("rauc status")
    machine.succeed("rauc status mark-good booted")
    assert env(machine, "atomix_state_A") == "good"
    machine.succeed("atomix install ${board.bundle "2.0.0"}")
    assert env(machine, "atomix_state_B") == "trying"
    machine.succeed("atomix slot check B")
  '';
}

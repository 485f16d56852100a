# SPDX-License-Identifier: MIT OR Apache-2.0
# The power goes in the middle of an install: the running slot is untouched and still first, the other
# one is not bootable, and the repeated install comes to its end.
#
# In the middle, because the install stands still whenever somebody looks: it goes on for 20 ms at a time,
# writing the slots takes longer, and the power goes while it is frozen with the slot half written.
{ board, ... }:
{
  nodes.machine = board.module;
  testScript = ''
    ${board.prelude}
    first_boot(machine)
    running = digest(machine, "/dev/vdb1", 134217728)
    machine.succeed("systemd-run --unit=played-install atomix install ${board.bundle "2.0.0"}")
    machine.succeed(
        # An install that is over cannot be frozen: that ends the loop, and this test, red.
        "while systemctl freeze played-install.service; do"
        # Who is frozen may hold the environment's lock; then it goes on.
        ' state="$(timeout 2 fw_printenv -n atomix_state_B || true)";'
        ' if test "$state" = writing; then exit 0; fi;'
        " systemctl thaw played-install.service; sleep 0.02;"
        " done; exit 1"
    )
    machine.crash()
    machine.start()
    machine.wait_for_unit("multi-user.target")
    machine.succeed("mkdir -p /data && mount /dev/disk/atomixos/data /data")
    assert digest(machine, "/dev/vdb1", 134217728) == running
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

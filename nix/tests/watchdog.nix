# SPDX-License-Identifier: MIT OR Apache-2.0
# systemd feeds the machine's watchdog as the module says, and a machine that stands still is reset by it.
# QEMU has no dw_wdt. Its i6300esb is a card for PCI, so both kinds of machines can have it, and it counts
# outside of the kernel: softdog stands still with the kernel that it should restart, and machine `virt`
# has no other one. The board's driver is tried on the board alone: docs/how-to-watchdog.md.
{ board, ... }:
{
  nodes.machine = {
    imports = [ board.module ];
    atomixos = {
      board.generatedWatchdog = ../../board-rock64/generated-watchdog;
      watchdog = {
        enable = true;
        driver = "i6300esb";
      };
    };
    virtualisation.qemu.options = [
      "-device i6300esb"
      "-action watchdog=reset"
    ];
  };
  testScript = ''
    machine.start(allow_reboot=True)
    machine.wait_for_unit("multi-user.target")
    machine.succeed("test -c /dev/watchdog0")
    driver = machine.succeed("readlink /sys/class/watchdog/watchdog0/device/driver").strip()
    assert driver.endswith("/i6300esb"), driver
    loaded = machine.succeed("lsmod").split()
    assert "i6300esb" in loaded and "dw_wdt" not in loaded, loaded
    # It is fed, by systemd and by nobody else.
    assert "WatchdogDevice=/dev/watchdog0" in machine.succeed("systemctl show --property=WatchdogDevice")
    fed = "systemctl show --value --property=WatchdogLastPingTimestampMonotonic"
    first = int(machine.succeed(fed))
    assert first > 0
    machine.wait_until_succeeds(f"test \"$({fed})\" -gt {first}", timeout=60)
    # What the board's own file says, and what systemd made of it.
    machine.succeed(
        "cmp /etc/systemd/system.conf.d/50-atomix-watchdog.conf"
        " ${../../board-rock64/generated-watchdog/etc/systemd/system.conf.d/50-atomix-watchdog.conf}"
    )
    assert "RuntimeWatchdogUSec=30s" in machine.succeed("systemctl show --property=RuntimeWatchdogUSec")
    assert "RebootWatchdogUSec=10min" in machine.succeed("systemctl show --property=RebootWatchdogUSec")
    before = machine.succeed("cat /proc/sys/kernel/random/boot_id")
    # A kernel that stands still: it panics, and was told not to restart by itself.
    machine.succeed("echo 0 >/proc/sys/kernel/panic && echo 1 >/proc/sys/kernel/sysrq")
    machine.execute("(sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &", check_return=False)
    machine.connected = False
    machine.wait_for_unit("multi-user.target")
    assert machine.succeed("cat /proc/sys/kernel/random/boot_id") != before
  '';
}

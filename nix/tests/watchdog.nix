# SPDX-License-Identifier: MIT OR Apache-2.0
# systemd feeds the machine's watchdog, and a machine that stands still is reset by it.
{ board, ... }:
{
  nodes.machine = {
    imports = [ board.module ];
    boot.kernelModules = [ "i6300esb" ];
    virtualisation.qemu.options = [
      "-device i6300esb"
      "-action watchdog=reset"
    ];
    systemd.settings.Manager.RuntimeWatchdogSec = "10s";
  };
  testScript = ''
    machine.start(allow_reboot=True)
    machine.wait_for_unit("multi-user.target")
    machine.succeed("test -c /dev/watchdog")
    assert "10s" in machine.succeed("systemctl show --property=RuntimeWatchdogUSec")
    before = machine.succeed("cat /proc/sys/kernel/random/boot_id")
    # A kernel that stands still: it panics, and was told not to restart by itself.
    machine.succeed("echo 0 >/proc/sys/kernel/panic && echo 1 >/proc/sys/kernel/sysrq")
    machine.execute("(sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &", check_return=False)
    machine.connected = False
    machine.wait_for_unit("multi-user.target")
    assert machine.succeed("cat /proc/sys/kernel/random/boot_id") != before
  '';
}

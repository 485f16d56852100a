# SPDX-License-Identifier: MIT OR Apache-2.0
# systemd feeds the machine's watchdog as the module says, and a machine that stands still is reset by it.
{ board, lib, ... }:
{
  nodes.machine = {
    imports = [ board.module ];
    atomixos = {
      board.generatedWatchdog = ../../board-rock64/generated-watchdog;
      watchdog.enable = true;
      # Of NixOS' own kernel, which is not asked by this repository.
      kernel.asked = lib.genAttrs [
        "WATCHDOG"
        "WATCHDOG_HANDLE_BOOT_ENABLED"
      ] (_: "y");
    };
    boot.kernelModules = [ "i6300esb" ];
    virtualisation.qemu.options = [
      "-device i6300esb"
      "-action watchdog=reset"
    ];
  };
  testScript = ''
    machine.start(allow_reboot=True)
    machine.wait_for_unit("multi-user.target")
    machine.succeed("test -c /dev/watchdog")
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

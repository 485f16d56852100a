# SPDX-License-Identifier: MIT OR Apache-2.0
# A healthy boot is confirmed by the service itself; one whose probe fails is not.
{ board, ... }:
{
  nodes.machine = {
    imports = [ board.module ];
    atomixos.boot.enable = true;
    atomixos.verification = {
      enable = true;
      probes = builtins.toFile "health.toml" ''
        settle_secs = 1
        window_secs = 5
        interval_secs = 1
        on_failure = "stay"

        [[probe]]
        name = "played"
        kind = "unit"
        unit = "played.service"
        condition = "active"
      '';
    };
    systemd.services.played = {
      serviceConfig.ExecStart = "/run/current-system/sw/bin/sleep infinity";
    };
  };
  testScript = ''
    ${board.prelude}
    first_boot(machine)
    machine.systemctl("stop os-verification.service")
    # Slot A has just been installed, as far as its boot state says.
    machine.succeed("fw_setenv atomix_state_A trying")
    # The unit's start is over when the program runs: its verdict is how that ends.
    machine.succeed("systemctl restart os-verification.service")
    machine.wait_until_succeeds("systemctl is-failed os-verification.service")
    machine.succeed("journalctl --unit=os-verification.service | grep -F played")
    assert env(machine, "atomix_state_A") == "trying"
    # What is healthy when it begins, and ends before the window does.
    machine.succeed("systemctl start played.service")
    machine.succeed("systemctl restart os-verification.service")
    machine.sleep(3)
    # In its window, and not failed for another reason before.
    machine.succeed("systemctl is-active os-verification.service")
    machine.succeed("systemctl stop played.service")
    machine.wait_until_succeeds("systemctl is-failed os-verification.service")
    assert env(machine, "atomix_state_A") == "trying"
    answer(machine, "atomix boot is-confirmed", 10, "")
    machine.succeed("systemctl start played.service")
    machine.succeed("systemctl restart os-verification.service")
    machine.wait_until_succeeds("atomix boot is-confirmed")
    assert env(machine, "atomix_state_A") == "good"
  '';
}

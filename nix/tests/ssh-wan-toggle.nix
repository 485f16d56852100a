# SPDX-License-Identifier: MIT OR Apache-2.0
# SSH is closed to the world until the operator's file is there, and closes with the unit.
{ board, ... }:
{
  nodes = {
    gateway = {
      imports = [ board.module ];
      atomixos.ssh.enable = true;
      atomixos.firewall = {
        enable = true;
        wanInterface = "eth1";
        lanInterface = "eth2";
        sshFromWorld = true;
      };
      virtualisation.vlans = [
        1
        2
      ];
    };
    world.virtualisation.vlans = [ 1 ];
  };
  testScript = ''
    ${board.prelude}
    first_boot(gateway)
    world.start()
    world.wait_for_unit("network.target")
    gateway.wait_for_unit("sshd.service")
    asks = "timeout 5 bash -c '</dev/tcp/192.168.1.1/22'"
    # It listens on this very address: what the world does not get is dropped, and not refused.
    gateway.wait_until_succeeds(asks)
    assert world.execute(asks)[0] == 124
    gateway.succeed("systemctl start ssh-wan-toggle.service")
    skipped = "systemctl show --value --property=ConditionResult ssh-wan-toggle.service"
    assert gateway.succeed(skipped).strip() == "no"
    assert world.execute(asks)[0] == 124
    gateway.succeed("mkdir -p /data/config && touch /data/config/ssh-wan-enabled")
    gateway.succeed("systemctl restart ssh-wan-toggle.service")
    assert gateway.succeed(skipped).strip() == "yes"
    world.wait_until_succeeds(asks)
    gateway.succeed("systemctl stop ssh-wan-toggle.service")
    assert world.execute(asks)[0] == 124
  '';
}

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
    world.fail(asks)
    gateway.systemctl("start ssh-wan-toggle.service")
    world.fail(asks)
    gateway.succeed("mkdir -p /data/config && touch /data/config/ssh-wan-enabled")
    gateway.succeed("systemctl restart ssh-wan-toggle.service")
    world.wait_until_succeeds(asks)
    gateway.succeed("systemctl stop ssh-wan-toggle.service")
    world.fail(asks)
  '';
}

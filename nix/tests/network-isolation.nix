# SPDX-License-Identifier: MIT OR Apache-2.0
# Hosts of the LAN reach the gateway's names and have no way to the world; the world reaches neither. What
# addresses and time a configuration gives them: `cargo xtask gateway --judge network`.
{ board, ... }:
{
  nodes = {
    gateway = {
      imports = [ board.module ];
      atomixos = {
        firewall = {
          enable = true;
          wanInterface = "eth1";
          lanInterface = "eth2";
        };
        lanGateway = {
          enable = true;
          address = "172.20.30.1/24";
        };
      };
      # There is no DHCP here, and the module's file comes before that of the tests.
      systemd.network.networks."10-wan".networkConfig.Address = "192.168.1.1/24";
      virtualisation.vlans = [
        1
        2
      ];
    };
    host.virtualisation.vlans = [ 2 ];
    world.virtualisation.vlans = [ 1 ];
  };
  testScript = ''
    start_all()
    gateway.wait_for_unit("dnsmasq.service")
    gateway.wait_until_succeeds("ip -4 address show dev eth2 | grep -q 172.20.30.1/24")
    host.succeed("ip address add 172.20.30.9/24 dev eth1")
    host.wait_until_succeeds("ping -c 1 -W 2 172.20.30.1")
    asks = "timeout 5 bash -c '</dev/tcp/{}/53'"
    host.succeed(asks.format("172.20.30.1"))
    world.fail(asks.format("192.168.1.1"))
    # The gateway's own address in the world, seen from behind it, is the gateway; what is past it is not.
    gateway.wait_until_succeeds("ping -c 1 -W 5 192.168.1.3")
    host.succeed("ip route replace default via 172.20.30.1")
    host.fail("ping -c 1 -W 5 192.168.1.3")
    world.succeed("ip route add 172.20.30.0/24 via 192.168.1.1")
    world.fail("ping -c 1 -W 5 172.20.30.9")
  '';
}

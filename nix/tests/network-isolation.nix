# SPDX-License-Identifier: MIT OR Apache-2.0
# Hosts of the LAN reach the gateway's names and have no way to the world; the world reaches neither. What
# addresses and time a configuration gives them: `cargo xtask gateway --judge network`.
{ board, pkgs, ... }:
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
    # A listener at each address: of it the LAN gets an answer, and the world silence, until it is let in.
    gateway.succeed("systemd-run --unit=played-names ${pkgs.python3}/bin/python3 -m http.server 5353")
    gateway.wait_for_open_port(5353)
    listener = "timeout 5 bash -c '</dev/tcp/{}/5353'"
    host.succeed(listener.format("172.20.30.1"))
    for question in [asks, listener]:
        assert world.execute(question.format("192.168.1.1"))[0] == 124
    gateway.succeed("nft insert rule inet filter input iifname eth1 accept")
    world.succeed(listener.format("192.168.1.1"))
    # Names are told to the LAN alone even then: nobody listens there, which is an answer of its own.
    assert world.execute(asks.format("192.168.1.1"))[0] == 1
    gateway.succeed("systemctl reload-or-restart nftables.service")
    assert world.execute(listener.format("192.168.1.1"))[0] == 124
    # The gateway's own address in the world, seen from behind it, is the gateway; what is past it is not.
    gateway.wait_until_succeeds("ping -c 1 -W 5 192.168.1.3")
    host.succeed("ip route replace default via 172.20.30.1")
    world.succeed("ip route add 172.20.30.0/24 via 192.168.1.1")
    out, back = "ping -c 1 -W 5 192.168.1.3", "ping -c 1 -W 5 172.20.30.9"
    assert host.execute(out)[0] == 1
    assert world.execute(back)[0] == 1
    # Addresses and routes are right: with forwarding both get through.
    gateway.succeed("sysctl -w net.ipv4.ip_forward=1")
    gateway.succeed("nft insert rule inet filter forward accept")
    host.succeed(out)
    world.succeed(back)
    # The chain holds by itself, should something switch forwarding on.
    gateway.succeed("systemctl reload-or-restart nftables.service")
    assert host.execute(out)[0] == 1
    assert world.execute(back)[0] == 1
  '';
}

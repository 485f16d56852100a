# SPDX-License-Identifier: MIT OR Apache-2.0
# Nothing comes in from the world; the LAN comes in; nothing goes through.
{ board, pkgs, ... }:
{
  nodes = {
    gateway = {
      imports = [ board.module ];
      atomixos.firewall = {
        enable = true;
        wanInterface = "eth1";
        lanInterface = "eth2";
      };
      virtualisation.vlans = [
        1
        2
      ];
      systemd.services.played = {
        wantedBy = [ "multi-user.target" ];
        serviceConfig.ExecStart = "${pkgs.python3}/bin/python3 -m http.server 8443";
      };
    };
    world.virtualisation.vlans = [ 1 ];
    lan.virtualisation.vlans = [ 2 ];
  };
  testScript = ''
    start_all()
    gateway.wait_for_unit("nftables.service")
    gateway.wait_for_open_port(8443)
    lan.wait_for_unit("network.target")
    world.wait_for_unit("network.target")
    lan.succeed("curl --fail --max-time 10 http://192.168.2.1:8443/")
    # 28: no answer came. With a rule that lets it in the same question is answered.
    asks = "curl --fail --max-time 5 http://192.168.1.1:8443/"
    assert world.execute(asks)[0] == 28
    gateway.succeed("nft insert rule inet filter input iifname eth1 accept")
    world.succeed(asks)
    world.succeed("ping -c 1 -W 5 192.168.1.1")
    gateway.succeed("systemctl reload-or-restart nftables.service")
    assert world.execute(asks)[0] == 28
    # All of it that is not opened, not this port alone; and the way out is open.
    for chain in ["input", "forward"]:
        assert "policy drop" in gateway.succeed(f"nft list chain inet filter {chain}"), chain
    assert world.execute("ping -c 1 -W 5 192.168.1.1")[0] == 1
    gateway.succeed("ping -c 1 -W 5 192.168.1.3")
    assert gateway.succeed("sysctl -n net.ipv6.conf.all.forwarding").strip() == "0"
    assert gateway.succeed("sysctl -n net.ipv4.ip_forward").strip() == "0"
    # From one side to the other, whatever routes say.
    world.succeed("ip route add 192.168.2.0/24 via 192.168.1.1")
    lan.succeed("ip route add 192.168.1.0/24 via 192.168.2.1")
    through = "ping -c 1 -W 5 192.168.2.2"
    assert world.execute(through)[0] == 1
    # The routes are right: it is the gateway that keeps it back, by the kernel and by the chain.
    gateway.succeed("nft insert rule inet filter forward accept")
    assert world.execute(through)[0] == 1
    gateway.succeed("sysctl -w net.ipv4.ip_forward=1")
    world.succeed(through)
    gateway.succeed("systemctl reload-or-restart nftables.service")
    assert world.execute(through)[0] == 1
  '';
}

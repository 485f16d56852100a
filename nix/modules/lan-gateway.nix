# SPDX-License-Identifier: MIT OR Apache-2.0
# What does the device do for its LAN? Addresses, names and time; never a way through. What a
# configuration says is put beside these files by the config API.
{ config, lib, ... }:
let
  cfg = config.atomixos.lanGateway;
  inherit (config.atomixos.firewall) wanInterface lanInterface;
in
{
  options.atomixos.lanGateway = {
    enable = lib.mkEnableOption "addresses, names and time for the LAN";
    address = lib.mkOption {
      type = lib.types.str;
      default = "172.20.30.1/24";
      example = "172.20.30.1/24";
      description = "The device's address in the LAN until a configuration gives another one.";
    };
    wanPath = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "platform-ff540000.ethernet";
      description = "Where udev finds the network card towards the world, which then has that interface's name; null: names are left alone.";
    };
    lanPath = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "platform-*-usb-*";
      description = "The same of the LAN's card.";
    };
  };

  config = lib.mkIf cfg.enable {
    networking = {
      useDHCP = false;
      useNetworkd = true;
      usePredictableInterfaceNames = false;
    };
    systemd.network = {
      enable = true;
      wait-online = {
        anyInterface = true;
        timeout = 30;
      };
      networks."10-wan" = {
        matchConfig.Name = wanInterface;
        networkConfig = {
          DHCP = "ipv4";
          IPv6AcceptRA = false;
        };
        dhcpV4Config.UseNTP = false;
      };
      networks."20-lan" = {
        matchConfig.Name = lanInterface;
        networkConfig = {
          Address = cfg.address;
          ConfigureWithoutCarrier = true;
        };
      };
      links = lib.mkMerge [
        (lib.mkIf (cfg.wanPath != null) {
          "10-wan" = {
            matchConfig.Path = cfg.wanPath;
            linkConfig.Name = wanInterface;
          };
        })
        (lib.mkIf (cfg.lanPath != null) {
          "20-lan" = {
            matchConfig.Path = cfg.lanPath;
            linkConfig.Name = lanInterface;
          };
        })
      ];
    };

    services.resolved.enable = true;
    services.dnsmasq = {
      enable = true;
      resolveLocalQueries = false;
      settings = {
        interface = lanInterface;
        bind-dynamic = true;
        local-service = true;
        no-resolv = true;
        conf-dir = "/etc/dnsmasq.d,*.conf";
      };
    };

    services.timesyncd.enable = false;
    services.chrony = {
      enable = true;
      servers = [ ];
      extraConfig = ''
        makestep 1.0 -1
        deny all
        local stratum 10
        include /etc/atomixos/chrony-lan.conf
      '';
    };
    systemd.tmpfiles.rules = [
      "d /etc/dnsmasq.d 0755 root root -"
      "d /etc/atomixos 0755 root root -"
      # Nobody may ask for the time before there is a configuration.
      "f /etc/atomixos/chrony-lan.conf 0644 root root -"
    ];
  };
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# What may come in? Nothing from the world but answers and what is opened by name; the LAN until a
# configuration says less; nothing goes through.
{ config, lib, ... }:
let
  cfg = config.atomixos.firewall;
  input = [
    "type filter hook input priority filter; policy drop;"
    "iifname \"lo\" accept"
    "ct state established,related accept"
  ]
  ++ lib.optional cfg.sshFromWorld "iifname \"${cfg.wanInterface}\" tcp dport 22 jump ssh_wan"
  ++ cfg.extraInputRules
  ++ [ "iifname \"${cfg.lanInterface}\" accept comment \"ATOMIXOS_LAN_DEFAULT_OPEN\"" ];
  chain = name: rules: "chain ${name} {\n${lib.concatMapStrings (rule: "  ${rule}\n") rules}}\n";
in
{
  options.atomixos.firewall = {
    enable = lib.mkEnableOption "the device's packet filter";
    wanInterface = lib.mkOption {
      type = lib.types.str;
      default = "eth0";
      example = "eth0";
      description = "The interface towards the world.";
    };
    lanInterface = lib.mkOption {
      type = lib.types.str;
      default = "eth1";
      example = "eth1";
      description = "The interface of the LAN.";
    };
    extraInputRules = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "iifname \"eth0\" tcp dport 443 accept" ];
      description = "More rules of the input chain, one each, before those of the LAN.";
    };
    sshFromWorld = lib.mkOption {
      type = lib.types.bool;
      default = true;
      example = false;
      description = ''
        Whether an operator may open SSH to the world: he makes /data/config/ssh-wan-enabled and starts
        ssh-wan-toggle.service. Without that file nothing is opened; stopping the unit closes it.
      '';
    };
    content = lib.mkOption {
      type = lib.types.str;
      internal = true;
      readOnly = true;
      default =
        lib.optionalString cfg.sshFromWorld (chain "ssh_wan" [ ])
        + chain "input" input
        + chain "forward" [ "type filter hook forward priority filter; policy drop;" ]
        + chain "output" [ "type filter hook output priority filter; policy accept;" ];
      defaultText = lib.literalExpression "the rules of these options";
      example = "chain input { … }";
      description = "The chains of the table inet filter; the Nix step compares them with those that the gateway's tests run.";
    };
  };

  config = lib.mkIf cfg.enable {
    networking.firewall.enable = false;
    networking.nftables = {
      enable = true;
      tables.filter = {
        family = "inet";
        inherit (cfg) content;
      };
    };
    # No forwarding, whatever a container's bridge asks for.
    boot.kernel.sysctl = {
      "net.ipv4.ip_forward" = 0;
      "net.ipv6.conf.all.forwarding" = 0;
    };

    atomixos.units = lib.mkIf cfg.sshFromWorld {
      "ssh-wan-toggle.service" = ../dist/ssh-wan-toggle.service;
    };
  };
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# How is a device reached whose way in is lost? By a tunnel that somebody starts at it: never by itself.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.atomixos.openvpn;
in
{
  options.atomixos.openvpn = {
    enable = lib.mkEnableOption "the recovery tunnel openvpn-recovery.service, which is started by hand";
    clientConfig = lib.mkOption {
      type = lib.types.str;
      default = "/data/config/openvpn/client.conf";
      example = "/data/config/openvpn/client.conf";
      description = "The operator's file. Configurations leave it alone; without it the unit does nothing.";
    };
  };

  config = lib.mkIf cfg.enable {
    systemd.services.openvpn-recovery = {
      description = "Recovery tunnel";
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      unitConfig = {
        ConditionPathExists = cfg.clientConfig;
        RequiresMountsFor = "/data";
      };
      serviceConfig = {
        Type = "notify";
        ExecStart = "${pkgs.openvpn}/bin/openvpn --suppress-timestamps --config ${cfg.clientConfig}";
        # What the other end says is logged: no line of it may choose its own level.
        SyslogLevelPrefix = false;
        WorkingDirectory = dirOf cfg.clientConfig;
        Restart = "on-failure";
        RestartSec = 30;
        CapabilityBoundingSet = [
          "CAP_NET_ADMIN"
          "CAP_NET_BIND_SERVICE"
          "CAP_SETGID"
          "CAP_SETUID"
        ];
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        PrivateTmp = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        KeyringMode = "private";
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        # The tunnel, its routes, and the line to systemd.
        RestrictAddressFamilies = "AF_INET AF_INET6 AF_NETLINK AF_UNIX";
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        RestrictNamespaces = true;
        SystemCallArchitectures = "native";
        SystemCallErrorNumber = "EPERM";
        # With `@setuid`: it becomes another account where its configuration says so.
        SystemCallFilter = "@system-service";
        UMask = "0077";
        DevicePolicy = "closed";
        DeviceAllow = [
          "/dev/net/tun rw"
          "/dev/null rw"
        ];
      };
    };
    # Over the tunnel SSH answers, as in the LAN.
    atomixos.firewall.extraInputRules = [ "iifname \"tun0\" tcp dport 22 accept" ];
  };
}

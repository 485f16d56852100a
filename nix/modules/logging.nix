# SPDX-License-Identifier: MIT OR Apache-2.0
# What is still known after a power cut? The journal is on /data and synced every minute, errors at once;
# a dead kernel's last words are kept too. No second daemon copies lines from memory to disk (fault 22).
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.atomixos.logging;
in
{
  options.atomixos.logging = {
    enable = lib.mkEnableOption "a journal that outlives a power cut";
    maxUse = lib.mkOption {
      type = lib.types.str;
      default = "128M";
      example = "512M";
      description = "The most that the journal takes of /data.";
    };
    syncInterval = lib.mkOption {
      type = lib.types.str;
      default = "1min";
      example = "5min";
      description = "How old a line may be that a power cut takes; lines of `crit` and above are synced at once.";
    };
  };

  config = lib.mkIf cfg.enable {
    services.journald = {
      # Persistent only where its directory is: without /data it is in memory, with a limit.
      storage = "auto";
      extraConfig = ''
        SystemMaxUse=${cfg.maxUse}
        SystemKeepFree=256M
        RuntimeMaxUse=32M
        SyncIntervalSec=${cfg.syncInterval}
        RateLimitIntervalSec=30s
        RateLimitBurst=500
        MaxLevelStore=info
      '';
    };
    systemd.mounts =
      map
        (kept: {
          what = "/data/logs/${kept.name}";
          inherit (kept) where;
          type = "none";
          options = "bind";
          wantedBy = [ "local-fs.target" ];
          before = [
            "systemd-journal-flush.service"
            "systemd-pstore.service"
          ];
          after = [ "atomixos-log-directories.service" ];
          requires = [ "atomixos-log-directories.service" ];
          unitConfig.RequiresMountsFor = "/data";
        })
        [
          {
            name = "journal";
            where = "/var/log/journal";
          }
          {
            name = "pstore";
            where = "/var/lib/systemd/pstore";
          }
        ];
    systemd.services.atomixos-log-directories = {
      description = "Directories of the journal on /data";
      before = [ "shutdown.target" ];
      conflicts = [ "shutdown.target" ];
      unitConfig = {
        DefaultDependencies = false;
        RequiresMountsFor = "/data";
      };
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${pkgs.coreutils}/bin/mkdir -p /data/logs/journal /data/logs/pstore";
        # Root's own directories, and nothing else of the machine.
        CapabilityBoundingSet = "";
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        ReadWritePaths = "/data";
        ProtectHome = true;
        PrivateDevices = true;
        PrivateNetwork = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        ProcSubset = "pid";
        KeyringMode = "private";
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        RestrictAddressFamilies = "none";
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallErrorNumber = "EPERM";
        SystemCallFilter = [
          "@system-service"
          "~@privileged @resources"
        ];
        # The journal's directory is read by its group.
        UMask = "0022";
      };
    };
  };
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# Who may log in? Whoever has a key of the configuration; nobody with a password, nobody as root.
{ config, lib, ... }:
let
  cfg = config.atomixos.ssh;
in
{
  options.atomixos.ssh = {
    enable = lib.mkEnableOption "SSH with the keys of the configuration";
    keyDirectory = lib.mkOption {
      type = lib.types.str;
      default = "/data/config/ssh-authorized-keys";
      example = "/data/config/ssh-authorized-keys";
      description = "Where the config API puts each account's keys.";
    };
    hostKey = lib.mkOption {
      type = lib.types.str;
      default = "/data/ssh/ssh_host_ed25519_key";
      example = "/data/ssh/ssh_host_ed25519_key";
      description = "The device's own key, made at the first start and kept over updates.";
    };
  };

  config = lib.mkIf cfg.enable {
    services.openssh = {
      enable = true;
      # The packet filter's part is atomixos.firewall's alone.
      openFirewall = false;
      authorizedKeysFiles = lib.mkForce [ "${cfg.keyDirectory}/%u" ];
      hostKeys = [
        {
          type = "ed25519";
          path = cfg.hostKey;
        }
      ];
      settings = {
        PasswordAuthentication = false;
        KbdInteractiveAuthentication = false;
        PermitRootLogin = "no";
        X11Forwarding = false;
        AllowAgentForwarding = false;
        AllowTcpForwarding = false;
        MaxAuthTries = 3;
        LoginGraceTime = 30;
      };
    };
    # No account has a password, and an administrator is one by his key.
    users.users.root.hashedPassword = "!";
    security.sudo.enable = false;
    security.polkit.enable = true;
    security.polkit.extraConfig = ''
      polkit.addRule(function(action, subject) {
        if (subject.isInGroup("wheel") && action.id == "org.freedesktop.systemd1.manage-units") {
          return polkit.Result.YES;
        }
      });
    '';
  };
}

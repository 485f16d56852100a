# SPDX-License-Identifier: MIT OR Apache-2.0
# A gateway, whatever its board: everything on but what somebody has to decide. Who may sign updates is
# nowhere here; a system without a keyring does not evaluate.
{
  config,
  lib,
  pkgs,
  ...
}:
{
  imports = [ ../modules ];

  config = {
    atomixos = {
      kernel.configFile = config.boot.kernelPackages.kernel.configfile;
      update.enable = lib.mkDefault true;
      agents.mode = lib.mkDefault "configured";
      boot.enable = lib.mkDefault true;
      configApi.enable = lib.mkDefault true;
      disk.enable = lib.mkDefault true;
      firewall.enable = lib.mkDefault true;
      lanGateway.enable = lib.mkDefault true;
      logging.enable = lib.mkDefault true;
      openvpn.enable = lib.mkDefault true;
      repart.enable = lib.mkDefault true;
      root.enable = lib.mkDefault true;
      serialRecovery.enable = lib.mkDefault true;
      ssh.enable = lib.mkDefault true;
      verification.enable = lib.mkDefault true;
    };

    boot.kernelPackages = pkgs.linuxPackagesFor (
      pkgs.linux_latest.override {
        # By force: nixpkgs has answers of its own (`MD` is one), and refuses two that differ.
        structuredExtraConfig = lib.mapAttrs (
          _: value:
          lib.mkForce
            {
              "y" = lib.kernel.yes;
              "m" = lib.kernel.module;
              "n" = lib.kernel.no;
            }
            .${value}
        ) config.atomixos.kernel.asked;
      }
    );
    # All that the initrd needs is built in.
    boot.initrd.includeDefaultModules = false;

    networking.hostName = lib.mkDefault "gateway";
    # A system that is only ever replaced whole needs nothing to change it.
    nix.enable = false;
    system.stateVersion = lib.mkDefault "25.11";
    system.disableInstallerTools = true;
    system.switch.enable = false;
    documentation.enable = false;
  };
}

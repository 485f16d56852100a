# SPDX-License-Identifier: MIT OR Apache-2.0
# Who makes of a config.toml what this device is? The HTTP service without rights, its helper, the search
# of the first boot and the parts that each boot applies: all from config-api/dist.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.atomixos.configApi;
  dist = ../../config-api/dist;
  getty = "serial-getty@${config.atomixos.board.serialConsole}";
in
{
  options.atomixos.configApi = {
    enable = lib.mkEnableOption "the config API, its helper and the first boot's search";
    console = lib.mkOption {
      type = lib.types.bool;
      default = true;
      example = false;
      description = ''
        Whether the first configuration may be pasted at the serial console. The getty of that line waits
        until there is one: two readers would get half of it each.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = config.networking.nftables.enable;
        message = "atomixos.configApi opens ports in nftables' table inet filter: enable atomixos.firewall.";
      }
    ];

    atomixos.containers.enable = lib.mkDefault true;
    atomixos.units = lib.genAttrs [
      "atomix-config-accounts.service"
      "atomix-config-api.service"
      "atomix-config-firewall.service"
      "atomix-config-first-boot.service"
      "atomix-config-helper.service"
      "atomix-config-network.service"
      "atomix-config-recover.service"
      "atomix-config-units.service"
    ] (name: dist + "/${name}");

    systemd.services = {
      # The names under which technicians, and probes of their own, know these parts.
      atomix-config-network.aliases = [ "lan-gateway-apply.service" ];
      atomix-config-firewall = {
        aliases = [ "provisioned-firewall-inbound.service" ];
        # Rules that are loaded anew are without the configuration's until this runs again.
        partOf = [ "nftables.service" ];
      };
    }
    // lib.optionalAttrs cfg.console {
      # No Conflicts=: two units of one boot, one of which stops the other, would have systemd choose.
      atomix-config-first-boot.unitConfig.OnSuccess = "${getty}.service";
      ${getty} = {
        overrideStrategy = "asDropin";
        unitConfig.ConditionPathExists = "/data/config/current";
      };
    };

    users.users.atomix-config = {
      isSystemUser = true;
      group = "atomix-config";
      description = "Config API";
    };
    users.groups.atomix-config = { };

    systemd.tmpfiles.packages = [
      (pkgs.linkFarm "atomixos-config-tmpfiles" [
        {
          name = "lib/tmpfiles.d/atomix-config-api.conf";
          path = dist + "/atomix-config-api.conf";
        }
      ])
    ];
    services.dbus.packages = [
      (pkgs.linkFarm "atomixos-config-dbus" [
        {
          name = "share/dbus-1/session.d/atomix-config-session.conf";
          path = dist + "/atomix-config-session.conf";
        }
      ])
    ];

    # The shell of administrators; with what it needs of the system's environment.
    programs.zsh.enable = true;
    # Found below /run/current-system/sw/bin, where the helper looks.
    environment.systemPackages = [
      pkgs.nftables
      pkgs.openssh
      pkgs.shadow
    ];
  };
}

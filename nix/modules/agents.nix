# SPDX-License-Identifier: MIT OR Apache-2.0
# Who tells the device to update? One agent, never two: what the device's configuration names of those
# that its image has.
{
  config,
  lib,
  ...
}:
let
  cfg = config.atomixos.agents;
  dir = ../../atomix/units;
  units = {
    none = [ ];
    poll = [
      "os-upgrade.service"
      "os-upgrade.timer"
    ];
    hawkbit = [ "atomix-agent.service" ];
    configured = units.poll ++ units.hawkbit;
  };
  # Each would install over the other's slot.
  installed = builtins.filter (name: config.atomixos.units ? ${name}) [
    "os-upgrade.timer"
    "atomix-agent.service"
  ];
  word = {
    true = "yes";
    false = "no";
  };
in
{
  options.atomixos.agents = {
    mode = lib.mkOption {
      type = lib.types.enum (builtins.attrNames units);
      default = "none";
      example = "configured";
      description = ''
        Which agents the image has: with `configured` that which the device's configuration names runs, the
        other does not; with `poll` or `hawkbit` a configuration that names the other is refused; with
        `none` updates are installed by hand.
      '';
    };
    metered = lib.mkOption {
      type = lib.types.nullOr lib.types.bool;
      default = null;
      example = true;
      description = "Whether the device's link is paid by the byte; null: what NetworkManager says, else it is not.";
    };
    beforeReboot = lib.mkOption {
      type = lib.types.attrsOf lib.types.path;
      default = { };
      example = lib.literalExpression "{ drain = ./drain.sh; }";
      description = ''
        Programs that a configuration may name to be asked before a restart (`before_reboot`): one that does
        not end with 0 forbids it for now.
      '';
    };
  };

  config = lib.mkIf (cfg.mode != "none") {
    assertions = [
      {
        assertion =
          cfg.mode == "none"
          || config.system.image.version != null
          || config.atomixos.update.minBundleVersion != null;
        message = "Set system.image.version: a flashed slot has no record of its version, and an agent takes nothing where nobody says what may follow.";
      }
      {
        assertion = config.atomixos.update.enable;
        message = "atomixos.agents asks for updates and atomixos.update does not install any.";
      }
      {
        assertion = cfg.mode == "configured" || builtins.length installed < 2;
        message = "${toString installed}: two update agents, and atomixos.agents.mode does not leave the choice to the configuration.";
      }
    ];
    atomixos.units = lib.genAttrs units.${cfg.mode} (name: dir + "/${name}");
    environment.etc =
      lib.optionalAttrs (cfg.metered != null) {
        "atomix/metered".text = word.${lib.boolToString cfg.metered} + "\n";
      }
      // lib.mapAttrs' (name: source: {
        name = "atomix/before-reboot/${name}";
        value = { inherit source; };
      }) cfg.beforeReboot;
  };
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# Who confirms a boot? os-verification.service, from the probes of one file; a deadline ends a trying slot
# that says nothing. Updating does not wait for either (fault 7).
{
  config,
  lib,
  ...
}:
let
  cfg = config.atomixos.verification;
  dir = ../../atomix/units;
in
{
  options.atomixos.verification = {
    enable = lib.mkEnableOption "the health check that confirms a slot";
    probes = lib.mkOption {
      type = lib.types.path;
      default = config.atomixos.board.generated + "/etc/atomix/health.toml";
      defaultText = lib.literalExpression "etc/atomix/health.toml of atomixos.board.generated";
      example = lib.literalExpression "./health.toml";
      description = "The probes, their levels and times: `/etc/atomix/health.toml`.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = config.atomixos.boot.enable;
        message = "atomixos.verification confirms what atomixos.boot records: enable both.";
      }
    ];
    environment.etc."atomix/health.toml".source = cfg.probes;
    atomixos.units = lib.genAttrs [
      "os-verification.service"
      "os-verification-deadline.service"
      "os-verification-deadline.timer"
    ] (name: dir + "/${name}");
  };
}

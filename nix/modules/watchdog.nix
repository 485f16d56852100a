# SPDX-License-Identifier: MIT OR Apache-2.0
# Who ends a hang? The hardware watchdog, from U-Boot on, where somebody asked for it. All of it or
# nothing: an armed watchdog that no kernel feeds resets every boot.
{
  config,
  lib,
  ...
}:
let
  cfg = config.atomixos.watchdog;
  inherit (config.atomixos) board;
in
{
  options.atomixos.watchdog = {
    enable = lib.mkEnableOption ''
      the hardware watchdog in U-Boot, kernel and systemd. Both slots get their kernels before U-Boot is
      replaced: docs/how-to-watchdog.md'';
    driver = lib.mkOption {
      type = lib.types.str;
      default = "dw_wdt";
      example = "i6300esb";
      description = "The kernel's driver of the watchdog, loaded in the initrd before anything else.";
    };
    soakReport = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "2027-02 two boards, 72 h each, no reset: tests/soak-2027-02.md";
      description = ''
        Where it is written that boards have passed the soak test of docs/how-to-watchdog.md. Without it
        evaluation warns: a false alarm costs a good slot an attempt each time.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = board.generatedWatchdog != null;
        message = "atomixos.watchdog.enable: this board has no facts of a watchdog (atomixos.board.generatedWatchdog).";
      }
    ];
    warnings = lib.optional (cfg.soakReport == null) ''
      The hardware watchdog is on and no soak test is named (atomixos.watchdog.soakReport). Until boards
      have passed it, leave it off in the field.
    '';
    environment.etc = lib.optionalAttrs (board.generatedWatchdog != null) {
      "systemd/system.conf.d/50-atomix-watchdog.conf".source =
        board.generatedWatchdog + "/etc/systemd/system.conf.d/50-atomix-watchdog.conf";
    };
    # The driver first: U-Boot's last feeding lasts for 28 s.
    boot.initrd.kernelModules = [ cfg.driver ];
  };
}

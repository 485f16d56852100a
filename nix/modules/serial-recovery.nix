# SPDX-License-Identifier: MIT OR Apache-2.0
# How does a technician get in when nothing else works? Once, as root, on the serial line, when the
# firmware's environment asks for it; the request is taken back before the login starts (fault 41).
{ config, lib, ... }:
let
  cfg = config.atomixos.serialRecovery;
  dir = ../../atomix/units;
in
{
  options.atomixos.serialRecovery.enable = lib.mkEnableOption ''
    one root login on the serial line for each request in U-Boot's environment (`_RUT_OH_=1`). Whoever
    has the line and U-Boot's prompt has the device; leave it off where that is not a technician'';

  config = lib.mkIf cfg.enable {
    atomixos.units = lib.genAttrs [
      "atomix-serial-root.service"
      "atomix-serial-root@.service"
    ] (name: dir + "/${name}");
  };
}

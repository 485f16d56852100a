# SPDX-License-Identifier: MIT OR Apache-2.0
# A NixOS of options alone: its system is a derivation that holds what was configured, and does not
# evaluate where NixOS would not: an assertion fails, an option does not exist.
{ lib, pkgsFor }:
{
  system ? null,
  modules,
  specialArgs ? { },
}:
let
  base =
    { config, pkgs, ... }:
    let
      failed = map (one: one.message) (builtins.filter (one: !one.assertion) config.assertions);
      warned = lib.optionalString (config.warnings != [ ]) (lib.concatLines config.warnings);
      seen = {
        inherit (config)
          boot
          environment
          systemd
          networking
          services
          users
          fileSystems
          ;
        inherit (config)
          hardware
          security
          virtualisation
          programs
          ;
      };
      show =
        value:
        if lib.isDerivation value then
          "${value}"
        else if builtins.isFunction value then
          "a function"
        else if builtins.isAttrs value then
          builtins.mapAttrs (_: show) value
        else if builtins.isList value then
          map show value
        else
          value;
      toplevel = derivation {
        name = "nixos-system-${config.networking.hostName}";
        inherit (pkgs.stdenv.hostPlatform) system;
        builder = "/bin/sh";
        args = [
          "-c"
          "echo this system is evaluated, never built >&2; exit 1"
        ];
        configured = builtins.toJSON (show seen);
        inherit warned;
        passAsFile = [ "configured" ];
      };
    in
    {
      system.build.kernel = config.boot.kernelPackages.kernel;
      system.build.initialRamdisk = pkgs.writeText "initrd" (
        builtins.toJSON (show config.boot.initrd.systemd)
      );
      system.build.toplevel =
        if failed != [ ] then
          throw "failed assertions:\n${lib.concatMapStrings (text: "- ${text}\n") failed}"
        else if warned != "" then
          builtins.trace "warnings of the system:\n${warned}" toplevel
        else
          toplevel;
    };
in
lib.evalModules {
  specialArgs = {
    pkgs = pkgsFor (if system == null then "aarch64-linux" else system);
    modulesPath = "/modules-of-nixos";
  }
  // specialArgs;
  modules = [
    ./options.nix
    base
  ]
  ++ modules;
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# How do the unit files of this repository get into a NixOS? As they are, but for the programs' paths.
# Never a unit that is written here a second time.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  units = import ../lib/units.nix;
  cfg = config.atomixos;
  texts = lib.mapAttrs (_: source: units.rewrite cfg.programs (builtins.readFile source)) cfg.units;
  names = builtins.attrNames texts;

  # What [Install] asks for, as NixOS wants to hear it.
  wanted =
    kind:
    builtins.listToAttrs (
      map (name: {
        name = units.stem name;
        value = {
          wantedBy = units.wantedBy texts.${name};
        }
        // lib.optionalAttrs (kind == "service") { path = cfg.servicePath; };
      }) (builtins.filter (name: units.kind name == kind) names)
    );
in
{
  options.atomixos = {
    package = lib.mkOption {
      type = lib.types.package;
      example = lib.literalExpression "self.packages.aarch64-linux.atomix";
      description = "The programs `atomix` and `atomix-config-api`, and the links `rauc`, `fw_printenv`, `fw_setenv`.";
    };
    programs = lib.mkOption {
      type = lib.types.attrsOf lib.types.str;
      internal = true;
      default = { };
      example = {
        "/usr/bin/atomix" = "/nix/store/…-atomix/bin/atomix";
      };
      description = "Paths in unit files and what stands for them here.";
    };
    servicePath = lib.mkOption {
      type = lib.types.listOf lib.types.package;
      internal = true;
      default = [ ];
      example = lib.literalExpression "[ pkgs.util-linux ]";
      description = "Where our services find the programs that they call by name.";
    };
    units = lib.mkOption {
      type = lib.types.attrsOf lib.types.path;
      internal = true;
      default = { };
      example = lib.literalExpression ''{ "rauc.service" = ./atomix/dist/rauc/rauc.service; }'';
      description = "Units and drop-ins: their names, and the checked-in files.";
    };
    unitTexts = lib.mkOption {
      type = lib.types.attrsOf lib.types.str;
      internal = true;
      readOnly = true;
      default = texts;
      defaultText = lib.literalExpression "the files of atomixos.units with this system's paths";
      example = {
        "rauc.service" = "[Unit] …";
      };
      description = "The units as this system gets them; the Nix step compares them with the files.";
    };
  };

  config = {
    atomixos.programs = {
      "/usr/bin/atomix" = "${cfg.package}/bin/atomix";
      "/usr/bin/atomix-config-api" = "${cfg.package}/bin/atomix-config-api";
      "/usr/bin/rauc" = "${cfg.package}/bin/rauc";
      "/sbin/agetty" = "${pkgs.util-linux}/bin/agetty --login-program ${pkgs.shadow}/bin/login";
      "/usr/sbin/nft" = "${pkgs.nftables}/bin/nft";
    };
    # mount and umount, mkfs.vfat, mkfs.f2fs; systemctl is in every service's path.
    atomixos.servicePath = [
      pkgs.util-linux
      pkgs.dosfstools
      pkgs.f2fs-tools
    ];

    assertions = map (name: {
      assertion = units.strangers texts.${name} == [ ];
      message = "${name} runs a program that this system has not: ${
        toString (units.strangers texts.${name})
      }";
    }) names;

    environment.systemPackages = [ cfg.package ];
    systemd.packages = [
      (pkgs.linkFarm "atomixos-units" (
        map (name: {
          name = "lib/systemd/system/${name}";
          path = pkgs.writeText (builtins.replaceStrings [ "/" "@" ] [ "-" "-" ] name) texts.${name};
        }) names
      ))
    ];
    systemd.services = wanted "service";
    systemd.timers = wanted "timer";
    systemd.sockets = wanted "socket";
    systemd.paths = wanted "path";
  };
}

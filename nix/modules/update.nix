# SPDX-License-Identifier: MIT OR Apache-2.0
# How does this system take an update, and whom does it believe? system.conf, keyring, service, bus.
# Without a keyring of its own nothing evaluates: a device never trusts a key by default.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.atomixos.update;
  inherit (config.atomixos) board;
  units = import ../lib/units.nix;
  dist = ../../atomix/dist/rauc;
  busPolicy = {
    "root-only" = dist + "/de.pengutronix.rauc-root-only.conf";
    everybody = dist + "/de.pengutronix.rauc.conf";
  };

  keyrings = builtins.filter (keyring: keyring != null) [
    cfg.keyring
    cfg.developmentKeyring
  ];
  # A path, and a string that names a file of some flake, can be read now. What a derivation makes is not
  # built to be looked at: its own build looks. A string without either is no part of the system.
  sources =
    keyring:
    if builtins.isPath keyring then
      [ { path = true; } ]
    else
      builtins.attrValues (builtins.getContext "${keyring}");
  built = keyring: builtins.any (one: !(one ? path)) (sources keyring);
  elsewhere = builtins.filter (keyring: sources keyring == [ ]) keyrings;
  # Of a product's keyring: none of the certificates that every machine makes for itself.
  developmentWords = import ../lib/development-words.nix;
  ofDevelopment =
    file:
    let
      letters = builtins.replaceStrings [ " " "\r" "\n" ] [ "" "" "" ] (builtins.readFile file);
    in
    builtins.any (words: lib.hasInfix words letters) developmentWords;
  readable = builtins.filter (keyring: sources keyring != [ ] && !(built keyring)) keyrings;

  development = ''
    DEVELOPMENT BUILD: updates signed with a development key are installed here.
  '';

  optionalKey = key: value: lib.optional (value != null) "${key}=${value}";
  slot = index: name: devices: [
    "[slot.boot.${index}]"
    "device=${devices.boot}"
    "type=vfat"
    "bootname=${name}"
    "[slot.rootfs.${index}]"
    "device=${devices.rootfs}"
    "type=raw"
    "parent=boot.${index}"
  ];
  systemConf = lib.concatStringsSep "\n" (
    [
      "[system]"
      "compatible=${cfg.compatible}"
      "bootloader=uboot"
      "bundle-formats=${lib.concatStringsSep " " cfg.bundleFormats}"
      "perform-pre-check=true"
      "statusfile=${cfg.statusFile}"
    ]
    ++ optionalKey "min-bundle-version" cfg.minBundleVersion
    ++ [
      "[keyring]"
      "path=/etc/rauc/ca.cert.pem"
    ]
    ++ slot "0" "A" board.slots.A
    ++ slot "1" "B" board.slots.B
    ++ [ "" ]
  );
in
{
  options.atomixos.update = {
    enable = lib.mkEnableOption "installing bundles into the inactive slot";
    compatible = lib.mkOption {
      type = lib.types.str;
      example = "rock64";
      description = "Which bundles are for this hardware: their manifest says the same word.";
    };
    bundleFormats = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [
        "-plain"
        "+verity"
      ];
      example = [
        "-plain"
        "+verity"
        "+crypt"
      ];
      description = "Formats of bundles. Plain ones have no hash tree and cannot be read in parts.";
    };
    statusFile = lib.mkOption {
      type = lib.types.str;
      default = "/data/rauc/status.raucs";
      example = "/data/rauc/status.raucs";
      description = "RAUC's status file. An update works without /data; then it is not written.";
    };
    minBundleVersion = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "2.0.0";
      description = "Older bundles are refused, also before this device has confirmed a version itself.";
    };
    keyring = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      example = lib.literalExpression "./keys/production-ca.pem";
      description = ''
        Certificates of whoever may sign updates. This or a development keyring has to be given: a system
        with neither does not evaluate.
      '';
    };
    developmentKeyring = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      example = lib.literalExpression "./keys/development-ca.pem";
      description = ''
        Instead of `keyring`: certificates whose keys more people have than a fleet can bear. Evaluation
        warns, and the device says so at every login.
      '';
    };
    busPolicy = lib.mkOption {
      type = lib.types.enum [
        "root-only"
        "everybody"
      ];
      default = "root-only";
      example = "everybody";
      description = ''
        Who may install over D-Bus. With `everybody`, as RAUC ships it, each local account may; with
        `root-only` others may look.
      '';
    };
    systemConf = lib.mkOption {
      type = lib.types.str;
      internal = true;
      readOnly = true;
      default = systemConf;
      defaultText = lib.literalExpression "system.conf of these options";
      example = "[system] …";
      description = "RAUC's system.conf; the Nix step compares it with what board-rock64 generates.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = builtins.length keyrings > 0;
        message = ''
          atomixos.update.keyring is not set: this device would have nobody to believe. Give the
          certificates of your release keys; for a system that never leaves the desk,
          atomixos.update.developmentKeyring.
        '';
      }
      {
        assertion = builtins.length keyrings < 2;
        message = "atomixos.update.keyring and atomixos.update.developmentKeyring are both set: one of them counts.";
      }
    ]
    ++ map (file: {
      assertion = false;
      message = "${file} is a place on the machine that builds, which no image has: give a path, or a file of a flake or of a derivation.";
    }) elsewhere
    ++ map (file: {
      assertion = !lib.hasInfix "PRIVATE KEY-----" (builtins.readFile file);
      message = "${toString file} holds a private key: everybody who has an image could sign updates.";
    }) readable
    ++ map (file: {
      assertion = lib.hasInfix "-----BEGIN CERTIFICATE-----" (builtins.readFile file);
      message = "${toString file} holds no certificate.";
    }) readable
    ++ map (file: {
      assertion = cfg.developmentKeyring != null || !ofDevelopment file;
      message = "${toString file} is of the development keys, which a product must not believe: on a desk it is atomixos.update.developmentKeyring.";
    }) readable;

    system.checks = map (
      file:
      pkgs.runCommand "atomixos-keyring-needs" { } ''
        ${import ../lib/keyring-needs.nix (lib.optionals (
          cfg.developmentKeyring == null
        ) developmentWords) file}
        touch $out
      ''
    ) (builtins.filter built keyrings);

    warnings = lib.optional (cfg.developmentKeyring != null) ''
      This system believes a development keyring (atomixos.update.developmentKeyring): whoever has its
      key installs anything on it. Do not ship it.
    '';

    users.motd = lib.mkIf (cfg.developmentKeyring != null) development;
    environment.etc = {
      "rauc/system.conf".text = systemConf;
    }
    // lib.optionalAttrs (keyrings != [ ]) {
      # A copy: what lies beside it, such as the key of a signer for development, gets into no image.
      "rauc/ca.cert.pem".source = pkgs.runCommand "ca.cert.pem" { } ''
        cp ${builtins.head keyrings} "$out"
      '';
    }
    // lib.optionalAttrs (cfg.developmentKeyring != null) {
      "issue.d/10-development-keyring.issue".text = development;
    };

    atomixos.units."rauc.service" = dist + "/rauc.service";
    # Slots here are partitions of the user area, and their images no archives (see the unit).
    systemd.services.rauc.serviceConfig = {
      ProtectKernelTunables = true;
      RestrictSUIDSGID = true;
    };
    services.dbus.packages = [
      (pkgs.linkFarm "atomixos-rauc-dbus" [
        {
          name = "share/dbus-1/system.d/de.pengutronix.rauc.conf";
          path = busPolicy.${cfg.busPolicy};
        }
        {
          name = "share/dbus-1/system-services/de.pengutronix.rauc.service";
          path = pkgs.writeText "de.pengutronix.rauc.service" (
            units.rewrite config.atomixos.programs (builtins.readFile (dist + "/de.pengutronix.rauc.service"))
          );
        }
      ])
    ];
  };
}

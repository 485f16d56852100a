# SPDX-License-Identifier: MIT OR Apache-2.0
# What may a service that only the modules have not do? What a unit of atomix/units may not: limits are
# written there, once, where the real chain boots with them.
unit:
let
  units = import ./units.nix;
  text = builtins.readFile (../../atomix/units + "/${unit}");
  limits = [
    "CapabilityBoundingSet"
    "KeyringMode"
    "LockPersonality"
    "MemoryDenyWriteExecute"
    "NoNewPrivileges"
    "ProtectControlGroups"
    "ProtectHome"
    "ProtectHostname"
    "ProtectKernelModules"
    "ProtectKernelTunables"
    "RestrictAddressFamilies"
    "RestrictNamespaces"
    "RestrictRealtime"
    "RestrictSUIDSGID"
    "SystemCallArchitectures"
    "SystemCallErrorNumber"
    "SystemCallFilter"
  ];
  said = name: units.values "Service" name text;
in
builtins.listToAttrs (
  map (name: {
    inherit name;
    value = said name;
  }) (builtins.filter (name: said name != [ ]) limits)
)

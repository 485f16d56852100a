# SPDX-License-Identifier: MIT OR Apache-2.0
# What may no small service of the initrd do? Anything but to read, and to write what is root's own: it
# has no capability, no socket, no device but /dev/null and its like. Each takes back by name what it
# needs. Without mount namespaces: / of an initrd cannot be left by `pivot_root`, and a boot must not
# hang on what systemd does about it. PID 1 mounts; what a service sees of a mount is no copy.
{
  NoNewPrivileges = true;
  CapabilityBoundingSet = "";
  DevicePolicy = "closed";
  KeyringMode = "private";
  LockPersonality = true;
  MemoryDenyWriteExecute = true;
  RestrictAddressFamilies = "none";
  RestrictNamespaces = true;
  RestrictRealtime = true;
  RestrictSUIDSGID = true;
  SystemCallArchitectures = "native";
  SystemCallErrorNumber = "EPERM";
  SystemCallFilter = [
    "@system-service"
    "~@privileged @resources"
  ];
  UMask = "0022";
}

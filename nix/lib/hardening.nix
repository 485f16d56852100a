# SPDX-License-Identifier: MIT OR Apache-2.0
# What may a service of the boot chain not do? Drop-ins for units that are checked in without limits of
# their own, because they serve other systems as well.
rec {
  # Without a mount namespace: for what has to start when little else does.
  plain = {
    NoNewPrivileges = true;
    KeyringMode = "private";
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    RestrictAddressFamilies = [
      "AF_UNIX"
      "AF_NETLINK"
    ];
    SystemCallArchitectures = "native";
    # One line: what a second line names is given, not taken away.
    CapabilityBoundingSet = "~CAP_BPF CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_NET_RAW CAP_SYS_MODULE CAP_SYS_PTRACE CAP_SYS_TIME CAP_WAKE_ALARM";
  };

  # Not ProtectClock: it implies a list of devices, and these services write disks and flash.
  sandbox = plain // {
    ProtectControlGroups = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
  };

  # The same, for what speaks to servers; it may read a bundle that a technician has put into his home.
  networked = sandbox // {
    ProtectHome = "read-only";
    RestrictAddressFamilies = [
      "AF_UNIX"
      "AF_NETLINK"
      "AF_INET"
      "AF_INET6"
    ];
  };
}

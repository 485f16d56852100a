# SPDX-License-Identifier: MIT OR Apache-2.0
# The whole chain on a NixOS. Each file is one part with its own `enable`; the board switches them on.
{
  imports = [
    ./agents.nix
    ./board.nix
    ./boot.nix
    ./config-api.nix
    ./containers.nix
    ./disk.nix
    ./firewall.nix
    ./kernel.nix
    ./lan-gateway.nix
    ./logging.nix
    ./openvpn.nix
    ./repart.nix
    ./root.nix
    ./serial-recovery.nix
    ./ssh.nix
    ./units.nix
    ./update.nix
    ./verification.nix
    ./watchdog.nix
  ];
}

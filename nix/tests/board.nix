# SPDX-License-Identifier: MIT OR Apache-2.0
# What the machines of the tests have in common: the modules on a NixOS of its own root, with the
# board's disks beside it. The image, its slots, U-Boot's environment and the updates are real; what no
# such machine has is the firmware, so which slot boots is said by `rauc.slot=`. The selector itself is
# tested with real U-Boot: `cargo xtask e2e`.
{
  lib,
  pkgs,
  packages,
}:
let
  run = import ../run.nix pkgs;
  inherit (packages) atomix;
  # The same recipe under another name: with the same one nix would give the same keys.
  stranger = import ../development-keys.nix {
    run = name: run "stranger-${name}";
    inherit (pkgs) openssl;
  };
  parts = import ./parts.nix {
    inherit
      lib
      run
      atomix
      stranger
      ;
    squashfsTools = [ pkgs.squashfsTools ];
    keys = packages.development-keys;
  };
in
{
  inherit (parts) bundle refused;

  # The modules on this machine's disks.
  module = {
    imports = [ ../modules ];
    atomixos = {
      package = atomix;
      repart.package = packages.atomix-repart;
      # For its rules: a test's machine has file systems of its own.
      disk.enable = true;
      board = {
        generated = ../../board-rock64/generated;
        disk = "/dev/vdb";
        serialConsole = "ttyS0";
        slots = {
          A = {
            boot = "/dev/vdb1";
            rootfs = "/dev/vdb2";
          };
          B = {
            boot = "/dev/vdb3";
            rootfs = "/dev/vdb4";
          };
        };
      };
      # What NixOS' own kernel has, which is not asked by this repository.
      kernel.asked =
        (import ../boards/kernel.nix lib {
          builtIn = [ "SERIAL_8250_CONSOLE" ];
          modules = [ ];
        }).asked;
      update = {
        enable = true;
        compatible = "rock64";
        developmentKeyring = "${packages.development-keys}/ca.pem";
      };
    };
    environment.etc = {
      "atomix/atomix.toml".source = lib.mkForce ./board/atomix.toml;
      "fw_env.config".source = lib.mkForce ./board/fw_env.config;
    };
    boot.kernelParams = [ "rauc.slot=A" ];
    environment.systemPackages = [
      pkgs.dosfstools
      pkgs.f2fs-tools
      pkgs.jq
      pkgs.util-linux
    ];
    virtualisation.emptyDiskImages = [
      4096
      1
    ];
  };

  # Begins a test's script: `machine` as it is after its first boot.
  prelude = ''
    def env(machine, name):
        return machine.succeed(f"fw_printenv -n {name}").strip()


    def flash(machine):
        machine.succeed("atomix flash --without-boot-loader ${parts.image} /dev/vdb")


    def first_boot(machine):
        machine.start()
        machine.wait_for_unit("multi-user.target")
        flash(machine)
        machine.succeed(
            "atomix repart --disk /dev/vdb --definitions ${../../board-rock64/generated/etc/repart.d}"
        )
        machine.succeed("mkdir -p /data && udevadm settle && mount /dev/disk/atomixos/data /data")
        # What a boot makes there, had it been mounted then.
        machine.succeed("systemd-tmpfiles --create")


    def answer(machine, command, code, words):
        """Not any failure: this one, in the words of the program."""
        status, said = machine.execute(f"{command} 2>&1")
        assert status == code, f"{command} ended with {status}, not {code}: {said}"
        # The program breaks its lines where a terminal would.
        assert words in " ".join(said.split()), f"{command} says {said}"


    def digest(machine, device, size):
        return machine.succeed(f"head -c {size} {device} | sha256sum").split()[0]
  '';
}

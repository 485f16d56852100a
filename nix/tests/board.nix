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
  content = run "played-content" { tools = [ pkgs.squashfsTools ]; } ''
    mkdir -p "$out/boot/dtbs/rockchip" root
    seq 1 90000 >"$out/boot/Image"
    seq 1 50000 >"$out/boot/initrd"
    seq 1 5000 >"$out/boot/dtbs/rockchip/rk3328-rock64.dtb"
    seq 1 300000 >root/numbers
    unset SOURCE_DATE_EPOCH
    mksquashfs root "$out/rootfs" -noappend -all-root -comp zstd -mkfs-time 1 -all-time 1 -quiet
  '';
  image = run "flashed.img" { tools = [ atomix ]; } ''
    atomix image build --boot ${content}/boot --rootfs ${content}/rootfs --image-version 1.0.0 "$out"
  '';
  bundle =
    version:
    import ../rauc-bundle.nix {
      inherit run lib atomix;
      name = "update-${version}";
      content = import ../bundle-content.nix {
        inherit
          run
          lib
          atomix
          version
          ;
        bootFiles = "${content}/boot";
        rootfs = "${content}/rootfs";
      };
      certificate = "${packages.development-keys}/signer.pem";
      key = "${packages.development-keys}/signer.key";
    };
in
{
  inherit bundle;

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
          builtIn = [ ];
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


    def first_boot(machine):
        machine.start()
        machine.wait_for_unit("multi-user.target")
        machine.succeed("atomix flash --without-boot-loader ${image} /dev/vdb")
        machine.succeed(
            "atomix repart --disk /dev/vdb --definitions ${../../board-rock64/generated/etc/repart.d}"
        )
        machine.succeed("mkdir -p /data && udevadm settle && mount /dev/disk/atomixos/data /data")


    def digest(machine, device, size):
        return machine.succeed(f"head -c {size} {device} | sha256sum").split()[0]
  '';
}

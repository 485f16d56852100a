# SPDX-License-Identifier: MIT OR Apache-2.0
# The packages of one system. Tools come from `pkgs`, everything else from this repository.
{
  pkgs,
  source,
  version,
}:
let
  inherit (pkgs) lib;
  run = import ./run.nix pkgs;
  board-patches = map (name: ../board-rock64/patches + "/${name}") (
    builtins.attrNames (builtins.readDir ../board-rock64/patches)
  );
  uboot =
    arguments:
    import ./uboot.nix (
      {
        inherit lib;
        inherit (pkgs) buildUBoot;
        patches = board-patches;
      }
      // arguments
    );
  rock64-uboot =
    generated:
    uboot {
      inherit generated;
      defconfig = "rock64-rk3328_defconfig";
      BL31 = "${pkgs.armTrustedFirmwareRK3328}/bl31.elf";
      files = [
        "idbloader.img"
        "u-boot.itb"
      ];
    };
  program =
    arguments:
    import ./program.nix (
      {
        inherit lib source version;
        inherit (pkgs) rustPlatform pkg-config openssl;
      }
      // arguments
    );
  atomix = {
    pname = "atomix";
    crates = [
      "atomix"
      "config-api"
    ];
    links = [
      "rauc"
      "fw_printenv"
      "fw_setenv"
    ];
  };
in
{
  atomix = program atomix;
  # One file that runs on every Linux: for rescue systems and for images that are not NixOS.
  atomix-static = program (
    atomix
    // {
      inherit (pkgs.pkgsStatic) rustPlatform openssl;
      inherit (pkgs.pkgsStatic.buildPackages) pkg-config;
    }
  );
  # For the initrd: the same code without TLS, D-Bus and a runtime.
  atomix-repart = program {
    pname = "atomix-repart";
    crates = [ "atomix-repart" ];
  };

  docs = import ./docs.nix {
    inherit run;
    inherit (pkgs) mdbook;
  };
  development-keys = import ./development-keys.nix {
    inherit run;
    inherit (pkgs) openssl;
  };
}
// lib.optionalAttrs pkgs.stdenv.hostPlatform.isAarch64 {
  uboot-rock64 = rock64-uboot ../board-rock64/generated/u-boot;
  # For boards whose watchdog passed its soak test (docs/how-to-watchdog.md).
  uboot-rock64-watchdog = rock64-uboot ../board-rock64/generated-watchdog/u-boot;
  # For the emulated board, with what drives the emulator's devices. Without the macro, which is no option of
  # Kconfig, it reads the environment before it has looked for the card.
  uboot-rock64-qemu = uboot {
    generated = ../board-rock64/generated-qemu/u-boot;
    defconfig = "qemu_arm64_defconfig";
    more = builtins.readFile ../tests/e2e/src/parts/emulator.config;
    makeFlags = [ "KCPPFLAGS=-DCONFIG_SYS_EARLY_PCI_INIT" ];
    files = [ "u-boot.bin" ];
  };
}

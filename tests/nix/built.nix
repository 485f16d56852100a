# SPDX-License-Identifier: MIT OR Apache-2.0
# Our derivations with the tools of this machine and with the program under test: what of the flake
# can really be built without nixpkgs.
{ program }:
let
  version = "1.2.3";
  fragment = ../../board-rock64/generated/u-boot/atomix.config;
  lib = import ./stub-nixpkgs/lib.nix;
  run = import ./run.nix;
  atomix =
    run "atomix"
      {
        attrs = {
          program = builtins.path {
            path = program;
            name = "program";
          };
        };
      }
      ''
        mkdir -p "$out/bin"
        cp "$program" "$out/bin/atomix"
        chmod +x "$out/bin/atomix"
      '';
  # A system of two paths, one of which refers to the other.
  part = run "part" { } ''
    mkdir "$out"
    seq 1 20000 >"$out/numbers"
  '';
  toplevel = run "system" { attrs = { inherit part; }; } ''
    mkdir "$out"
    printf '#!/bin/sh\nexec cat %s/numbers\n' "$part" >"$out/init"
    chmod +x "$out/init"
  '';
  played = run "played-kernel" { } ''
    mkdir -p "$out/dtbs/rockchip"
    # Of a kernel's shape: U-Boot knows it by a word of its header, and by how much memory it takes.
    {
      seq 1 9 | head -c 16
      printf '\000\000\020\000\000\000\000\000'
      seq 100000 100010 | head -c 32
      printf 'ARM\144'
      seq 1 90000
    } >"$out/Image"
    seq 1 50000 >"$out/initrd"
    seq 1 5000 >"$out/dtbs/rockchip/rk3328-rock64.dtb"
    seq 1 4000 >"$out/dtbs/qemu-virt.dtb"
  '';
  started =
    deviceTree:
    import ../../nix/boot-files.nix {
      inherit run deviceTree;
      kernel = "${played}/Image";
      initrd = "${played}/initrd";
      deviceTrees = "${played}/dtbs";
    };
  # Of U-Boot's shape: bytes that are told from all others, of different lengths.
  played-uboot =
    run "played-uboot"
      {
        attrs = {
          pname = "played-uboot";
          version = "2025.10";
        };
      }
      ''
        mkdir "$out"
        yes 'the first stage' | head -n 9000 >"$out/idbloader.img"
        yes 'the second stage and its secure monitor' | head -n 20000 >"$out/u-boot.itb"
      '';
  rootfs = import ../../nix/squashfs.nix {
    inherit run toplevel;
    tools = [ ];
  };
  boot-files = started "rockchip/rk3328-rock64.dtb";
  boot-files-qemu = started "qemu-virt.dtb";
  components = import ../../nix/components.nix {
    inherit run toplevel;
    crateList = ../../atomix/dist/crates/system.json;
    firmware = [ played-uboot ];
  };
  assembled =
    other:
    import ../../nix/image.nix (
      {
        inherit
          run
          lib
          atomix
          version
          rootfs
          components
          ;
        bootFiles = boot-files;
        uboot = played-uboot;
        series = "25.11";
      }
      // other
    );
in
{
  inherit
    atomix
    played-uboot
    rootfs
    boot-files
    boot-files-qemu
    components
    ;
  image = assembled { };
  image-watchdog = assembled { watchdog = true; };
  image-qemu = assembled {
    bootFiles = boot-files-qemu;
    uboot = null;
    board = "rock64-qemu";
  };
  content = import ../../nix/bundle-content.nix {
    inherit
      run
      lib
      atomix
      rootfs
      version
      ;
    bootFiles = boot-files;
  };
  boot-script = import ../../nix/boot-script.nix {
    inherit
      run
      lib
      atomix
      ;
  };
  docs = import ../../nix/docs.nix {
    inherit run;
    mdbook = "/usr";
  };
  # Did Kconfig keep the fragment? Once a configuration that has it all, once one that lost a line.
  kept = run "kept-options" { } ''
    sh ${../../nix/kept-options.sh} ${fragment} ${fragment}
    grep -v CONFIG_CMD_FAT=y ${fragment} >lost
    ! sh ${../../nix/kept-options.sh} ${fragment} lost 2>"$out"
    grep -q CONFIG_CMD_FAT=y "$out"
    # One name of an option that was renamed is enough, none is not.
    grep -v CONFIG_USE_DEFAULT_ENV_FILE ${fragment} >renamed
    sh ${../../nix/kept-options.sh} ${fragment} renamed
    grep -v USE_DEFAULT_ENV ${fragment} >lost
    ! sh ${../../nix/kept-options.sh} ${fragment} lost
  '';
  system = toplevel;

  # A kernel that has all; then for each need one that lacks exactly that, and for what has to be built in
  # one that made a module of it; and one that has what was to be off.
  kernel-needs =
    let
      table = builtins.attrValues (import ./kernel-needs.nix);
      of = values: map (name: { inherit name values; }) (lib.concatMap (part: part.${values}) table);
      needs = lib.unique (of "y" ++ of "ym");
      judge = import ../../nix/lib/kernel-needs.nix needs [
        "BT"
        "WLAN"
      ];
      tried = need: what: ''
        sed '/^CONFIG_${need.name}=/${what}' good >bad
        if cmp --quiet good bad; then exit 1; fi
        if judge bad 2>said; then exit 1; fi
        echo 'the kernel was built without: ${need.name}=[${need.values}]' | cmp - said
      '';
    in
    run "kernel-needs" { } ''
      judge() (
        ${judge "\"$1\""}
      )
      cat >good <<'all'
      ${lib.concatMapStringsSep "\n" (need: "CONFIG_${need.name}=y") needs}
      all
      judge good
      ${lib.concatMapStrings (need: tried need "d") needs}
      ${lib.concatMapStrings (need: tried need "s/=y/=m/") (of "y")}
      sed 's/=y/=m/' good >modules
      ! judge modules 2>"$out"
      # Something that selects what was asked to be off.
      for value in y m; do
        { cat good; echo "CONFIG_WLAN=$value"; echo '# CONFIG_BT is not set'; } >bad
        if judge bad 2>said; then exit 1; fi
        echo 'the kernel was built with what must be off: WLAN' | cmp - said
      done
    '';

  # A keyring that a build made, one with a key in it, what is none, and one for the desk alone.
  keyring-needs =
    let
      judge = import ../../nix/lib/keyring-needs.nix (import ../../nix/lib/development-words.nix);
      atTheDesk = import ../../nix/lib/keyring-needs.nix [ ];
    in
    run "keyring-needs" { } ''
      (${judge ../fixtures/rauc-1.8/ca.cert.pem})
      if (${judge ./refused/keyring-with-key.pem}) 2>said; then exit 1; fi
      grep -q 'holds a private key' said
      if (${judge ./refused/stranger.service}) 2>>said; then exit 1; fi
      grep -q 'holds no certificate' said
      (${atTheDesk ./refused/development-ca.pem})
      if (${judge ./refused/development-ca.pem}) 2>>said; then exit 1; fi
      grep -q 'that of the development keys' said
      # Wherever the name begins in three bytes.
      for before in "" x xy; do
        {
          echo '-----BEGIN CERTIFICATE-----'
          printf '%satomix development CA and what follows' "$before" | base64 --wrap=12
          echo '-----END CERTIFICATE-----'
        } >made
        if (${judge "made"}) 2>>said; then exit 1; fi
      done
      cp said "$out"
    '';
}

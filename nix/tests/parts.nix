# SPDX-License-Identifier: MIT OR Apache-2.0
# What the machines of the tests are given: an image, updates that are believed, and some that must not
# be. tests/nix/signed.nix makes them with the program under test, for they are the half of these tests
# that can be made without nixpkgs, and shows each refusal there, in the words that the machines wait for.
{
  lib,
  run,
  atomix,
  squashfsTools,
  keys,
  stranger,
}:
let
  content = run "played-content" { tools = squashfsTools; } ''
    mkdir -p "$out/boot/dtbs/rockchip" root
    # Of a kernel's shape, by which the program knows it.
    {
      seq 1 9 | head -c 16
      printf '\000\000\020\000\000\000\000\000'
      seq 100000 100010 | head -c 32
      printf 'ARM\144'
      seq 1 90000
    } >"$out/boot/Image"
    seq 1 50000 >"$out/boot/initrd"
    seq 1 5000 >"$out/boot/dtbs/rockchip/rk3328-rock64.dtb"
    seq 1 4000 >"$out/boot/dtbs/qemu-virt.dtb"
    seq 1 300000 >root/numbers
    unset SOURCE_DATE_EPOCH
    mksquashfs root "$out/rootfs" -noappend -all-root -comp zstd -mkfs-time 1 -all-time 1 -quiet
  '';
  signedBy =
    signer: board: version:
    import ../rauc-bundle.nix {
      inherit run lib atomix;
      name = "update-${board}-${version}";
      content = import ../bundle-content.nix {
        inherit
          run
          lib
          atomix
          version
          board
          ;
        bootFiles = "${content}/boot";
        rootfs = "${content}/rootfs";
      };
      certificate = "${signer}/signer.pem";
      key = "${signer}/signer.key";
    };
  bundle = signedBy keys "rock64";
in
{
  inherit bundle;

  image = run "flashed.img" { tools = [ atomix ]; } ''
    atomix image build --boot ${content}/boot --rootfs ${content}/rootfs --image-version 1.0.0 "$out"
  '';

  # Each the update 2.0.0 but for one thing, with the exit code and the words of `atomix install`.
  refused = {
    stranger = {
      bundle = signedBy stranger "rock64" "2.0.0";
      code = 4;
      words = "unable to get local issuer certificate";
    };
    damaged = {
      bundle = run "damaged.raucb" { } ''
        cp ${bundle "2.0.0"} "$out"
        chmod +w "$out"
        yes torn | head -c 64 | dd of="$out" bs=1 seek=40960 conv=notrunc status=none
      '';
      code = 4;
      words = "does not have its signed hash";
    };
    other-board = {
      bundle = signedBy keys "rock64-qemu" "2.0.0";
      code = 3;
      words = "compatible \"rock64\" is wanted, the bundle is for \"qemu-virt\"";
    };
    no-bundle = {
      bundle = builtins.toFile "no-bundle" "board";
      code = 4;
      words = "is too short for a bundle";
    };
  };
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# Verbs: `nix run .#VERB`. What `cargo xtask` does is called, not repeated.
{
  pkgs,
  packages,
  # What starts the emulated board, on whatever machine.
  uboot-rock64-qemu,
}:
let
  inherit (pkgs) lib;
  app =
    name: description: runtimeInputs: text:
    let
      program = pkgs.writeShellApplication { inherit name runtimeInputs text; };
    in
    {
      type = "app";
      program = lib.getExe program;
      meta = { inherit description; };
    };
  toolchain = import ./toolchain.nix { inherit pkgs; };
  # Judges and emulated boards come from Debian's archive by name, not from nixpkgs.
  onDebian = text: ''
    command -v apt-get >/dev/null || { echo "this verb takes its judges and boards from Debian by apt-get, which this machine has not: run it on a Debian, or in a container of one" >&2; exit 1; }
    ${text}'';
  inherit (packages) atomix;
  nix = attribute: ''nix build --print-build-logs "$@" .#${attribute}'';
in
{
  demo = app "demo" "Tell the whole story on a virtual board" [ atomix ] ''atomix demo "$@"'';
  check = app "check" "Run everything that must be green" toolchain (
    onDebian ''cargo xtask test "$@"''
  );
  e2e = app "e2e" "Boot the real chain in an emulator and break it; scenarios by name" toolchain (
    onDebian ''cargo xtask e2e "$@"''
  );
  e2e-debug = app "e2e-debug" "Boot one scenario's board, and obey this terminal" toolchain (
    onDebian ''cargo xtask e2e --debug "$@"''
  );
  audit = app "audit" "Ask for advisories about what we build from" (
    toolchain ++ [ pkgs.cargo-deny ]
  ) ''cargo deny check advisories "$@"'';
  build = app "build" "Build the image and the bundle" [ ] (nix "image .#rauc-bundle");
  build-squashfs = app "build-squashfs" "Build the root file system" [ ] (nix "squashfs");
  build-bundle = app "build-bundle" "Build the bundle" [ ] (nix "rauc-bundle");
  build-boot-script = app "build-boot-script" "Build the boot script" [ ] (nix "boot-script");
  flash = app "flash" "Write an image to a disk and read it back: flash IMAGE DISK" [
    atomix
  ] ''atomix flash "$@"'';
  # The key stays where it is: it is read by this program, and never gets into the store.
  sign-bundle =
    app "sign-bundle" "Sign a bundle's content: sign-bundle --cert FILE --key FILE CONTENT OUT"
      [ atomix ]
      ''atomix bundle create "$@"'';
  config-validate = app "config-validate" "Say everything that is wrong with a config.toml" [
    atomix
  ] ''atomix config validate "$@"'';
  config-lan-range =
    app "config-lan-range" "Show or set the LAN's range: config-lan-range FILE [ADDRESS/PREFIX]"
      [ atomix ]
      ''atomix config lan-range "$@"'';
  serial-capture = app "serial-capture" "Record what serial lines say" [
    atomix
  ] ''atomix serial capture "$@"'';
  serial-shell = app "serial-shell" "Talk with a board over a serial line" [
    atomix
  ] ''atomix serial shell "$@"'';
  rescue = app "rescue" "Drive a board's U-Boot from here" [ atomix ] ''atomix rescue "$@"'';
  docs-build = app "docs-build" "Build the book" [ pkgs.mdbook ] ''mdbook build docs "$@"'';
  docs-serve = app "docs-serve" "Serve the book while it is written" [
    pkgs.mdbook
  ] ''mdbook serve docs "$@"'';
  # No emulator has an RK3328: the board is the one of the end-to-end tests, with the same selector.
  rock64-qemu-vm =
    app "rock64-qemu-vm" "Boot the image by real U-Boot in an emulator, at its serial line"
      (toolchain ++ [ pkgs.qemu ])
      (onDebian ''
        export ATOMIX_VM_IMAGE="''${ATOMIX_VM_IMAGE:-$(echo ${packages.image-rock64-qemu}/*.img)}"
        export ATOMIX_VM_U_BOOT=${uboot-rock64-qemu}/u-boot.bin
        cargo xtask rock64-qemu-vm "$@"
      '');
}

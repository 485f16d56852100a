# SPDX-License-Identifier: MIT OR Apache-2.0
# What `nix flake check` runs: the judgements of the source, and machines that live through each
# scenario of the original's suite. The whole suite, with the real boot chain in an emulator, wants a
# network and root: that is `cargo xtask test`.
{
  pkgs,
  source,
  version,
  packages,
}:
let
  inherit (pkgs) lib;
  cargo =
    name: tools: command:
    pkgs.rustPlatform.buildRustPackage {
      pname = "atomix-${name}";
      inherit version;
      src = source;
      cargoLock.lockFile = ../Cargo.lock;
      nativeBuildInputs = [ pkgs.pkg-config ] ++ tools;
      buildInputs = [ pkgs.openssl ];
      buildPhase = command;
      doCheck = false;
      installPhase = "touch $out";
    };
  # All members of the workspace but those whose judges no sandbox has: docs/nix-modules.md says which.
  # So a new one is not forgotten.
  fetching = [
    "atomix"
    "config-api"
    "xtask"
  ];
  isRoom = member: !(lib.hasPrefix "tests/" member || builtins.elem member fetching);
  rooms = lib.concatMapStringsSep " " (room: "--package ${room}") (
    builtins.filter isRoom (lib.importTOML ../Cargo.toml).workspace.members
  );
  judges = [
    pkgs.dosfstools
    pkgs.e2fsprogs
    pkgs.f2fs-tools
    pkgs.gdisk
    pkgs.mtools
    pkgs.mtdutils
    pkgs.openssl
    pkgs.rauc
    pkgs.squashfsTools
    pkgs.ubootTools
    pkgs.util-linux
  ];
in
{
  fmt = cargo "fmt" [ pkgs.rustfmt ] "cargo fmt --all --check";
  clippy = cargo "clippy" [
    pkgs.clippy
  ] "cargo clippy --offline --workspace --all-targets -- -Dwarnings";
  test = cargo "test" judges "cargo test --offline ${rooms}";
  # Advisories are news, and news come over a network: they are for `nix run .#audit`.
  deny = cargo "deny" [ pkgs.cargo-deny ] "cargo deny --offline check bans licenses sources";
}
// import ./tests { inherit pkgs packages; }

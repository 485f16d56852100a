# SPDX-License-Identifier: MIT OR Apache-2.0
# Do the flake's checks of the source call cargo as `cargo xtask test` does? The words stand in
# xtask/src/suite.rs; what differs is that nothing is fetched, and how much is told.
{ lib, differs }:
let
  suite = builtins.readFile ../../xtask/src/suite.rs;
  # The words of the first list behind a text.
  listAfter =
    start:
    let
      rest = lib.concatStringsSep start (builtins.tail (lib.splitString start suite));
    in
    builtins.fromJSON "[${builtins.head (builtins.match "([^]]*)].*" rest)}]";
  theirs = {
    fmt = listAfter "fn format() -> Result<(), TaskError> {\n    cargo(&[";
    clippy = listAfter "-Dwarnings\"];\n    cargo(&[&[" ++ listAfter "let what = [";
  };
  checks = import ../../nix/checks.nix {
    source = null;
    version = "";
    packages = { };
    pkgs = {
      inherit lib;
      rustPlatform.buildRustPackage = check: check;
    };
  };
  ours = name: builtins.filter (word: word != "") (lib.splitString " " checks.${name}.buildPhase);
  quiet = lib.subtractLists [
    "--offline"
    "--quiet"
  ];
in
lib.concatMap (
  name: differs "the flake's check ${name}" (quiet (ours name)) ([ "cargo" ] ++ quiet theirs.${name})
) (builtins.attrNames theirs)

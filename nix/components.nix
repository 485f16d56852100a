# SPDX-License-Identifier: MIT OR Apache-2.0
# What is in the image, for `atomix image build`, which makes CycloneDX of it: the crates of the programs with
# hashes, licences and who uses whom, every path of the system's closure, and what is flashed beside it.
# Written by Nix from what it knows anyway; same input, same bytes.
{
  run,
  crateList,
  toplevel,
  # Packages that are on the disk and not in the system: the boot loader and what is in it.
  firmware,
}:
let
  closure = import ./lib/closure.nix toplevel;
  # Of the programs as they are built, never the whole lock file: `cargo xtask` holds it to cargo.
  crates = builtins.fromJSON (builtins.readFile crateList);
  flashed =
    package:
    let
      of = package.pname or package.name;
    in
    {
      type = "firmware";
      bom-ref = "firmware:${of}";
      name = of;
      version = package.version or "unknown";
    };
  listed = {
    components = crates.components ++ map flashed firmware ++ [ "@closure@" ];
    # What the paths of the closure use is not told, and so unknown.
    inherit (crates) dependencies;
    programs = crates.programs ++ map (package: (flashed package).bom-ref) firmware;
  };
in
run "components.json"
  {
    attrs = closure.attrs // {
      listed = builtins.toJSON listed;
      passAsFile = [ "listed" ];
    };
  }
  ''
    ${closure.list}
    # Names of the store have no character that JSON would want escaped.
    awk -F / '{ hash = substr($4, 1, 32); name = substr($4, 34)
                printf "%s{\"bom-ref\":\"%s\",\"name\":\"%s\",\"type\":\"application\",\"version\":\"%s\"}", comma, $4, name, hash
                comma = "," }' paths >closure
    test -s closure
    awk 'BEGIN { getline closure < "closure" }
         { at = index($0, "\"@closure@\""); print substr($0, 1, at - 1) closure substr($0, at + 11) }' \
      "$listedPath" >"$out"
  ''

# SPDX-License-Identifier: MIT OR Apache-2.0
# What is in the image, as CycloneDX 1.5: the crates of Cargo.lock with their hashes, every path of
# the system's closure, and what is flashed beside it. Written by Nix from what it knows anyway; same input, same bytes, so it
# has neither a time nor a serial number.
{
  run,
  lib,
  name,
  version,
  lockFile,
  toplevel,
  # Packages that are on the disk and not in the system: the boot loader and what is in it.
  firmware,
}:
let
  closure = import ./lib/closure.nix toplevel;
  lock = lib.importTOML lockFile;
  fromRegistry = crate: lib.hasPrefix "registry+" (crate.source or "");
  crate =
    package:
    let
      # Of what a version may have, a package URL wants this alone encoded.
      version = builtins.replaceStrings [ "+" ] [ "%2B" ] package.version;
      purl = "pkg:cargo/${package.name}@${version}";
    in
    {
      type = "library";
      bom-ref = purl;
      inherit (package) name version;
    }
    // lib.optionalAttrs (fromRegistry package) {
      inherit purl;
      hashes = [
        {
          alg = "SHA-256";
          content = package.checksum;
        }
      ];
    };
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
  document = {
    bomFormat = "CycloneDX";
    specVersion = "1.5";
    version = 1;
    metadata.component = {
      type = "operating-system";
      bom-ref = name;
      inherit name version;
    };
    components = map crate lock.package ++ map flashed firmware ++ [ "@closure@" ];
  };
in
run "${name}.cdx.json"
  {
    attrs = closure.attrs // {
      document = builtins.toJSON document;
      passAsFile = [ "document" ];
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
      "$documentPath" >"$out"
  ''

# SPDX-License-Identifier: MIT OR Apache-2.0
# A signed bundle. A key in a derivation can be read by everybody who has the store: this is for
# development keys, and for builders whose store nobody else has. Releases are signed by
# `nix run .#sign-bundle`. A signature has a time and a random salt in it, so two builds differ.
{
  run,
  lib,
  atomix,
  name,
  content,
  certificate,
  key,
  intermediate ? null,
}:
run "${name}.raucb" { tools = [ atomix ]; } ''
  atomix bundle create --cert ${certificate} --key ${key} ${
    lib.optionalString (intermediate != null) "--intermediate ${intermediate}"
  } ${content} "$out"
''

# SPDX-License-Identifier: MIT OR Apache-2.0
# The seam between what we build and who brings the tools: `run NAME { tools, attrs } SCRIPT`, a
# derivation whose POSIX script makes $out. Here nixpkgs brings them; tests/nix/run.nix is the other.
pkgs: name:
{
  tools ? [ ],
  attrs ? { },
}:
script: pkgs.runCommand name ({ nativeBuildInputs = tools; } // attrs) script

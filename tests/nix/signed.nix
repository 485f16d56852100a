# SPDX-License-Identifier: MIT OR Apache-2.0
# What differs each time it is built, because keys and signatures do.
{ program }:
let
  lib = import ./stub-nixpkgs/lib.nix;
  run = import ./run.nix;
  built = import ./built.nix { inherit program; };
in
rec {
  keys = import ../../nix/development-keys.nix {
    inherit run;
    # Debian's, in the builder's path.
    openssl = "/usr";
  };
  bundle = import ../../nix/rauc-bundle.nix {
    inherit run lib;
    inherit (built) atomix content;
    name = "rock64";
    certificate = "${keys}/signer.pem";
    key = "${keys}/signer.key";
  };
}

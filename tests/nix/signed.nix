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

  # What the machines' tests are given, and each refusal that they wait for, by the same program.
  machines =
    let
      parts = import ../../nix/tests/parts.nix {
        inherit run lib keys;
        inherit (built) atomix;
        # Debian's, in the builder's path.
        squashfsTools = [ ];
        stranger = import ../../nix/development-keys.nix {
          run = name: run "stranger-${name}";
          openssl = "/usr";
        };
      };
      tried = name: one: ''
        code=0
        install ${one.bundle} >said 2>&1 || code=$?
        if ! test $code = ${toString one.code} || ! tr -s ' \n' ' ' <said | grep -qF ${lib.escapeShellArg one.words}; then
          cat said >&2
          echo "${name} ended with $code" >&2
          exit 1
        fi
      '';
    in
    run "machines" { tools = [ built.atomix ]; } ''
      test -s ${parts.image}
      atomix demo --keep board >/dev/null 2>&1
      cp ${keys}/ca.pem board/root/etc/rauc/ca.cert.pem
      install() {
        atomix --board board install "$@"
      }
      ${lib.concatStrings (lib.mapAttrsToList tried parts.refused)}
      # Rightly made, of the same parts, it is taken.
      install ${parts.bundle "2.0.0"} >"$out"
    '';
}

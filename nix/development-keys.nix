# SPDX-License-Identifier: MIT OR Apache-2.0
# An authority and a signer for development, made anew on every machine: no private key is in this
# repository. Whoever takes them for a product is told by the module's warning.
{ run, openssl }:
run "development-keys"
  {
    tools = [ openssl ];
    # A cache would give the same private key to everybody.
    attrs = {
      allowSubstitutes = false;
      preferLocalBuild = true;
    };
  }
  ''
    mkdir "$out"
    cd "$out"
    curve='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
    # shellcheck disable=SC2086
    openssl req -x509 -config /dev/null -days 3650 -subj '/CN=atomix development CA' $curve \
      -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.pem
    # shellcheck disable=SC2086
    openssl req -config /dev/null -subj '/CN=atomix development signer' $curve \
      -keyout signer.key -out signer.csr
    openssl x509 -req -in signer.csr -CA ca.pem -CAkey ca.key -days 3650 -CAcreateserial \
      -out signer.pem
    rm signer.csr ca.key ca.srl
  ''

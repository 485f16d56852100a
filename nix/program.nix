# SPDX-License-Identifier: MIT OR Apache-2.0
# Programs of this workspace. Tests run in checks, once, and not in every package.
{
  lib,
  rustPlatform,
  pkg-config,
  openssl,
  source,
  version,
  pname,
  crates,
  # Names under which `atomix` answers as other programs do.
  links ? [ ],
}:
rustPlatform.buildRustPackage {
  inherit pname version;
  src = source;
  cargoLock.lockFile = ../Cargo.lock;
  cargoBuildFlags = lib.concatMap (crate: [
    "--package"
    crate
  ]) crates;
  nativeBuildInputs = [ pkg-config ];
  buildInputs = [ openssl ];
  doCheck = false;
  postInstall = lib.concatMapStrings (link: ''
    ln -s atomix "$out/bin/${link}"
  '') links;
  meta = {
    description = "Boot and update chain of A/B devices";
    license = [
      lib.licenses.mit
      lib.licenses.asl20
    ];
    mainProgram = pname;
    platforms = lib.platforms.linux;
  };
}

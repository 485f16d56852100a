# SPDX-License-Identifier: MIT OR Apache-2.0
# As nix/run.nix, with the tools of the machine that the check runs on: Debian's, by name.
name:
{
  tools ? [ ],
  attrs ? { },
}:
script:
derivation (
  {
    inherit name;
    system = "x86_64-linux";
    builder = "/bin/sh";
    PATH = builtins.concatStringsSep ":" (
      map (tool: "${tool}/bin") tools
      ++ [
        "/usr/sbin"
        "/usr/bin"
        "/sbin"
        "/bin"
      ]
    );
    args = [
      "-euc"
      script
    ];
  }
  // attrs
)

# SPDX-License-Identifier: MIT OR Apache-2.0
# The packages of nixpkgs that we use, as names: nothing of them can be built. What builds takes the
# arguments that are listed here and no others.
{ lib, system }:
let
  package =
    name:
    derivation {
      inherit name system;
      builder = "/bin/sh";
      args = [
        "-c"
        "echo only a stand-in >&2; exit 1"
      ];
    };

  show =
    value:
    if lib.isDerivation value then
      "${value}"
    else if builtins.isFunction value then
      "a function"
    else if builtins.isAttrs value then
      builtins.mapAttrs (_: show) value
    else if builtins.isList value then
      map show value
    else
      value;

  # A derivation of whatever it is asked for, and an error for what nobody can be asked for.
  maker =
    what: known: arguments:
    let
      unknown = builtins.attrNames (removeAttrs arguments known);
      name =
        arguments.name or (if arguments ? pname then "${arguments.pname}-${arguments.version}" else what);
      bare = removeAttrs arguments [
        "meta"
        "passthru"
      ];
      made = derivation {
        inherit name system;
        builder = "/bin/sh";
        args = [
          "-c"
          "echo only a stand-in >&2; exit 1"
        ];
        arguments = builtins.toJSON (show bare);
        passAsFile = [ "arguments" ];
      };
    in
    if unknown != [ ] then
      throw "${what} is given `${builtins.head unknown}', which the stand-in does not know"
    else
      made
      // {
        pname = arguments.pname or name;
        version = arguments.version or "";
        meta = arguments.meta or { };
        override = _: made;
        overrideAttrs = _: made;
      }
      // (arguments.passthru or { });

  phases = [
    "name"
    "pname"
    "version"
    "src"
    "nativeBuildInputs"
    "buildInputs"
    "nativeCheckInputs"
    "checkInputs"
    "patches"
    "postPatch"
    "preConfigure"
    "postConfigure"
    "preBuild"
    "buildPhase"
    "postBuild"
    "doCheck"
    "checkPhase"
    "preInstall"
    "installPhase"
    "postInstall"
    "preFixup"
    "postFixup"
    "env"
    "meta"
    "passthru"
    "strictDeps"
    "outputs"
    "dontUnpack"
  ];

  rust = maker "buildRustPackage" (
    phases
    ++ [
      "cargoLock"
      "cargoBuildFlags"
      "cargoTestFlags"
      "buildType"
      "buildFeatures"
      "buildNoDefaultFeatures"
      "buildAndTestSubdir"
    ]
  );

  # Names of packages that are only put somewhere.
  names = [
    "bash"
    "btrfs-progs"
    "cargo"
    "cargo-deny"
    "cargo-fuzz"
    "clippy"
    "chrony"
    "coreutils"
    "deadnix"
    "dnsmasq"
    "dosfstools"
    "e2fsprogs"
    "f2fs-tools"
    "gawk"
    "gdisk"
    "gnugrep"
    "gnused"
    "iproute2"
    "jq"
    "kmod"
    "linux-firmware"
    "mdbook"
    "mdbook-mermaid"
    "mtools"
    "mtdutils"
    "nftables"
    "nixfmt"
    "openssh"
    "openssl"
    "openvpn"
    "pkg-config"
    "podman"
    "procps"
    "python3"
    "qemu"
    "rauc"
    "rsyslog"
    "rustc"
    "rustfmt"
    "shadow"
    "squashfsTools"
    "systemd"
    "ubootTools"
    "util-linux"
    "zstd"
  ];

  named = lib.genAttrs names (
    name:
    package name
    // {
      pname = name;
      meta.mainProgram = name;
    }
  );

  # Some answers of nixpkgs' own, which its kernels are built with. An override's are definitions of the
  # same values: two that differ and are of one strength are an error, as they are there.
  common = with lib.kernel; {
    F2FS_FS = module;
    MD = yes;
    NLS_CODEPAGE_437 = module;
    NLS_ISO8859_1 = module;
    SQUASHFS_ZSTD = yes;
    TMPFS = yes;
  };
  kernelWith =
    extra:
    let
      answer =
        name:
        let
          given = builtins.filter (set: set ? ${name}) [
            common
            extra
          ];
          left = lib.discharged (
            map (set: {
              file = "the kernel's configuration";
              value = set.${name};
            }) given
          );
          values = lib.unique (map (one: one.value) left);
        in
        if builtins.length values == 1 then
          builtins.head values
        else
          throw "conflicting definition values: CONFIG_${name}";
      structuredConfig = lib.genAttrs (builtins.attrNames (common // extra)) answer;
    in
    package "linux"
    // {
      version = "6.12.1";
      config = { };
      configfile = builtins.deepSeq structuredConfig (package "linux-config") // {
        inherit structuredConfig;
      };
      override = arguments: kernelWith (arguments.structuredExtraConfig or { });
    };
  kernel = kernelWith { };

  texts = rec {
    writeText =
      name: text:
      derivation {
        inherit name system text;
        builder = "/bin/sh";
        args = [
          "-c"
          "printf %s \"$text\" >$out"
        ];
      };
    writeTextDir = path: writeText (baseNameOf path);
    writeScript = writeText;
    writeShellScript = writeText;
    writeShellScriptBin = writeText;
    writeTextFile = maker "writeTextFile" [
      "name"
      "text"
      "executable"
      "destination"
    ];
    writeShellApplication = maker "writeShellApplication" [
      "name"
      "text"
      "runtimeInputs"
      "meta"
    ];
    runCommand =
      name: arguments: script:
      derivation (
        removeAttrs arguments [
          "meta"
          "passthru"
        ]
        // {
          inherit name system;
          # As nixpkgs calls it.
          buildCommand = script;
          builder = "/bin/sh";
          args = [
            "-c"
            "echo only a stand-in >&2; exit 1"
          ];
        }
      );
    runCommandLocal = runCommand;
    linkFarm =
      name: entries:
      maker "linkFarm" [ "name" "entries" ] {
        inherit name entries;
      }
      // {
        # As nixpkgs gives them: what is linked, by its name.
        entries = builtins.listToAttrs (map (entry: lib.nameValuePair entry.name entry.path) entries);
      };
    symlinkJoin = maker "symlinkJoin" [
      "name"
      "paths"
      "postBuild"
      "meta"
    ];
    buildEnv = maker "buildEnv" [
      "name"
      "paths"
      "pathsToLink"
    ];
    closureInfo = maker "closureInfo" [ "rootPaths" ];
    mkShell = maker "mkShell" [
      "name"
      "packages"
      "inputsFrom"
      "shellHook"
      "env"
    ];
  };

  format = {
    type = lib.types.anything;
    generate = name: value: texts.writeText name (builtins.toJSON (show value));
  };

  # A test of machines: each of them is a system as it is configured, so all of it is evaluated.
  runNixOSTest =
    test:
    let
      known = [
        "name"
        "nodes"
        "testScript"
        "meta"
        "globalTimeout"
        "skipTypeCheck"
        "skipLint"
        "node"
        "defaults"
        "interactive"
      ];
      unknown = builtins.attrNames (removeAttrs test known);
      nixosSystem = import ./nixos.nix {
        inherit lib;
        pkgsFor = _: pkgs;
      };
      machines = builtins.mapAttrs (
        name: module:
        nixosSystem {
          inherit system;
          specialArgs = test.node.specialArgs or { };
          modules = [
            (test.defaults or { })
            module
            { networking.hostName = lib.mkDefault name; }
          ];
        }
      ) test.nodes;
      script =
        if builtins.isFunction test.testScript then
          test.testScript { nodes = builtins.mapAttrs (_: machine: machine.config) machines; }
        else
          test.testScript;
      made = derivation {
        name = "vm-test-run-${test.name}";
        inherit system script;
        builder = "/bin/sh";
        args = [
          "-c"
          "echo only a stand-in >&2; exit 1"
        ];
        systems = lib.mapAttrsToList (_: machine: "${machine.config.system.build.toplevel}") machines;
        passAsFile = [ "script" ];
      };
    in
    if unknown != [ ] then
      throw "a test has `${builtins.head unknown}', which the stand-in does not know"
    else
      made
      // {
        nodes = machines;
        testScript = script;
      };

  pkgs =
    named
    // texts
    // {
      inherit lib runNixOSTest system;
      path = /nixpkgs;
      stdenv = {
        hostPlatform = {
          inherit system;
          isLinux = true;
          isAarch64 = system == "aarch64-linux";
          isx86_64 = system == "x86_64-linux";
          isMusl = false;
          isStatic = false;
        };
        buildPlatform = { inherit system; };
        mkDerivation = maker "mkDerivation" phases;
      };
      rustPlatform.buildRustPackage = rust;
      pkgsStatic = {
        inherit (named) openssl;
        buildPackages = { inherit (named) pkg-config; };
        rustPlatform.buildRustPackage = rust;
        stdenv.hostPlatform = pkgs.stdenv.hostPlatform // {
          isMusl = true;
          isStatic = true;
        };
      };
      testers = { inherit runNixOSTest; };
      formats = {
        toml = { }: format;
        json = { }: format;
        ini = _: format;
        keyValue = _: format;
      };
      device-trees = package "device-tree-overlays";
      armTrustedFirmwareRK3328 = package "arm-trusted-firmware-rk3328";
      buildUBoot = maker "buildUBoot" (
        phases
        ++ [
          "defconfig"
          "extraConfig"
          "extraPatches"
          "extraMakeFlags"
          "extraMeta"
          "filesToInstall"
          "BL31"
          "installDir"
        ]
      );
      linuxPackages = { inherit kernel; };
      linuxPackages_latest = { inherit kernel; };
      linux_latest = kernel;
      linux = kernel;
      linuxPackagesFor = kernel: { inherit kernel; };
      linuxKernel.packagesFor = kernel: { inherit kernel; };
      linuxManualConfig = maker "linuxManualConfig" [
        "version"
        "modDirVersion"
        "src"
        "configfile"
        "config"
        "allowImportFromDerivation"
        "extraMeta"
        "features"
      ];
    };
in
pkgs

# SPDX-License-Identifier: MIT OR Apache-2.0
# The options of NixOS 25.11 that our modules use, with their types. One that is not here does not
# exist: look it up in the manual, then add it.
{ lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  inherit (types)
    anything
    attrsOf
    bool
    enum
    int
    lines
    listOf
    nullOr
    package
    path
    port
    str
    strMatching
    submodule
    ;
  option =
    type: default:
    mkOption {
      inherit type default;
    };
  texts = option (listOf str) [ ];
  flag = option bool false;
  # A value of a unit's section: systemd takes a word, or the same key several times.
  unitValue = types.oneOf [
    bool
    int
    str
    path
    (listOf (
      types.oneOf [
        str
        path
      ]
    ))
  ];
  section = option (attrsOf unitValue) { };
  unitOptions = {
    enable = option bool true;
    description = option str "";
    documentation = texts;
    after = texts;
    before = texts;
    wants = texts;
    requires = texts;
    requisite = texts;
    bindsTo = texts;
    partOf = texts;
    conflicts = texts;
    wantedBy = texts;
    requiredBy = texts;
    onFailure = texts;
    aliases = texts;
    overrideStrategy = option (enum [
      "asDropin"
      "asDropinIfExists"
    ]) "asDropinIfExists";
    unitConfig = section;
  };
  service = submodule {
    options = unitOptions // {
      serviceConfig = section;
      environment = option (attrsOf (nullOr str)) { };
      path = option (listOf (types.either package str)) [ ];
      script = option lines "";
      preStart = option lines "";
      postStart = option lines "";
      stopIfChanged = option bool true;
      restartIfChanged = option bool true;
      restartTriggers = option (listOf types.unspecified) [ ];
      startLimitBurst = option (nullOr int) null;
      startLimitIntervalSec = option (nullOr int) null;
    };
  };
  timer = submodule {
    options = unitOptions // {
      timerConfig = section;
    };
  };
  socket = submodule {
    options = unitOptions // {
      socketConfig = section;
      listenStreams = texts;
    };
  };
  path' = submodule {
    options = unitOptions // {
      pathConfig = section;
    };
  };
  target = submodule { options = unitOptions; };
  # Units that may be given with a name of their own and with contents of their own.
  mount = submodule {
    options = unitOptions // {
      what = mkOption { type = str; };
      where = mkOption { type = str; };
      type = option str "";
      options = option str "";
      mountConfig = section;
    };
  };
  file = submodule (
    { name, ... }:
    {
      options = {
        enable = option bool true;
        source = mkOption {
          type = nullOr path;
          default = null;
        };
        text = option (nullOr lines) null;
        target = option str name;
        mode = option str "symlink";
        user = option str "+0";
        group = option str "+0";
      };
    }
  );
  fileSystem = submodule {
    options = {
      device = option (nullOr str) null;
      label = option (nullOr str) null;
      fsType = option str "auto";
      options = option (listOf str) [ "defaults" ];
      neededForBoot = flag;
      noCheck = flag;
      depends = texts;
      overlay = option (nullOr (attrsOf anything)) null;
    };
  };
  user = submodule {
    options = {
      isSystemUser = flag;
      isNormalUser = flag;
      uid = option (nullOr int) null;
      group = option str "";
      extraGroups = texts;
      home = option str "/var/empty";
      createHome = flag;
      description = option str "";
      shell = option (nullOr (types.either package path)) null;
      hashedPassword = option (nullOr str) null;
      initialHashedPassword = option (nullOr str) null;
      openssh.authorizedKeys.keys = texts;
      linger = flag;
      autoSubUidGidRange = flag;
      subUidRanges = option (listOf (attrsOf int)) [ ];
      subGidRanges = option (listOf (attrsOf int)) [ ];
    };
  };
  group = submodule {
    options = {
      gid = option (nullOr int) null;
      members = texts;
    };
  };
  network = submodule {
    options = {
      enable = option bool true;
      matchConfig = section;
      linkConfig = section;
      networkConfig = section;
      dhcpV4Config = section;
      dhcpServerConfig = section;
      address = texts;
      DHCP = option (nullOr str) null;
    };
  };
  units = {
    services = option (attrsOf service) { };
    timers = option (attrsOf timer) { };
    sockets = option (attrsOf socket) { };
    paths = option (attrsOf path') { };
    targets = option (attrsOf target) { };
    mounts = option (listOf mount) [ ];
    packages = option (listOf package) [ ];
    tmpfiles.rules = texts;
    tmpfiles.packages = option (listOf package) [ ];
    tmpfiles.settings = option (attrsOf (attrsOf (attrsOf (attrsOf anything)))) { };
  };
in
{
  options = {
    assertions = option (listOf (submodule {
      options = {
        assertion = mkOption { type = bool; };
        message = mkOption { type = str; };
      };
    })) [ ];
    warnings = texts;

    boot = {
      kernelPackages = option types.raw pkgs.linuxPackages;
      kernelPatches = option (listOf anything) [ ];
      kernelParams = texts;
      kernelModules = texts;
      blacklistedKernelModules = texts;
      extraModulePackages = option (listOf package) [ ];
      supportedFilesystems = option (types.either (listOf str) (attrsOf bool)) [ ];
      consoleLogLevel = option int 4;
      enableContainers = flag;
      kernel.sysctl = option (attrsOf (
        types.oneOf [
          bool
          str
          int
        ]
      )) { };
      loader = {
        grub.enable = option bool true;
        systemd-boot.enable = flag;
        generic-extlinux-compatible.enable = flag;
      };
      initrd = {
        enable = option bool true;
        availableKernelModules = texts;
        kernelModules = texts;
        includeDefaultModules = option bool true;
        supportedFilesystems = option (types.either (listOf str) (attrsOf bool)) [ ];
        services.udev.rules = option lines "";
        compressor = option str "gzip";
        compressorArgs = option (nullOr (listOf str)) null;
        systemd = {
          enable = flag;
          emergencyAccess = option (types.oneOf [
            bool
            str
          ]) false;
          contents = option (attrsOf file) { };
          storePaths = option (listOf (
            types.oneOf [
              path
              package
              str
            ]
          )) [ ];
          extraBin = option (attrsOf path) { };
          initrdBin = option (listOf package) [ ];
          suppressedUnits = texts;
          suppressedStorePaths = texts;
          packages = option (listOf package) [ ];
          repart.enable = flag;
          inherit (units)
            services
            timers
            sockets
            targets
            mounts
            ;
          settings.Manager = section;
        };
      };
      tmp.useTmpfs = flag;
    };

    console.enable = option bool true;
    documentation.enable = option bool true;
    documentation.nixos.enable = option bool true;
    documentation.man.enable = option bool true;

    environment = {
      systemPackages = option (listOf package) [ ];
      defaultPackages = option (listOf package) [ ];
      etc = option (attrsOf file) { };
      variables = option (attrsOf str) { };
    };

    fileSystems = option (attrsOf fileSystem) { };
    swapDevices = option (listOf anything) [ ];

    hardware = {
      deviceTree = {
        enable = flag;
        name = option (nullOr str) null;
        filter = option (nullOr str) null;
        package = option (nullOr path) pkgs.device-trees;
      };
      enableRedistributableFirmware = flag;
      firmware = option (listOf package) [ ];
      watchdog = { };
    };

    i18n.supportedLocales = texts;

    networking = {
      hostName = option str "nixos";
      useDHCP = option bool true;
      useNetworkd = flag;
      usePredictableInterfaceNames = option bool true;
      nameservers = texts;
      networkmanager.enable = flag;
      firewall = {
        enable = option bool true;
        allowedTCPPorts = option (listOf port) [ ];
        allowedUDPPorts = option (listOf port) [ ];
        interfaces = option (attrsOf (submodule {
          options = {
            allowedTCPPorts = option (listOf port) [ ];
            allowedUDPPorts = option (listOf port) [ ];
          };
        })) { };
        trustedInterfaces = texts;
        extraInputRules = option lines "";
      };
      nftables = {
        enable = flag;
        ruleset = option lines "";
        rulesetFile = option (nullOr path) null;
        checkRuleset = option bool true;
        flushRuleset = option bool true;
        tables = option (attrsOf (submodule {
          options = {
            family = mkOption { type = str; };
            content = option lines "";
          };
        })) { };
      };
    };

    nix.enable = option bool true;
    nixpkgs = {
      hostPlatform = option (types.either str (attrsOf anything)) "aarch64-linux";
      overlays = option (listOf types.raw) [ ];
    };

    programs = {
      nano.enable = option bool true;
      ssh.setXAuthLocation = flag;
      zsh.enable = flag;
    };

    security = {
      polkit.enable = flag;
      polkit.extraConfig = option lines "";
      sudo.enable = option bool true;
      run0-sudo-shim.enable = flag;
      lsm = texts;
    };

    services = {
      dbus = {
        enable = option bool true;
        packages = option (listOf path) [ ];
      };
      openssh = {
        enable = flag;
        openFirewall = option bool true;
        startWhenNeeded = flag;
        ports = option (listOf port) [ 22 ];
        listenAddresses = option (listOf anything) [ ];
        authorizedKeysFiles = texts;
        hostKeys = option (listOf (attrsOf anything)) [ ];
        extraConfig = option lines "";
        settings = option (attrsOf (
          types.oneOf [
            bool
            int
            str
            (listOf str)
            (nullOr str)
          ]
        )) { };
      };
      openvpn.servers = option (attrsOf (submodule {
        options = {
          config = mkOption { type = lines; };
          autoStart = option bool true;
          up = option lines "";
          down = option lines "";
          updateResolvConf = flag;
        };
      })) { };
      resolved.enable = flag;
      resolved.extraConfig = option lines "";
      timesyncd.enable = option bool true;
      chrony = {
        enable = flag;
        servers = texts;
        extraConfig = option lines "";
        extraFlags = texts;
        enableNTS = flag;
      };
      dnsmasq = {
        enable = flag;
        resolveLocalQueries = option bool true;
        settings = option (attrsOf anything) { };
        configFile = option path "/etc/dnsmasq.conf";
      };
      journald = {
        storage = option (enum [
          "persistent"
          "volatile"
          "auto"
          "none"
        ]) "persistent";
        rateLimitBurst = option int 10000;
        extraConfig = option lines "";
      };
      rsyslogd = {
        enable = flag;
        defaultConfig = option lines "";
        extraConfig = option lines "";
      };
      getty = {
        autologinUser = option (nullOr str) null;
        helpLine = option lines "";
      };
      logind.settings.Login = section;
      udev.extraRules = option lines "";
      udev.packages = option (listOf path) [ ];
      lvm.enable = option bool true;
    };

    system = {
      # Not looked at before somebody asks: a system that is refused can say why.
      build = option (attrsOf types.raw) { } // {
        internal = true;
      };
      name = option str "nixos";
      stateVersion = option str "25.11";
      disableInstallerTools = flag;
      switch.enable = option bool true;
      image.id = option (nullOr str) null;
      image.version = option (nullOr (strMatching "[a-z0-9._~^-]+")) null;
      nixos.release = option str "25.11";
      boot.loader.kernelFile = option str "Image";
      boot.loader.initrdFile = option str "initrd";
      nixos.variant_id = option (nullOr str) null;
      nixos.label = option str "";
      nixos.tags = texts;
      etc.overlay.enable = flag;
      fsPackages = option (listOf package) [ ];
      checks = option (listOf package) [ ];
      requiredKernelConfig = option (listOf (attrsOf anything)) [ ];
    };

    systemd = {
      inherit (units)
        services
        timers
        sockets
        paths
        targets
        mounts
        packages
        tmpfiles
        ;
      units = option (attrsOf (submodule {
        options = {
          enable = option bool true;
          text = option (nullOr lines) null;
          wantedBy = texts;
          requiredBy = texts;
          aliases = texts;
          overrideStrategy = option str "asDropinIfExists";
        };
      })) { };
      user.services = units.services;
      settings.Manager = section;
      coredump.enable = option bool true;
      enableEmergencyMode = option bool true;
      defaultUnit = option str "multi-user.target";
      additionalUpstreamSystemUnits = texts;
      suppressedSystemUnits = texts;
      network = {
        enable = flag;
        networks = option (attrsOf network) { };
        links = option (attrsOf network) { };
        netdevs = option (attrsOf anything) { };
        wait-online.enable = option bool true;
        wait-online.anyInterface = flag;
        wait-online.timeout = option types.ints.unsigned 120;
        wait-online.extraArgs = texts;
      };
      sysusers.enable = flag;
      repart.enable = flag;
      shutdownRamfs.enable = option bool true;
      oomd.enable = option bool true;
    };

    time.timeZone = option (nullOr str) null;

    users = {
      motd = option lines "";
      mutableUsers = option bool true;
      allowNoPasswordLogin = flag;
      users = option (attrsOf user) { };
      groups = option (attrsOf group) { };
    };

    virtualisation = {
      podman.enable = flag;
      podman.dockerCompat = flag;
      containers.enable = flag;
      containers.containersConf.settings = option (attrsOf anything) { };
      containers.storage.settings = option (attrsOf anything) { };
      # What the nodes of a test have beside them.
      memorySize = option int 1024;
      emptyDiskImages = option (listOf int) [ ];
      vlans = option (listOf int) [ 1 ];
      diskSize = option int 1024;
      useBootLoader = flag;
      qemu.options = texts;
    };
  };
}

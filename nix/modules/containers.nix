# SPDX-License-Identifier: MIT OR Apache-2.0
# Where do the containers of a configuration live? On /data, since everything else is memory: images of
# root's and of the account's apart, which Quadlet's units of the config API start.
{ config, lib, ... }:
let
  cfg = config.atomixos.containers;
  account = config.users.users.appsvc;
in
{
  options.atomixos.containers = {
    enable = lib.mkEnableOption "podman for the containers of a configuration";
    directory = lib.mkOption {
      type = lib.types.str;
      default = "/data/containers";
      example = "/data/containers";
      description = "Where images and volumes are kept.";
    };
  };

  config = lib.mkIf cfg.enable {
    virtualisation.podman.enable = true;
    virtualisation.containers = {
      enable = true;
      containersConf.settings.containers.log_driver = "journald";
      storage.settings.storage = {
        driver = "overlay";
        graphroot = "${cfg.directory}/storage";
        runroot = "/run/containers/storage";
        rootless_storage_path = "${cfg.directory}/rootless/$UID";
      };
    };

    # Containers without privileges. In no other group: not in podman's either, whose socket is root.
    users.users.appsvc = {
      isSystemUser = true;
      uid = 900;
      group = "appsvc";
      home = "/var/lib/appsvc";
      createHome = true;
      description = "Containers without privileges";
      autoSubUidGidRange = true;
    };
    users.groups.appsvc.gid = 900;

    systemd.tmpfiles.rules = [
      "d ${cfg.directory} 0711 root root -"
      "d ${cfg.directory}/storage 0700 root root -"
      "d ${cfg.directory}/rootless 0711 root root -"
      "d ${cfg.directory}/rootless/${toString account.uid} 0700 appsvc appsvc -"
    ];
  };
}

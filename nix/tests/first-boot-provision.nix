# SPDX-License-Identifier: MIT OR Apache-2.0
# A configuration on a stick is found, applied and kept; a second stick changes nothing, because the device
# has its own: another device takes that stick.
{ board, pkgs, ... }:
let
  # A container of the store's own files, since there is no registry.
  configuration =
    person:
    pkgs.writeText "${person}.toml" ''
      version = 1

      [users.admin]
      isAdmin = true
      ssh_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIBGoVskIFs63KKKMnX0pH1k1PYTOqw4q2I6LVuMKocG ${person}@laptop.example"

      [activation]
      required = ["shop"]

      [containers.container.shop]
      privileged = true

      [containers.container.shop.Container]
      Image = "localhost/played:1"
      Pull = "never"
      Volume = ["/nix/store:/nix/store:ro"]
      Exec = "${pkgs.coreutils}/bin/sleep infinity"
    '';
  device = {
    imports = [ board.module ];
    atomixos = {
      configApi = {
        enable = true;
        console = false;
      };
      firewall = {
        enable = true;
        wanInterface = "eth0";
        lanInterface = "eth1";
      };
      lanGateway.enable = true;
    };
    virtualisation.emptyDiskImages = [ 64 ];
  };
in
{
  nodes = {
    machine = device;
    other = device;
  };
  testScript = ''
    ${board.prelude}


    def plug(machine, file):
        machine.succeed("mkdir -p /stick && mount /dev/vdd /stick")
        machine.copy_from_host(file, "/stick/config.toml")
        machine.succeed("umount /stick")


    def search(machine):
        machine.succeed("systemctl restart atomix-config-helper.service")
        machine.succeed("systemctl restart --no-block atomix-config-first-boot.service")


    def provisioned(machine, name):
        """Not tried only: it has proved itself, and the search is over for that reason."""
        machine.wait_for_console_text("The device has its configuration; the search is over.")
        machine.wait_until_succeeds("systemctl is-active shop.service")
        ended = "systemctl show --property=ActiveState,Result atomix-config-first-boot.service"
        machine.wait_until_succeeds(f"{ended} | grep -qx ActiveState=inactive")
        assert "Result=success" in machine.succeed(ended)
        assert f"{name}@laptop.example" in machine.succeed("cat /data/config/ssh-authorized-keys/admin")


    ours, theirs = "${configuration "first"}", "${configuration "second"}"
    for one in [machine, other]:
        first_boot(one)
        one.succeed("tar cf - --files-from /dev/null | podman import - localhost/played:1")
        one.succeed("mkfs.vfat /dev/vdd")
        # Without any it waits, and says nothing of being done.
        one.succeed("test -d /data/atomix/config-api/spool && ! test -e /data/config/config.toml")
        search(one)
        one.wait_for_console_text("no config.toml and no bundle in its topmost directory")
        one.succeed("systemctl is-active atomix-config-first-boot.service")
    plug(machine, ours)
    search(machine)
    provisioned(machine, "first")
    before = machine.succeed("sha256sum /data/config/config.toml")
    # The second stick is there and has what could be taken.
    plug(machine, theirs)
    machine.succeed("mount -o ro /dev/vdd /stick && atomix config validate /stick/config.toml")
    machine.succeed(f"cmp {theirs} /stick/config.toml && umount /stick")
    search(machine)
    provisioned(machine, "first")
    assert machine.succeed("sha256sum /data/config/config.toml") == before
    # Who has none takes this very file.
    plug(other, theirs)
    search(other)
    provisioned(other, "second")
  '';
}

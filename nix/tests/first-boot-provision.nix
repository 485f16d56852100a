# SPDX-License-Identifier: MIT OR Apache-2.0
# A configuration on a stick is found, applied and kept; a second stick changes nothing.
{ board, ... }:
{
  nodes.machine = {
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
  testScript = ''
    ${board.prelude}
    first_boot(machine)
    # Without any it waits, and says nothing of being done.
    machine.fail("test -e /data/config/config.toml")
    machine.succeed("mkfs.vfat /dev/vdd && mkdir -p /stick && mount /dev/vdd /stick")
    machine.copy_from_host("${../../config-api/tests/fixtures/001-minimal/input.toml}", "/stick/config.toml")
    machine.succeed("umount /stick && systemctl restart atomix-config-helper atomix-config-first-boot")
    machine.wait_until_succeeds("test -e /data/config/config.toml")
    assert "admin@laptop.example" in machine.succeed("cat /data/config/ssh-authorized-keys/admin")
    before = machine.succeed("sha256sum /data/config/config.toml")
    machine.succeed("mount /dev/vdd /stick && echo 'version = 9' >/stick/config.toml && umount /stick")
    machine.systemctl("restart atomix-config-first-boot")
    machine.sleep(10)
    assert machine.succeed("sha256sum /data/config/config.toml") == before
  '';
}

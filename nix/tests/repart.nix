# SPDX-License-Identifier: MIT OR Apache-2.0
# The initrd makes what a flashed image lacks, before anything is mounted; the next boot finds nothing to do
# and loses nothing. The root is the test's own; that a slot's squashfs can be it: `cargo xtask e2e`.
{ board, lib, ... }:
{
  nodes.machine = {
    imports = [ board.module ];
    atomixos.repart.enable = true;
    boot.initrd.systemd = {
      enable = true;
      contents = {
        "/etc/atomix/atomix.toml".source = lib.mkForce ./board/atomix.toml;
        "/etc/fw_env.config".source = lib.mkForce ./board/fw_env.config;
      };
    };
  };
  testScript = ''
    ${board.prelude}


    def labels():
        machine.succeed("udevadm settle")
        found = machine.succeed("lsblk -nro PARTLABEL /dev/vdb").split()
        return sorted(found)


    def again():
        machine.shutdown()
        machine.start()
        machine.wait_for_unit("multi-user.target")


    def in_the_initrd():
        """What atomix-repart, which only the initrd has, said in this boot."""
        return machine.succeed("journalctl --boot --output=cat SYSLOG_IDENTIFIER=atomix-repart")


    # Of a disk without a table nothing is made, and the boot goes on.
    machine.start()
    machine.wait_for_unit("multi-user.target")
    assert labels() == [], labels()
    flash(machine)
    assert labels() == ["boot-a", "rootfs-a"], labels()
    again()
    assert labels() == ["boot-a", "boot-b", "data", "rootfs-a", "rootfs-b"], labels()
    said = in_the_initrd()
    assert said != "" and "nothing to do" not in said, said
    machine.succeed("mkdir -p /data && mount /dev/disk/atomixos/data /data")
    machine.succeed("echo ours >/data/whose && sync")
    table = machine.succeed("sfdisk --dump /dev/vdb")
    again()
    assert "nothing to do" in in_the_initrd()
    assert machine.succeed("sfdisk --dump /dev/vdb") == table
    machine.succeed("mount /dev/disk/atomixos/data /data")
    assert machine.succeed("cat /data/whose").strip() == "ours"
  '';
}

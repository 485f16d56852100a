# SPDX-License-Identifier: MIT OR Apache-2.0
# The partitions of a boot are those of the board's own disk and of the slot that runs, whatever a second
# disk calls its own. Root and initrd of this machine are not the modules'; their rules are.
{ board, ... }:
{
  nodes.machine = {
    imports = [ board.module ];
    # As the slot script says it of slot A.
    boot.kernelParams = [ "atomixos.lowerdev=/dev/vdb2" ];
    virtualisation.emptyDiskImages = [ 512 ];
  };
  testScript = ''
    def found(name):
        return machine.succeed(f"readlink -f /dev/disk/atomixos/{name}").strip()


    def disk(name):
        return machine.succeed(f"lsblk -ndo PKNAME {found(name)}").strip()


    ${board.prelude}
    first_boot(machine)
    machine.succeed("echo ours >/data/whose && umount /data")
    # A disk with the same names, and with what would be data.
    machine.succeed(
        "printf 'label: gpt\\nsize=128MiB, name=boot-a\\nsize=128MiB, name=rootfs-a\\nname=data\\n'"
        " | sfdisk /dev/vdd"
    )
    machine.succeed("udevadm settle && mkfs.f2fs /dev/vdd3 && mkdir -p /theirs && mount /dev/vdd3 /theirs")
    machine.succeed("echo theirs >/theirs/whose && umount /theirs")
    machine.succeed("udevadm trigger --action=change --settle /dev/vdd3")
    assert disk("data") == "vdb", "a partition that came later took the name"
    machine.shutdown()
    machine.start()
    machine.wait_for_unit("multi-user.target")
    machine.succeed("udevadm settle")
    assert found("boot") == "/dev/vdb1"
    assert found("rootfs") == "/dev/vdb2"
    assert disk("data") == "vdb"
    # Theirs is still there, and still called so.
    assert machine.succeed("lsblk -ndo PARTLABEL /dev/vdd3").strip() == "data"
    machine.succeed("mount /dev/disk/atomixos/data /data")
    assert machine.succeed("cat /data/whose").strip() == "ours"
  '';
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# What was said before a power cut is still known after it: on /data, in the journal, in the recorder.
{ board, ... }:
{
  nodes.machine = {
    imports = [ board.module ];
    atomixos.boot.enable = true;
    atomixos.logging.enable = true;
  };
  testScript = ''
    ${board.prelude}
    first_boot(machine)
    machine.succeed("systemctl restart atomixos-log-directories.service")
    machine.succeed("systemctl start var-log-journal.mount && journalctl --flush")
    # Lines of this weight are on the disk when logger returns and the journal has them.
    machine.succeed("logger -p daemon.crit 'the last words'")
    machine.wait_until_succeeds("journalctl --directory=/data/logs/journal | grep -q 'the last words'")
    machine.succeed("sync")
    # A line without weight is there as soon as somebody asks for it.
    machine.succeed("logger -p daemon.info 'the quiet words'")
    machine.succeed("journalctl --sync")
    machine.crash()
    machine.start()
    machine.wait_for_unit("multi-user.target")
    machine.succeed("mkdir -p /data && mount /dev/disk/atomixos/data /data")
    machine.succeed("journalctl --directory=/data/logs/journal | grep -q 'the last words'")
    machine.succeed("journalctl --directory=/data/logs/journal | grep -q 'the quiet words'")
    machine.succeed("atomix why --last 20")
  '';
}

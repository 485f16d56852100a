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
    import json

    ${board.prelude}
    first_boot(machine)
    machine.succeed("systemctl restart atomixos-log-directories.service")
    machine.succeed("systemctl start var-log-journal.mount && journalctl --flush")
    # Lines of this weight are on the disk when logger returns and the journal has them.
    boot = machine.succeed("cat /proc/sys/kernel/random/boot_id").strip().replace("-", "")
    kept = (
        "journalctl --directory=/data/logs/journal --output=cat --quiet"
        f" _BOOT_ID={boot} SYSLOG_IDENTIFIER=played"
    )
    assert machine.succeed(kept) == ""
    machine.succeed("logger -t played -p daemon.crit 'the last words'")
    machine.wait_until_succeeds(f"{kept} | grep -q 'the last words'")
    # What the recorder is to know, beside what boots write there.
    begun = json.loads(machine.succeed("atomix why --json"))["newest"] or 0
    machine.succeed("atomix install ${board.bundle "2.0.0"}")
    machine.succeed("sync")
    # A line without weight is there as soon as somebody asks for it.
    machine.succeed("logger -t played -p daemon.info 'the quiet words'")
    machine.succeed("journalctl --sync")
    machine.crash()
    machine.start()
    machine.wait_for_unit("multi-user.target")
    machine.succeed("mkdir -p /data && mount /dev/disk/atomixos/data /data")
    assert machine.succeed("cat /proc/sys/kernel/random/boot_id").strip().replace("-", "") != boot
    assert machine.succeed(kept).splitlines() == ["the last words", "the quiet words"]
    history = json.loads(machine.succeed(f"atomix why --json --since {begun}"))["history"]
    installs = [
        (one["kind"], one["slot"]) for one in history if one["kind"].startswith("install-")
    ]
    assert installs == [("install-began", "B"), ("install-finished", "B")], history
  '';
}

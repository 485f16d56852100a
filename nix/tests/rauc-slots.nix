# SPDX-License-Identifier: MIT OR Apache-2.0
# The four slots are those of the board, under the names that RAUC's clients know.
{ board, ... }:
{
  nodes.machine = board.module;
  testScript = ''
    import json

    ${board.prelude}
    first_boot(machine)
    status = json.loads(machine.succeed("rauc status --detailed --output-format=json"))
    assert status["compatible"] == "rock64", status
    assert status["booted"] == "A", status
    slots = {name: facts for slot in status["slots"] for name, facts in slot.items()}
    devices = {name: facts["device"] for name, facts in slots.items()}
    assert devices == {
        "boot.0": "/dev/vdb1",
        "rootfs.0": "/dev/vdb2",
        "boot.1": "/dev/vdb3",
        "rootfs.1": "/dev/vdb4",
    }, devices
    assert slots["boot.0"]["state"] == "booted", slots
    machine.succeed("test -s /etc/rauc/ca.cert.pem")
    for device in devices.values():
        machine.succeed(f"test -b {device}")
    # Which boot partition belongs to which root, and what the selector calls them.
    conf = machine.succeed("cat /etc/rauc/system.conf").split("[slot.")
    sections = {part.split("]")[0]: part.splitlines() for part in conf[1:]}
    for index, name in enumerate(["A", "B"]):
        assert f"bootname={name}" in sections[f"boot.{index}"], sections
        assert f"parent=boot.{index}" in sections[f"rootfs.{index}"], sections
    machine.succeed("rauc status mark-good booted")
    assert env(machine, "atomix_state_A") == "good"
    # A client of the original's service finds the same.
    machine.succeed("busctl call de.pengutronix.rauc / de.pengutronix.rauc.Installer GetPrimary")
  '';
}

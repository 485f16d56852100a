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
    # A client of the original's service finds the same.
    machine.succeed("busctl call de.pengutronix.rauc / de.pengutronix.rauc.Installer GetPrimary")
  '';
}

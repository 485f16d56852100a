# SPDX-License-Identifier: MIT OR Apache-2.0
# A root login comes on the serial line where somebody has enabled it and asked for it, once; the request is
# gone before the login starts. A system without it has nothing that would serve a request.
{ board, ... }:
{
  nodes = {
    machine = {
      imports = [ board.module ];
      atomixos.boot.enable = true;
      atomixos.serialRecovery.enable = true;
    };
    without = {
      imports = [ board.module ];
      atomixos.boot.enable = true;
    };
  };
  testScript = ''
    ${board.prelude}
    first_boot(machine)
    first_boot(without)
    asked = "systemctl restart atomix-serial-root.service"
    shown = "systemctl cat atomix-serial-root.service"
    login = "systemctl is-active atomix-serial-root@ttyS0.service"
    # Nobody has asked.
    machine.succeed(shown)
    machine.succeed(asked)
    answer(machine, "atomix boot serial-root", 0, "no root login was asked for")
    answer(machine, login, 3, "inactive")
    # Only the word itself is a request.
    machine.succeed("fw_setenv _RUT_OH_ yes")
    machine.succeed(asked)
    answer(machine, login, 3, "inactive")
    machine.succeed("fw_setenv _RUT_OH_ 1")
    machine.succeed(asked)
    machine.wait_for_console_text("root login on ttyS0, this once: _RUT_OH_ is cleared")
    machine.wait_until_succeeds(login)
    answer(machine, "atomix uenv print _RUT_OH_", 10, "")
    # It was for once.
    machine.succeed("systemctl stop atomix-serial-root@ttyS0.service")
    machine.succeed(asked)
    answer(machine, login, 3, "inactive")
    # The same request to a system that has it not stays where it is, and nobody answers.
    without.succeed("fw_setenv _RUT_OH_ 1")
    answer(without, shown, 1, "No files found for atomix-serial-root.service")
    answer(without, login, 3, "inactive")
    assert env(without, "_RUT_OH_") == "1"
  '';
}

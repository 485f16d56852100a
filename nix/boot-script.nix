# SPDX-License-Identifier: MIT OR Apache-2.0
# The boot.scr of a slot, to look at: images and bundles bring theirs.
{
  run,
  lib,
  atomix,
  watchdog ? false,
  board ? "rock64",
}:
run "boot.scr" { tools = [ atomix ]; } ''
  atomix image script --source-date-epoch 1 --board-name ${board} ${lib.optionalString watchdog "--watchdog"} "$out"
''

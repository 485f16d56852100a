# SPDX-License-Identifier: MIT OR Apache-2.0
# The boot.scr of a slot, to look at: images and bundles bring theirs.
{
  run,
  lib,
  atomix,
  watchdog ? false,
}:
run "boot.scr" { tools = [ atomix ]; } ''
  atomix image script --source-date-epoch 1 ${lib.optionalString watchdog "--watchdog"} "$out"
''

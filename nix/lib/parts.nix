# SPDX-License-Identifier: MIT OR Apache-2.0
# The words by which `atomix image` hears of a slot's parts: of an image and of a bundle the same. The
# time is one that never differs.
lib:
{
  bootFiles,
  rootfs,
  version,
  watchdog,
  board,
}:
[
  "--boot"
  bootFiles
  "--rootfs"
  rootfs
  "--image-version"
  version
  "--source-date-epoch"
  "1"
  "--board-name"
  board
]
++ lib.optional watchdog "--watchdog"

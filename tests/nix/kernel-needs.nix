# SPDX-License-Identifier: MIT OR Apache-2.0
# What has a kernel to have for each part, as somebody wrote it down who did not read the modules: a need
# that a module forgets is told, and so is one that nobody wrote down here. `y`: built in; `ym`: a module
# will do.
{
  root = {
    y = [
      "BLK_DEV_INITRD"
      "DEVTMPFS"
      "SQUASHFS_ZSTD"
      "TMPFS"
    ];
    ym = [
      "OVERLAY_FS"
      "SQUASHFS"
    ];
  };
  disk = {
    y = [ "EFI_PARTITION" ];
    ym = [
      "F2FS_FS"
      "NLS_CODEPAGE_437"
      "NLS_ISO8859_1"
      "VFAT_FS"
    ];
  };
  watchdog = {
    y = [
      "WATCHDOG"
      "WATCHDOG_HANDLE_BOOT_ENABLED"
    ];
    ym = [ ];
  };
  # Only where a configuration asks for it: bundles are verified without.
  verity = {
    y = [ ];
    ym = [
      "BLK_DEV_DM"
      "DM_VERITY"
    ];
  };
}

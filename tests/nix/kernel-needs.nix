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
  firewall = {
    y = [ "NF_TABLES_INET" ];
    ym = [
      "NFT_CT"
      "NF_CONNTRACK"
      "NF_TABLES"
    ];
  };
  containers = {
    y = [
      "CGROUP_BPF"
      "CGROUP_PIDS"
      "MEMCG"
      "SECCOMP_FILTER"
      "USER_NS"
    ];
    ym = [
      "BRIDGE"
      "NFT_MASQ"
      "NFT_NAT"
      "OVERLAY_FS"
      "TUN"
      "VETH"
    ];
  };
  # Without those of its firewall and its containers.
  config-api = {
    y = [ ];
    ym = [
      "BLK_DEV_SD"
      "EXT4_FS"
      "SCSI"
      "USB_STORAGE"
      "VFAT_FS"
    ];
  };
  logging = {
    y = [ ];
    ym = [ "PSTORE" ];
  };
  openvpn = {
    y = [ ];
    ym = [ "TUN" ];
  };
  serial-recovery = {
    y = [ "SERIAL_8250_CONSOLE" ];
    ym = [ ];
  };
  # Only where a configuration asks for it: bundles are verified without.
  verity = {
    y = [ "MD" ];
    ym = [
      "BLK_DEV_DM"
      "DM_VERITY"
    ];
  };
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# What every board of the product asks of its kernel. Built in is what a boot needs before a module could be
# loaded, and what a technician needs when the root file system is what is broken. `own` is what the board adds.
lib: own:
let
  builtIn = own.builtIn ++ [
    "AUTOFS_FS"
    "BLK_DEV_INITRD"
    "BLK_DEV_SD"
    "CGROUP_BPF"
    "CGROUP_PIDS"
    "DEVTMPFS"
    "EFI_PARTITION"
    "F2FS_FS"
    "MEMCG"
    "MMC"
    "MMC_BLOCK"
    "NLS_CODEPAGE_437"
    "NF_TABLES_INET"
    "NLS_ISO8859_1"
    "OVERLAY_FS"
    "PSTORE"
    "SCSI"
    "SECCOMP_FILTER"
    "SQUASHFS"
    "SQUASHFS_ZSTD"
    "TMPFS"
    "USB_STORAGE"
    "USER_NS"
    "VFAT_FS"
    "WATCHDOG"
    "WATCHDOG_HANDLE_BOOT_ENABLED"
  ];
  modules = own.modules ++ [
    "BRIDGE"
    "EXT4_FS"
    "NFT_CT"
    "NFT_MASQ"
    "NFT_NAT"
    "NF_CONNTRACK"
    "NF_TABLES"
    "TUN"
    "VETH"
    "WIREGUARD"
  ];
  # Never by kernel modules that a gateway has no use for, and that read strangers' bytes.
  off = [
    "BT"
    "MD"
    "WLAN"
  ];
  each = value: names: lib.genAttrs names (_: value);
in
{
  inherit builtIn off;
  available = modules;
  asked = each "y" builtIn // each "m" modules // builtins.mapAttrs (_: lib.mkDefault) (each "n" off);
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# Which partitions have a boot's links? udev is asked, with the system's rules and the kernel's words, for
# every partition of two disks that are alike: the board's own and a stranger. It only tells; no device
# of this machine gets a link. The two are files, and the rules' disk is the loop device of the first.
mount -t tmpfs tmpfs /run
mount -t sysfs sysfs /sys
mkdir -p /run/udev/rules.d
table='label: gpt
size=1MiB, name=boot-a
size=1MiB, name=rootfs-a
size=1MiB, name=boot-b
size=1MiB, name=rootfs-b
size=2MiB, name=data'
attached=
# shellcheck disable=SC2086
trap 'for one in $attached; do partx --delete $one; losetup --detach $one; done' EXIT
for name in ours theirs; do
  truncate -s 16M /run/$name.img
  echo "$table" | sfdisk --quiet /run/$name.img
  device=$(losetup --find --show /run/$name.img)
  attached="$attached $device"
  # Not every kernel reads the table; partx tells it what stands there.
  partx --update "$device"
  echo "$device" >/run/$name
done
ours=$(cat /run/ours)
# shellcheck disable=SC2086
nix eval $FLAGS --raw path:/src#lib.units.rules --apply 'rules: rules."99-local.rules"' |
  sed "s|mmcblk1p|${ours#/dev/}p|g" >/run/udev/rules.d/99-local.rules
grep -q "KERNEL==\"${ours#/dev/}p" /run/udev/rules.d/99-local.rules
# The slot that runs, and the partition that the slot script gives as its root.
for boot in 'A 2' 'B 4' 'A 4'; do
  for name in ours theirs; do
    device=$(cat /run/$name)
    for part in 1 2 3 4 5; do
      SYSTEMD_PROC_CMDLINE="rauc.slot=${boot% *} atomixos.lowerdev=${ours}p${boot#* }" \
        udevadm test --action=add "/sys/class/block/${device#/dev/}p$part" >/run/said 2>/run/log
      grep -q "ID_PART_ENTRY_NUMBER=$part" /run/said
      for link in $(grep -o 'disk/atomixos/[a-z]*' /run/said | sort -u); do
        echo "$boot: $name $part ${link##*/}"
      done
    done
  done
done >/run/found
cat >/run/expected <<'links'
A 2: ours 1 boot
A 2: ours 2 rootfs
A 2: ours 5 data
B 4: ours 3 boot
B 4: ours 4 rootfs
B 4: ours 5 data
A 4: ours 1 boot
A 4: ours 5 data
links
diff /run/expected /run/found >&2

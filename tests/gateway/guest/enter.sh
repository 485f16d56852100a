#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# enter.sh ROOTFS IMAGE DATA BOOT PLACE CONSOLE: becomes the gateway's process 1, in namespaces of its
# own. Its root file system is the image over Debian's, made anew at every start as on the device;
# /data is kept, /boot is the slot's and read-only.
# The kernel is the machine's, so what is not of these namespaces cannot be written.
set -eu
rootfs=$1 image=$2 data=$3 boot=$4 place=$5 console=$6
mount -t tmpfs -o mode=755 tmpfs "$place"
mkdir "$place/upper" "$place/work" "$place/root"
root=$place/root
mount -t overlay overlay -o "lowerdir=$image:$rootfs,upperdir=$place/upper,workdir=$place/work" "$root"
mkdir -p "$root/data" "$root/boot" "$root/old"
mount --bind "$data" "$root/data"
mount --bind -o ro "$boot" "$root/boot"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
mount --bind "$root/proc/sys" "$place/work"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount --bind "$place/work/net" "$root/proc/sys/net"
# The kernel is not booted anew, and its name of the boot is what a promotion is remembered by.
cat /proc/sys/kernel/random/uuid >"$place/boot_id"
mount --bind "$place/boot_id" "$root/proc/sys/kernel/random/boot_id"
# Read-only, so that networkd does not wait for a udev that is not there.
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
  touch "$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
touch "$root/dev/console"
mount --bind "$console" "$root/dev/console"
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
# What the image's sysctl.d says; its service does not run where it cannot write all.
for key in ipv4/ip_forward ipv6/conf/all/forwarding; do echo 0 >"/proc/sys/net/$key"; done
hostname gateway
cd "$root"
pivot_root . old
umount -l /old
# As systemd does itself outside of containers: what is mounted later is seen by services as well.
mount --make-rshared /
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=atomix \
  /usr/lib/systemd/systemd --log-target=journal --show-status=0 </dev/null >/dev/null 2>&1

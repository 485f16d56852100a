#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The first process of user-mode Linux: an overlay in memory over the host's files, a command in it.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
for module in overlay loop sch_netem squashfs cbc xts sha256 dm-mod dm-verity dm-crypt nbd ipv6; do
  modprobe -d '@MODULES@' "$module" || echo "no module $module"
done
mkdir -p /run/results /run/over/upper /run/over/work /run/root
mount -t hostfs none /run/results -o '@FILES@'
mount -t overlay overlay -o lowerdir=/,upperdir=/run/over/upper,workdir=/run/over/work /run/root
cd /run/root || exit 1
for dir in proc sys dev; do mount --rbind "/$dir" "$dir"; done
mkdir -p dev/shm dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t devpts devpts dev/pts
# The scratch directory lies below /tmp, which is hidden from here on. Not on the overlay: removing
# trees fails there.
mount -t tmpfs tmpfs srv
mkdir srv/shard
cp -a '@FILES@/.' srv/shard/
mount -t tmpfs tmpfs tmp -o mode=1777
hostname conformance
ip link set lo up
chroot . @COMMAND@
for name in @RESULTS@; do cp "srv/shard/$name" /run/results/; done
sync
echo o >/proc/sysrq-trigger
sleep 10

# SPDX-License-Identifier: MIT OR Apache-2.0
# Starts the initrd's own services, with their limits and commands, by a systemd of their own: in
# namespaces, with a root that is put together as the initrd does it, up to the dead end's restart.
# What it cannot have is a disk that udev finds, for udev would take the machine's devices in hand:
# /dev/full plays it, with what udev would have noted of it.
mount -t tmpfs tmpfs /run
mount -t sysfs -o ro sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/dev /run/udev/data
mount -t tmpfs -o mode=0755 tmpfs /run/dev
for name in full null random urandom zero; do
  touch /run/dev/$name
  mount --bind /dev/$name /run/dev/$name
done
mount --move /run/dev /dev
touch /run/udev/control /run/udev/queue
echo I:1 >/run/udev/data/c1:7
group=$(mktemp -d /sys/fs/cgroup/atomix-nix-XXXXXX)
# shellcheck disable=SC2086
nix eval $FLAGS path:/src#lib.initrd --write-to /run/told
mkdir -p /run/units /run/atomixos/lower/etc
mount -t tmpfs -o mode=0755 tmpfs /run/atomixos/lower
mkdir -m 755 /run/atomixos/lower/etc
cp /run/told/units/* /run/told/mounts/* /run/units
cd /run/units
# The pause is for people; what PID 1 does when the program fails must not hide that it fails.
sed -i 's|/bin/sleep 20|/bin/sleep 1|' atomixos-dead-end.service
grep -q FailureAction=reboot-immediate atomixos-dead-end.service
sed -i '/^FailureAction=/d; s|^.Unit.$|&\nFailureAction=exit-force|' ./*.service
names=$(echo *.service)
cat >sysroot.mount <<EOF
[Unit]
DefaultDependencies=no
Requires=atomixos-overlay.service
After=atomixos-overlay.service
[Mount]
What=overlay
Where=/run/sysroot
Type=overlay
Options=$(cat /run/told/root)
EOF
# / is read-only here.
mkdir /run/sysroot
mv sysroot.mount run-sysroot.mount
sed -i 's|/sysroot|/run/sysroot|g' /run/told/scripts/* ./*.service
cat >begin.target <<EOF
[Unit]
DefaultDependencies=no
Wants=looked.service settled.service
EOF
# Who waits for udev hears of its end by its socket and by its files.
cat >settled.service <<EOF
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh -euc 'sleep 1; rm /run/udev/queue'
EOF
cat >looked.service <<EOF
[Unit]
DefaultDependencies=no
Requires=atomix-disk.service atomixos-machine-id.service
After=atomix-disk.service atomixos-machine-id.service
OnSuccess=atomixos-dead-end.service
FailureAction=exit-force
[Service]
Type=oneshot
ExecStart=/bin/sh -euc 'expected=\$\$({ echo atomixos machine-id; cat /proc/sys/kernel/random/boot_id; } | \
  sha256sum | cut -c1-32); test "\$\$(cat /run/sysroot/etc/machine-id)" = "\$\$expected"; touch /run/lived'
EOF
ended=0
SYSTEMD_UNIT_PATH=/run/units: timeout -s KILL 60 sh -euc '
  echo $$ >"$1/cgroup.procs"
  exec unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --mount-proc sh -euc "
    umount /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    exec env container=other /usr/lib/systemd/systemd --system --unit=begin.target \
      --log-target=console --log-level=notice --show-status=no"' sh "$group" >/run/said 2>&1 || ended=$?
echo 1 >"$group/cgroup.kill"
while grep -q 'populated 1' "$group/cgroup.events"; do sleep 0.1; done
find "$group" -depth -type d -exec rmdir {} +
# 129 is the restart that a namespace can have: the first process ends as by SIGHUP.
if ! test -e /run/lived || test "$ended" != 129; then
  echo "of $names: they end with $ended, a restart is 129" >&2
  tail -n 20 /run/said >&2
  exit 1
fi

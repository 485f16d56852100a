#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# One part of RAUC's tests, inside namespaces of its own (mount, network, processes).
# Arguments: the scratch directory (test/, build/ in it), seconds, a pytest expression or "", modules.
# Writes results, pytest.log and loopdev to the scratch directory.
set -u
cd "$1" || exit 2
export CONFORMANCE_SCRATCH=$PWD
limit=$2 only=$3
shift 3

ip link set lo up
mount --make-rprivate / 2>/dev/null
mount -t tmpfs tmpfs /mnt
mount -t tmpfs tmpfs /run
# faketime names its semaphores by process number, and the parts count from 1 each.
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
for dir in /etc/rauc /var/lib/nginx /var/log/nginx; do
  [ -d "$dir" ] && mount -t tmpfs tmpfs "$dir"
done
# By this line the suite knows that block devices and mounts may be used.
echo "root=/dev/root rauc.slot=system0 init=/qemu-test-init" >cmdline
mount --bind cmdline /proc/cmdline

mkdir -p bin home
cp test/bin/barebox-state bin/ && chmod +x bin/barebox-state
ln -sf ../desync/desync bin/desync
# For kernels that do not read a GPT themselves.
cat >bin/sfdisk <<'SH'
#!/bin/sh
/usr/sbin/sfdisk "$@" || exit $?
for device in "$@"; do :; done
case $device in /dev/*) [ -e "${device}p1" ] || partx -u "$device" >/dev/null 2>&1 ;; esac
exit 0
SH
chmod +x bin/sfdisk

unset DBUS_SESSION_BUS_ADDRESS DBUS_SYSTEM_BUS_ADDRESS DISPLAY TMPDIR
unset SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE REQUESTS_CA_BUNDLE
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY no_proxy
export PATH=$PWD/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=$PWD/home PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$PWD
export MESON_BUILD_DIR=$PWD/build RAUC_TEST_NBD_SERVER=$PWD/build/rauc

sed -i -e "s,/run/rauc-nginx.pid,$PWD/nginx.pid," -e "s,/tmp/backend.sock,$PWD/backend.sock," test/nginx.conf
if nginx -c test/nginx.conf -p "$PWD" >nginx.log 2>&1; then
  export RAUC_TEST_HTTP_SERVER=1
  if [ -f test/nginx_backend.py ] &&
    /usr/bin/python3 test/nginx_backend.py -s "$PWD/backend.sock" -d >backend.log 2>&1; then
    export RAUC_TEST_HTTP_BACKEND=1
    for _ in $(seq 100); do
      /usr/bin/python3 -c '
import requests, sys
sys.exit(requests.get("http://127.0.0.1/backend/").status_code != 200)' 2>/dev/null && break
      sleep 0.1
    done
  fi
else
  echo "no HTTP server: its tests will be skipped" >>nginx.log
fi
truncate -s 64M disk.img
if loopdev=$(losetup -f --show -P "$PWD/disk.img" 2>/dev/null); then
  echo "$loopdev" >loopdev
  export RAUC_TEST_BLOCK_LOOP=$loopdev
fi

files=()
for module in "$@"; do [ -f "test/test_$module.py" ] && files+=("test_$module.py"); done
arguments=(-p isolate -p no:cacheprovider --basetemp "$PWD/t" -vv -o addopts=)
[ -n "$only" ] && arguments+=(-k "$only")
cd test || exit 2
timeout -k 5 "$limit" /usr/bin/python3 -m pytest "${arguments[@]}" "${files[@]}" >../pytest.log 2>&1 </dev/null
exit $?

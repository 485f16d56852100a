#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# What busybox's udhcpc runs: writes the lease down, and takes the address.
case "$1" in
bound | renew)
  ip -4 address flush dev "$interface"
  ip -4 address add "$ip/$mask" dev "$interface"
  ip -4 route replace default via "$router"
  printf 'ip=%s\nmask=%s\nrouter=%s\ndns=%s\nntpsrv=%s\ndomain=%s\nlease=%s\n' \
    "$ip" "$mask" "$router" "$dns" "$ntpsrv" "$domain" "$lease" >"$LEASE"
  ;;
esac

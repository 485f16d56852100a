# SPDX-License-Identifier: MIT OR Apache-2.0
# How is a certificate of nix/development-keys.nix known? By its subject and its issuer, "atomix
# development CA": these are the letters of that in base64, for each of the three places where it can
# begin, without those that depend on what stands beside it.
[
  "YXRvbWl4IGRldmVsb3BtZW50IENB"
  "F0b21peCBkZXZlbG9wbWVudCBDQ"
  "hdG9taXggZGV2ZWxvcG1lbnQgQ0"
]

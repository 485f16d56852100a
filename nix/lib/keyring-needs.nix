# SPDX-License-Identifier: MIT OR Apache-2.0
# Is a file that was made at build a keyring? The shell's part of the check: what evaluation says of a
# file that it can read, said again where the file is there. `development` is the words by which one of the
# development keys is known (development-words.nix); empty where those are asked for.
development: file: ''
  if grep -q -e 'PRIVATE KEY-----' ${file}; then
    echo "the keyring holds a private key: everybody who has an image could sign updates" >&2
    exit 1
  fi
  if ! grep -q -e '-----BEGIN CERTIFICATE-----' ${file}; then
    echo "the keyring holds no certificate" >&2
    exit 1
  fi
  for words in ${toString development}; do
    if tr -d ' \r\n' <${file} | grep -q -e "$words"; then
      echo "the keyring is that of the development keys: for a product it is no keyring" >&2
      exit 1
    fi
  done
''

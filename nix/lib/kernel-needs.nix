# SPDX-License-Identifier: MIT OR Apache-2.0
# Has a kernel that was built all that was asked for? The shell's part of the check, which ends with a
# failure that names what is missing. `needs` are names with the values that will do: "y" or "ym".
needs: configFile:
let
  show = need: "${need.name}=[${need.values}]";
  one = need: "grep -q '^CONFIG_${show need}$' ${configFile} || missing=\"$missing ${show need}\"";
in
''
  missing=
  ${builtins.concatStringsSep "\n" (map one needs)}
  if [ -n "$missing" ]; then
    echo "the kernel was built without:$missing" >&2
    exit 1
  fi
''

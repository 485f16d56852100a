# SPDX-License-Identifier: MIT OR Apache-2.0
# Has a kernel that was built all that was asked for, and nothing that was refused? The shell's part of the
# check, which ends with a failure that names them. `needs` are names with the values that will do: "y" or
# "ym"; of `off` none may be there, whether another option selects it or not.
needs: off: configFile:
let
  show = need: "${need.name}=[${need.values}]";
  one = need: "grep -q '^CONFIG_${show need}$' ${configFile} || missing=\"$missing ${show need}\"";
  none = name: "! grep -q '^CONFIG_${name}=[ym]$' ${configFile} || unwanted=\"$unwanted ${name}\"";
in
''
  missing=
  unwanted=
  ${builtins.concatStringsSep "\n" (map one needs ++ map none off)}
  if [ -n "$missing" ]; then
    echo "the kernel was built without:$missing" >&2
    exit 1
  fi
  if [ -n "$unwanted" ]; then
    echo "the kernel was built with what must be off:$unwanted" >&2
    exit 1
  fi
''

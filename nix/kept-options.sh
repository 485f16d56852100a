# SPDX-License-Identifier: MIT OR Apache-2.0
# kept-options.sh FRAGMENT CONFIG: did Kconfig take every line of the fragment? What depends on
# something that is off is not in the file at all; of an option that was renamed one name is enough.
set -eu
fragment=$1 config=$2 lost=
redundant='CONFIG_SYS_REDUNDAND_ENVIRONMENT=y CONFIG_ENV_REDUNDANT=y'
has() { grep -qixF -e "$1" "$config"; }
renamed=
for one in $redundant; do if has "$one"; then renamed=$one; fi; done
while IFS= read -r line; do
  case $line in
    CONFIG_SYS_REDUNDAND_ENVIRONMENT=y | CONFIG_ENV_REDUNDANT=y) [ -n "$renamed" ] || lost="$lost $line" ;;
    CONFIG_*) has "$line" || lost="$lost $line" ;;
    '# CONFIG_'*' is not set')
      name=${line#\# }
      name=${name% is not set}
      if grep -q "^$name=" "$config"; then lost="$lost $name"; fi
      ;;
  esac
done <"$fragment"
if [ -n "$lost" ]; then
  echo "U-Boot does not take:$lost" >&2
  exit 1
fi

# SPDX-License-Identifier: MIT OR Apache-2.0
# kept-options.sh FRAGMENT CONFIG: did Kconfig take every line of the fragment? What depends on
# something that is off is not in the file at all; of an option that was renamed one name is enough.
set -eu
fragment=$1 config=$2 lost=
has() { grep -qixF -e "$1" "$config"; }
while IFS= read -r line; do
  case $line in
    CONFIG_*)
      case $line in
        CONFIG_SYS_REDUNDAND_ENVIRONMENT=*) other=CONFIG_ENV_REDUNDANT ;;
        CONFIG_ENV_REDUNDANT=*) other=CONFIG_SYS_REDUNDAND_ENVIRONMENT ;;
        CONFIG_USE_DEFAULT_ENV_FILE=*) other=CONFIG_ENV_USE_DEFAULT_ENV_TEXT_FILE ;;
        CONFIG_ENV_USE_DEFAULT_ENV_TEXT_FILE=*) other=CONFIG_USE_DEFAULT_ENV_FILE ;;
        CONFIG_DEFAULT_ENV_FILE=*) other=CONFIG_ENV_DEFAULT_ENV_TEXT_FILE ;;
        CONFIG_ENV_DEFAULT_ENV_TEXT_FILE=*) other=CONFIG_DEFAULT_ENV_FILE ;;
        *) other=${line%%=*} ;;
      esac
      has "$line" || has "$other=${line#*=}" || lost="$lost $line"
      ;;
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

# SPDX-License-Identifier: MIT OR Apache-2.0
# The page of all options, docs/nix-options.md, from the modules themselves.
{ lib, options }:
let
  quoted = text: "`${text}`";
  pretty =
    value:
    if value ? _type then
      value.text
    else if builtins.isString value || builtins.isBool value || builtins.isInt value then
      builtins.toJSON value
    else if value == null then
      "null"
    else if builtins.isList value then
      "[ ${lib.concatMapStrings (one: "${pretty one} ") value}]"
    else
      "{ ${lib.concatStrings (lib.mapAttrsToList (name: one: "${name} = ${pretty one}; ") value)}}";
  flat =
    text:
    lib.concatStringsSep " " (
      builtins.filter (word: builtins.isString word && word != "") (builtins.split "[ \n]+" text)
    );
  default =
    option:
    if option ? defaultText then
      quoted (pretty option.defaultText)
    else if option ? default then
      quoted (pretty option.default)
    else
      "none: it has to be given";
  complete =
    name: option:
    if option ? description && option ? example && option ? type then
      option
    else
      throw "${name} lacks a description, a type or an example";
  show =
    name: given:
    let
      option = complete name given;
    in
    lib.optional (!(option.internal or false)) ''
      ## `${name}`

      ${flat option.description}

      - Type: ${option.type.name}
      - Default: ${default option}
      - Example: ${quoted (pretty option.example)}
    '';
  walk =
    path: tree:
    if lib.isOption tree then
      show (lib.showOption path) tree
    else
      lib.concatMap (name: walk (path ++ [ name ]) tree.${name}) (builtins.attrNames tree);
in
lib.concatStringsSep "\n" (
  [
    ''
      <!-- Generated from nix/modules. UPDATE=1 cargo xtask test "Nix" writes it anew. -->
      # Options of the NixOS modules

      What is not in a list here is NixOS's own. `nix/boards/rock64.nix` sets the board's facts and switches
      everything on; a system adds its keyring. Names of types are those of the check's stand-in for nixpkgs.
    ''
  ]
  ++ walk [ "atomixos" ] options.atomixos
)

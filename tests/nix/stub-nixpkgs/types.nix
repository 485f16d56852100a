# SPDX-License-Identifier: MIT OR Apache-2.0
# Types of options: `check` says whether one definition may be that, `merge` makes one value of all.
lib:
let
  inherit (builtins)
    all
    attrNames
    concatLists
    concatMap
    concatStringsSep
    elem
    filter
    head
    isAttrs
    isBool
    isFloat
    isFunction
    isInt
    isList
    isPath
    isString
    listToAttrs
    map
    match
    toString
    ;
  show = lib.showOption;

  type = name: check: merge: {
    _type = "option-type";
    inherit name check merge;
    subOptions = { };
  };

  values = map (definition: definition.value);

  # One value, however often it is said.
  same =
    loc: definitions:
    let
      all' = values definitions;
    in
    if all (value: value == head all') all' then
      head all'
    else
      throw "the option `${show loc}' has conflicting definitions: ${
        concatStringsSep ", " (map (definition: definition.file) definitions)
      }";

  leaf = name: check: type name check same;

  joined =
    separator: name:
    type name isString (_: definitions: concatStringsSep separator (values definitions));

  isPlainSet = value: isAttrs value && !(lib.isDerivation value);

  # Keys of sets, each with its own definitions; a key that no condition leaves is not there.
  mergeSets =
    element: loc: definitions:
    let
      keys = lib.unique (concatMap (definition: attrNames definition.value) definitions);
      of =
        key:
        map (definition: {
          inherit (definition) file;
          value = definition.value.${key};
        }) (filter (definition: definition.value ? ${key}) definitions);
      left = filter (key: lib.discharged (of key) != [ ]) keys;
    in
    listToAttrs (
      map (key: {
        name = key;
        value = lib.mergeDefinitions (loc ++ [ key ]) element (of key);
      }) left
    );

  between =
    name: lowest: highest:
    leaf name (value: isInt value && value >= lowest && value <= highest);

  types = {
    bool = leaf "boolean" isBool;
    int = leaf "integer" isInt;
    float = leaf "floating point number" isFloat;
    number = leaf "number" (value: isInt value || isFloat value);
    ints = {
      positive = leaf "positive integer" (value: isInt value && value > 0);
      unsigned = leaf "unsigned integer" (value: isInt value && value >= 0);
      u8 = between "8 bit unsigned integer" 0 255;
      u16 = between "16 bit unsigned integer" 0 65535;
      u32 = between "32 bit unsigned integer" 0 4294967295;
      between =
        lowest: highest:
        between "integer between ${toString lowest} and ${toString highest}" lowest highest;
    };
    port = between "port" 0 65535;
    str = leaf "string" isString;
    singleLineStr = leaf "string of one line" (
      value: isString value && match "[^\n\r]*\n?" value != null
    );
    nonEmptyStr = leaf "non-empty string" (value: isString value && match "[ \t\n]*" value == null);
    strMatching =
      pattern: leaf "string matching ${pattern}" (value: isString value && match pattern value != null);
    path = leaf "absolute path" (
      value:
      isPath value || lib.isDerivation value || (isString value && builtins.substring 0 1 value == "/")
    );
    pathInStore = leaf "path in the store" (
      value:
      isPath value || lib.isDerivation value || (isString value && lib.hasPrefix "/nix/store/" value)
    );
    package = leaf "package" (value: lib.isDerivation value || isPath value);
    raw = leaf "raw value" (_: true);
    lines = joined "\n" "strings of lines";
    commas = joined "," "strings with commas";
    separatedString = separator: joined separator "strings with separators";
    attrs = type "set" isAttrs (
      _: definitions: builtins.foldl' (left: right: left // right) { } (values definitions)
    );
    anything = type "anything" (_: true) (
      loc: definitions:
      let
        all' = values definitions;
      in
      if all isPlainSet all' then
        mergeSets types.anything loc definitions
      else if all isList all' then
        concatLists all'
      else
        same loc definitions
    );
    unspecified = types.anything;
    enum =
      allowed:
      leaf "one of ${concatStringsSep ", " (map builtins.toJSON allowed)}" (value: elem value allowed);
    nullOr =
      element:
      type "null or ${element.name}" (value: value == null || element.check value) (
        loc: definitions:
        if all (value: value == null) (values definitions) then
          null
        else if elem null (values definitions) then
          throw "the option `${show loc}' is defined both null and not null"
        else
          element.merge loc definitions
      )
      // {
        inherit (element) subOptions;
      };
    listOf =
      element:
      type "list of ${element.name}" isList (
        loc: definitions:
        concatLists (
          map (
            definition:
            concatLists (
              lib.imap1 (
                n: value:
                let
                  one = [
                    {
                      inherit (definition) file;
                      inherit value;
                    }
                  ];
                  place = loc ++ [ "[${toString n}]" ];
                in
                if lib.discharged one == [ ] then [ ] else [ (lib.mergeDefinitions place element one) ]
              ) definition.value
            )
          ) definitions
        )
      )
      // {
        inherit (element) subOptions;
      };
    nonEmptyListOf =
      element:
      let
        list = types.listOf element;
      in
      list // { check = value: list.check value && value != [ ]; };
    attrsOf =
      element:
      type "set of ${element.name}" isPlainSet (mergeSets element)
      // {
        subOptions = lib.mapAttrs (_: option: option) element.subOptions;
      };
    lazyAttrsOf = types.attrsOf;
    either =
      left: right:
      type "${left.name} or ${right.name}" (value: left.check value || right.check value) (
        loc: definitions:
        if all left.check (values definitions) then
          left.merge loc definitions
        else if all right.check (values definitions) then
          right.merge loc definitions
        else
          same loc definitions
      );
    oneOf = alternatives: builtins.foldl' types.either (head alternatives) (builtins.tail alternatives);
    functionTo = element: leaf "function to ${element.name}" isFunction;
    submodule =
      module:
      types.submoduleWith {
        modules = lib.toList module;
        shorthandOnlyDefinesConfig = true;
      };
    submoduleWith =
      {
        modules,
        specialArgs ? { },
        # A set is all definitions, also one with a key `options`, as a mount has.
        shorthandOnlyDefinesConfig ? false,
      }:
      type "submodule" (value: isPlainSet value || isFunction value || isPath value) (
        loc: definitions:
        (lib.evalModules {
          inherit specialArgs;
          prefix = loc;
          modules =
            modules
            ++ [ { _module.args.name = lib.last loc; } ]
            ++ map (definition: {
              inherit (definition) file;
              module =
                if shorthandOnlyDefinesConfig && isPlainSet definition.value then
                  { config = definition.value; }
                else
                  definition.value;
            }) definitions;
        }).config
      )
      // {
        subOptions =
          (lib.evalModules {
            inherit specialArgs;
            modules = modules ++ [ { _module.args.name = "‹name›"; } ];
          }).options;
      };
  };
in
types

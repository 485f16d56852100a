# SPDX-License-Identifier: MIT OR Apache-2.0
# Makes one configuration of modules, more strictly than NixOS: every definition and every default
# is of its option's type, whether somebody reads it or not.
lib:
let
  inherit (builtins)
    all
    attrNames
    concatLists
    concatMap
    concatStringsSep
    deepSeq
    filter
    foldl'
    functionArgs
    isAttrs
    isFunction
    isPath
    isString
    map
    mapAttrs
    sort
    ;
  show = lib.showOption;
  defaultPriority = 100;
  defaultOrder = 1000;

  # The values that conditions leave, without mkIf, mkMerge, mkOrder; each with its priority.
  properties =
    definition:
    let
      value = definition.value;
      kind = if isAttrs value then value._type or null else null;
      of = content: properties (definition // { value = content; });
    in
    if kind == "if" then
      (
        if builtins.isBool value.condition then
          lib.optionals value.condition (of value.content)
        else
          throw "a condition in ${definition.file} is no boolean"
      )
    else if kind == "merge" then
      concatMap of value.contents
    else if kind == "override" then
      map (one: one // { inherit (value) priority; }) (of value.content)
    else if kind == "order" then
      map (one: one // { inherit (value) order; }) (of value.content)
    else
      [
        (
          {
            priority = defaultPriority;
            order = defaultOrder;
          }
          // definition
        )
      ];

  # Only those of the strongest priority, in their order.
  discharged =
    definitions:
    let
      left = concatMap properties definitions;
      strongest = foldl' (least: one: if one.priority < least then one.priority else least) 9999 left;
    in
    sort (a: b: a.order < b.order) (filter (one: one.priority == strongest) left);

  mergeDefinitions =
    loc: type: definitions:
    let
      left = discharged definitions;
      bad = filter (one: !(type.check one.value)) left;
    in
    if bad != [ ] then
      throw "a definition of the option `${show loc}' is not of type `${type.name}': ${
        concatStringsSep ", " (map (one: one.file) bad)
      }"
    else
      type.merge loc left;

  # A set of definitions as plain sets, whose values carry the conditions: what a set defines does
  # not hang on what it decides.
  pushDown =
    definition:
    let
      value = definition.value;
      kind = if isAttrs value then value._type or null else null;
      of = content: pushDown (definition // { value = content; });
      wrapped = wrap: map (one: one // { value = mapAttrs (_: wrap) one.value; });
    in
    if kind == "if" then
      wrapped (lib.mkIf value.condition) (of value.content)
    else if kind == "merge" then
      concatMap of value.contents
    else if kind == "override" then
      wrapped (lib.mkOverride value.priority) (of value.content)
    else if kind == "order" then
      wrapped (lib.mkOrder value.order) (of value.content)
    else if isAttrs value then
      [ definition ]
    else
      throw "${definition.file} defines something that is no set where options are";

  mergeOptions =
    loc: left: right:
    if lib.isOption left || lib.isOption right then
      throw "the option `${show loc}' is declared twice"
    else
      left
      // mapAttrs (
        name: value: if left ? ${name} then mergeOptions (loc ++ [ name ]) left.${name} value else value
      ) right;

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
    }:
    let
      arguments = {
        inherit config lib options;
      }
      // specialArgs;

      # What modules give to modules; looked at only when an argument is used, since modules are
      # known before what they give.
      moduleArguments = foldl' (set: module: set // (module.config._module.args or { })) { } (
        filter (module: isAttrs module.config && !(module.config ? _type)) loaded
      );

      call =
        f:
        f (
          arguments
          // mapAttrs (
            name: _:
            arguments.${name} or moduleArguments.${name}
              or (throw "a module wants the argument `${name}', which nobody gives")
          ) (functionArgs f)
        );

      load =
        file: module:
        let
          value = if isPath module || isString module then import module else module;
          name = if isPath module || isString module then toString module else file;
          body = if isFunction value then call value else value;
          parts =
            if body ? file && body ? module then
              null
            else if body ? config || body ? options then
              let
                unknown = attrNames (
                  removeAttrs body [
                    "config"
                    "options"
                    "imports"
                    "meta"
                    "disabledModules"
                    "key"
                    "_file"
                  ]
                );
              in
              if unknown != [ ] then
                throw "${name} has the attribute `${builtins.head unknown}' beside `config' or `options'"
              else
                body
            else
              {
                config = removeAttrs body [
                  "imports"
                  "_file"
                ];
                imports = body.imports or [ ];
              };
        in
        if parts == null then
          load body.file body.module
        else
          concatMap (load name) (parts.imports or [ ])
          ++ [
            {
              file = body._file or name;
              options = parts.options or { };
              config = parts.config or { };
            }
          ];

      loaded = concatLists (lib.imap1 (n: load "module ${toString n} of ${show prefix}") modules);
      options = foldl' (tree: module: mergeOptions prefix tree module.options) { } loaded;
      definitions = map (module: {
        inherit (module) file;
        value =
          if isAttrs module.config && !(module.config ? _type) then
            removeAttrs module.config [ "_module" ]
          else
            module.config;
      }) loaded;

      below =
        name: sets:
        map (one: one // { value = one.value.${name}; }) (filter (one: one.value ? ${name}) sets);

      value =
        loc: option: found:
        if discharged found != [ ] then
          (option.apply or lib.id) (mergeDefinitions loc option.type found)
        else if option ? default then
          (option.apply or lib.id) (
            mergeDefinitions loc option.type [
              {
                file = "the default of `${show loc}'";
                value = option.default;
              }
            ]
          )
        else
          throw "the option `${show loc}' is used but not defined";

      tree =
        loc: node: found:
        if lib.isOption node then
          value loc node found
        else
          let
            sets = concatMap pushDown found;
          in
          mapAttrs (name: sub: tree (loc ++ [ name ]) sub (below name sets)) node;

      # Every definition has its option, every value its type; true, or an error.
      audited =
        loc: node: found:
        if lib.isOption node then
          (
            if node.internal or false then
              true
            else if node ? type then
              !(node ? default || discharged found != [ ]) || deepSeq (value loc node found) true
            else
              throw "the option `${show loc}' has no type"
          )
        else
          let
            sets = concatMap pushDown found;
            stray = filter (one: removeAttrs one.value (attrNames node) != { }) sets;
            first = builtins.head stray;
          in
          if stray != [ ] then
            throw "the option `${
              show (loc ++ [ (builtins.head (attrNames (removeAttrs first.value (attrNames node)))) ])
            }' does not exist; it is defined in ${first.file}"
          else
            all (name: audited (loc ++ [ name ]) node.${name} (below name sets)) (attrNames node);

      # Lazily: what a module reads of `config` while it is audited is not audited again.
      config = tree prefix options definitions;
    in
    {
      inherit options;
      config = if audited prefix options definitions then config else config;
    };
in
{
  inherit evalModules mergeDefinitions discharged;
}

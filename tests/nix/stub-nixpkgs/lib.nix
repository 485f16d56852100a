# SPDX-License-Identifier: MIT OR Apache-2.0
# Stand-in for the names of nixpkgs' lib that we use.
let
  inherit (builtins)
    all
    any
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    genList
    hasAttr
    head
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    replaceStrings
    stringLength
    substring
    tail
    toString
    ;

  fix =
    f:
    let
      x = f x;
    in
    x;

  lib = fix (self: {
    inherit
      all
      any
      attrNames
      attrValues
      concatLists
      concatMap
      concatStringsSep
      elem
      elemAt
      filter
      foldl'
      genList
      hasAttr
      head
      isAttrs
      isBool
      isFunction
      isInt
      isList
      isString
      length
      listToAttrs
      map
      mapAttrs
      match
      replaceStrings
      stringLength
      substring
      tail
      toString
      ;
    inherit (builtins)
      fromJSON
      toJSON
      readFile
      splitVersion
      compareVersions
      functionArgs
      intersectAttrs
      removeAttrs
      sort
      groupBy
      trace
      warn
      ;

    id = x: x;
    const = x: _: x;
    pipe = foldl' (value: f: f value);
    trivial.release = "25.11";
    version = "25.11";

    # Sets.
    nameValuePair = name: value: { inherit name value; };
    mapAttrs' = f: set: listToAttrs (map (name: f name set.${name}) (attrNames set));
    mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
    filterAttrs =
      keep: set:
      listToAttrs (
        concatMap (
          name:
          if keep name set.${name} then
            [
              {
                inherit name;
                value = set.${name};
              }
            ]
          else
            [ ]
        ) (attrNames set)
      );
    genAttrs = names: f: listToAttrs (map (name: self.nameValuePair name (f name)) names);
    getAttrs = names: set: self.genAttrs names (name: set.${name});
    optionalAttrs = condition: set: if condition then set else { };
    attrByPath =
      path: default: set:
      if path == [ ] then
        set
      else if isAttrs set && hasAttr (head path) set then
        self.attrByPath (tail path) default set.${head path}
      else
        default;
    recursiveUpdate =
      old: new:
      old
      // mapAttrs (
        name: value:
        if isAttrs value && isAttrs (old.${name} or null) then
          self.recursiveUpdate old.${name} value
        else
          value
      ) new;
    isDerivation = value: isAttrs value && (value.type or null) == "derivation";

    # Lists.
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: values: if condition then values else [ ];
    unique = foldl' (seen: value: if elem value seen then seen else seen ++ [ value ]) [ ];
    flatten = value: if isList value then concatMap self.flatten value else [ value ];
    toList = value: if isList value then value else [ value ];
    last = values: elemAt values (length values - 1);
    range = from: to: if from > to then [ ] else genList (n: from + n) (to - from + 1);
    imap0 = f: values: genList (n: f n (elemAt values n)) (length values);
    imap1 = f: values: genList (n: f (n + 1) (elemAt values n)) (length values);
    count = keep: values: length (filter keep values);
    subtractLists = unwanted: filter (value: !(elem value unwanted));
    naturalSort = builtins.sort builtins.lessThan;

    # Texts.
    optionalString = condition: text: if condition then text else "";
    concatMapStringsSep =
      separator: f: values:
      concatStringsSep separator (map f values);
    concatMapStrings = f: values: concatStringsSep "" (map f values);
    concatStrings = concatStringsSep "";
    concatLines = self.concatMapStrings (line: line + "\n");
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    hasSuffix =
      suffix: text:
      let
        from = stringLength text - stringLength suffix;
      in
      from >= 0 && substring from (stringLength suffix) text == suffix;
    hasInfix = infix: text: length (self.splitString infix text) > 1;
    removePrefix =
      prefix: text:
      if self.hasPrefix prefix text then
        substring (stringLength prefix) (stringLength text) text
      else
        text;
    removeSuffix =
      suffix: text:
      if self.hasSuffix suffix text then
        substring 0 (stringLength text - stringLength suffix) text
      else
        text;
    splitString = separator: text: filter isString (builtins.split (self.escapeRegex separator) text);
    stringToCharacters = text: genList (n: substring n 1 text) (stringLength text);
    escape = characters: replaceStrings characters (map (character: "\\${character}") characters);
    escapeRegex = self.escape (self.stringToCharacters "\\[{()^$?*+|.");
    escapeShellArg = value: "'${replaceStrings [ "'" ] [ "'\\''" ] (toString value)}'";
    escapeShellArgs = self.concatMapStringsSep " " self.escapeShellArg;
    boolToString = value: if value then "true" else "false";
    toLower = replaceStrings (self.stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ") (
      self.stringToCharacters "abcdefghijklmnopqrstuvwxyz"
    );
    toUpper = replaceStrings (self.stringToCharacters "abcdefghijklmnopqrstuvwxyz") (
      self.stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    );
    trim = text: head (match "[ \t\n]*(.*[^ \t\n])?[ \t\n]*" text);
    fileContents = path: self.removeSuffix "\n" (builtins.readFile path);
    versionAtLeast = found: least: builtins.compareVersions found least >= 0;
    versionOlder = found: than: builtins.compareVersions found than < 0;
    makeBinPath = self.concatMapStringsSep ":" (package: "${package}/bin");
    getExe = package: "${package}/bin/${package.meta.mainProgram or package.name}";
    getExe' = package: name: "${package}/bin/${name}";
    getBin = package: package;
    getDev = package: package;
    importTOML = path: builtins.fromTOML (builtins.readFile path);
    assertMsg = condition: text: if condition then true else throw text;
    warnIf =
      condition: text: value:
      if condition then builtins.trace "warning: ${text}" value else value;
    maintainers = { };
    licenses = {
      mit.spdxId = "MIT";
      asl20.spdxId = "Apache-2.0";
      gpl2Plus.spdxId = "GPL-2.0-or-later";
    };
    platforms.linux = [
      "x86_64-linux"
      "aarch64-linux"
    ];
    kernel = {
      yes.tristate = "y";
      no.tristate = "n";
      module.tristate = "m";
      freeform = text: { freeform = text; };
    };
    generators.toINI =
      { }:
      sections:
      concatStringsSep "\n" (
        self.mapAttrsToList (
          name: keys:
          "[${name}]\n" + self.concatLines (self.mapAttrsToList (key: value: "${key}=${toString value}") keys)
        ) sections
      );

    # Options and definitions.
    types = import ./types.nix self;
    inherit (import ./modules.nix self)
      evalModules
      mergeDefinitions
      discharged
      ;
    mkOption = option: option // { _type = "option"; };
    mkEnableOption =
      what:
      self.mkOption {
        type = self.types.bool;
        default = false;
        example = true;
        description = "Whether to enable ${what}.";
      };
    mkPackageOption =
      pkgs: name: extra:
      self.mkOption {
        type = self.types.package;
        default = pkgs.${name};
        defaultText = self.literalExpression "pkgs.${name}";
        description = "The ${name} package to use. ${extra.extraDescription or ""}";
      };
    mkIf = condition: content: {
      _type = "if";
      inherit condition content;
    };
    mkMerge = contents: {
      _type = "merge";
      inherit contents;
    };
    mkOverride = priority: content: {
      _type = "override";
      inherit priority content;
    };
    mkForce = self.mkOverride 50;
    mkVMOverride = self.mkOverride 10;
    mkDefault = self.mkOverride 1000;
    mkOptionDefault = self.mkOverride 1500;
    mkOrder = order: content: {
      _type = "order";
      inherit order content;
    };
    mkBefore = self.mkOrder 500;
    mkAfter = self.mkOrder 1500;
    literalExpression = text: {
      _type = "literalExpression";
      inherit text;
    };
    literalMD = text: {
      _type = "literalMD";
      inherit text;
    };
    isOption = value: isAttrs value && (value._type or null) == "option";
    showOption = concatStringsSep ".";
    nixosSystem = throw "nixosSystem is added by the flake";
  });
in
removeAttrs lib [ "nixosSystem" ]

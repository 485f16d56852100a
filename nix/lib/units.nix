# SPDX-License-Identifier: MIT OR Apache-2.0
# What does a unit file of this repository say on a NixOS? Programs get their store paths, nothing else
# changes; what [Install] says is read out, because NixOS does not look at it. Uses builtins alone, so
# that it can be evaluated, and judged, without nixpkgs.
let
  inherit (builtins)
    attrNames
    concatLists
    filter
    foldl'
    head
    isString
    match
    replaceStrings
    split
    substring
    tail
    ;

  lines = text: filter isString (split "\n" text);
  words = text: filter (word: isString word && word != "") (split " +" text);
  reverse = foldl' (found: one: [ one ] ++ found) [ ];

  # The longer path first: /usr/bin/atomix is also how /usr/bin/atomix-config-api begins.
  rewrite =
    programs: text:
    let
      paths = reverse (attrNames programs);
    in
    replaceStrings paths (map (path: programs.${path}) paths) text;

  inSection =
    name: text:
    let
      step =
        state: line:
        if match "\\[.*]" line != null then
          state // { inside = line == "[${name}]"; }
        else if state.inside then
          state // { found = state.found ++ [ line ]; }
        else
          state;
    in
    (foldl' step {
      inside = false;
      found = [ ];
    } (lines text)).found;

  # Every value of a key in a section, in the order of the file.
  values =
    section: key: text:
    concatLists (
      map (
        line:
        let
          found = match "${key}=(.*)" line;
        in
        if found == null then [ ] else found
      ) (inSection section text)
    );

  # Commands that a NixOS has not: what a rewrite forgot.
  strangers =
    text:
    filter (
      line:
      let
        found = match "Exec[A-Za-z]+=[-@:+!|]*(/[^ ]*).*" line;
      in
      found != null && match "/nix/store/.*" (head found) == null
    ) (lines text);
in
{
  inherit rewrite values strangers;

  # [ "timers.target" ] for WantedBy=timers.target.
  wantedBy = text: concatLists (map words (values "Install" "WantedBy" text));

  # "service" of "os-verification.service"; null for a drop-in.
  kind =
    name:
    let
      parts = match "([^/]*)\\.([a-z]+)" name;
    in
    if parts == null then null else head (tail parts);

  # "os-verification" of "os-verification.service".
  stem =
    name:
    let
      parts = match "([^/]*)\\.([a-z]+)" name;
    in
    head parts;

  # The text without the lines that are comments or empty: what two renderers have to agree on.
  meaning = text: filter (line: line != "" && substring 0 1 line != "#") (lines text);
}

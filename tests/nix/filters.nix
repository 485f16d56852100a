# SPDX-License-Identifier: MIT OR Apache-2.0
# The packet filters that systems load, as nft reads them: each configuration's, and what options make of
# it. Behind the tables stands what the operator's switch for SSH does to them.
{
  lib,
  configurations,
  rock64,
  development,
}:
let
  units = import ../../nix/lib/units.nix;
  # "add rule …" of ExecStart=…/nft add rule …
  words =
    key: text:
    map (command: lib.last (builtins.match "[^ ]*/nft (.*)" command) + "\n") (
      units.values "Service" key text
    );
  tables =
    config:
    lib.mapAttrsToList (
      name: table: "table ${table.family} ${name} {\n${table.content}}\n"
    ) config.networking.nftables.tables;
  switch =
    config:
    let
      text = config.atomixos.unitTexts."ssh-wan-toggle.service" or "";
    in
    words "ExecStart" text ++ words "ExecStop" text;
  filter =
    system:
    builtins.unsafeDiscardStringContext (
      lib.concatStrings (tables system.config ++ switch system.config)
    );
  made =
    module:
    filter (rock64 [
      development
      module
    ]);
in
builtins.mapAttrs (_: filter) configurations
// {
  without-ssh-from-the-world = made { atomixos.firewall.sshFromWorld = false; };
  without-a-tunnel = made { atomixos.openvpn.enable = lib.mkForce false; };
  with-other-interfaces = made {
    atomixos.firewall = {
      wanInterface = "wan0";
      lanInterface = "br-lan";
      extraInputRules = [ "iifname \"wan0\" tcp dport { 80, 443 } accept" ];
    };
  };
}

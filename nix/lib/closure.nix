# SPDX-License-Identifier: MIT OR Apache-2.0
# Everything that a system refers to: what a derivation has to be given for it, and the lines of its
# script that write the list to `paths`.
toplevel: {
  attrs = {
    inherit toplevel;
    exportReferencesGraph = [
      "graph"
      toplevel
    ];
  };
  # Of each path the graph says: path, deriver, number of references, references.
  list = ''
    awk 'skip { skip--; next } !path { path = 1; print; next }
         path == 1 { path = 2; next } { skip = $1; path = 0 }' graph | LC_ALL=C sort -u >paths
    grep -qxF "$toplevel" paths
  '';
}

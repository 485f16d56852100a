# SPDX-License-Identifier: MIT OR Apache-2.0
# The book as pages.
{ run, mdbook }:
run "atomix-book" { tools = [ mdbook ]; } ''
  mdbook build ${../docs} --dest-dir "$out"
''

# SPDX-License-Identifier: MIT OR Apache-2.0
# The book as pages. What mdbook only warns of is a fault of ours.
{ run, mdbook }:
run "atomix-book" { tools = [ mdbook ]; } ''
  mdbook build ${../docs} --dest-dir "$out" 2>&1 | tee said
  ! grep -E 'WARN|ERROR' said
''

# SPDX-License-Identifier: MIT OR Apache-2.0
# What a boot partition holds beside its boot.scr, which `atomix` makes.
{
  run,
  kernel,
  initrd,
  deviceTrees,
  # Below `deviceTrees`, as `hardware.deviceTree.name` has it.
  deviceTree,
}:
run "boot-files"
  {
    attrs = {
      inherit
        kernel
        initrd
        deviceTrees
        deviceTree
        ;
    };
  }
  ''
    mkdir "$out"
    cp "$kernel" "$out/Image"
    cp "$initrd" "$out/initrd"
    mkdir -p "$(dirname "$out/dtbs/$deviceTree")"
    cp "$deviceTrees/$deviceTree" "$out/dtbs/$deviceTree"
    chmod -R u=rwX,go=rX "$out"
  ''

# SPDX-License-Identifier: MIT OR Apache-2.0
# U-Boot of the board as board-rock64 wants it: its fragment over the board's own configuration, its
# selector as the only default environment, its patches. Where Kconfig does not take a line of the
# fragment, the build fails: a lost option says nothing by itself.
{
  lib,
  buildUBoot,
  armTrustedFirmware,
  # Directory with atomix.config and selector.env, as `cargo test -p board-rock64` holds it.
  generated,
  patches,
}:
buildUBoot {
  defconfig = "rock64-rk3328_defconfig";
  extraConfig = builtins.readFile (generated + "/atomix.config");
  extraPatches = patches;
  BL31 = "${armTrustedFirmware}/bl31.elf";
  # The name that the fragment has for it, next to .config.
  preConfigure = ''
    cp ${generated + "/selector.env"} selector.env
  '';
  postConfigure = ''
    make olddefconfig
    sh ${./kept-options.sh} ${generated + "/atomix.config"} .config
  '';
  filesToInstall = [
    "idbloader.img"
    "u-boot.itb"
    ".config"
  ];
  extraMeta = {
    description = "U-Boot for the Rock64 with the selector of atomix built in";
    platforms = [ "aarch64-linux" ];
    license = lib.licenses.gpl2Plus;
  };
}

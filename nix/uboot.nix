# SPDX-License-Identifier: MIT OR Apache-2.0
# U-Boot of a board as board-rock64 wants it: its fragment over the board's own configuration, its
# selector as the only default environment, its patches. Where Kconfig does not take a line of the
# fragment, the build fails: a lost option says nothing by itself.
{
  lib,
  buildUBoot,
  # Whose configuration the fragment is laid over.
  defconfig,
  # What the build has that is of use.
  files,
  # The secure monitor that is built in; null: none.
  BL31 ? null,
  # More lines of configuration, and words for make.
  more ? "",
  makeFlags ? [ ],
  # Directory with atomix.config and selector.env, as `cargo test -p board-rock64` holds it.
  generated,
  patches,
}:
buildUBoot (
  {
    inherit defconfig;
    extraConfig = builtins.readFile (generated + "/atomix.config") + more;
    extraMakeFlags = makeFlags;
    extraPatches = patches;
    # The name that the fragment has for it, next to .config.
    preConfigure = ''
      cp ${generated + "/selector.env"} selector.env
    '';
    postConfigure = ''
      make olddefconfig
      sh ${./kept-options.sh} ${generated + "/atomix.config"} .config
    '';
    filesToInstall = files ++ [ ".config" ];
    extraMeta = {
      description = "U-Boot with the selector of atomix built in";
      platforms = [ "aarch64-linux" ];
      license = lib.licenses.gpl2Plus;
    };
  }
  // lib.optionalAttrs (BL31 != null) { inherit BL31; }
)

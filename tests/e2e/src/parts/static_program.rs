// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is there one file of `atomix` that runs on every Linux? Built with musl and linked with nothing of
//! any machine, for the machine that tests. Debian has neither the standard library nor OpenSSL for
//! that C library, so both are compiled too: the first from the compiler's own sources, the second
//! from the crate that carries its release. Rust looks for LLVM's unwinder there; that one Debian has,
//! but for glibc.

use crate::cache::{self, Inputs, part};
use crate::parts::atomix::{from_sources, in_chroot};
use crate::parts::rust_chroot;
use crate::program::Program;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};

const TARGET: &str = "x86_64-unknown-linux-musl";

/// Which OpenSSL, by its checksum.
const OPENSSL: [(&str, &str); 3] = [
    ("Cargo.toml", include_str!("openssl.toml")),
    ("Cargo.lock", include_str!("openssl.lock")),
    ("lib.rs", ""),
];

/// The C compiler: musl's, with the kernel's headers behind musl's own.
const CC: &str = "musl-gcc -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu";

/// Where an unwinder of glibc would say why it ends, that of musl ends.
const UNWINDER: &str = "-Wl,--defsym=__vfprintf_chk=abort -Wl,--defsym=__vsnprintf_chk=abort";

/// What of OpenSSL a program in one file can have: no modules, and no programs and tests of its own.
const MAKE_OPENSSL: &str = "
perl Configure linux-x86_64 no-shared no-module no-dso no-engine no-legacy no-async no-apps no-tests \\
    no-docs --prefix=/target --libdir=lib
make --jobs=\"$(nproc)\" build_libs
make install_dev
cp /usr/lib/llvm-19/lib/libunwind.a /target/lib
printf '#!/bin/sh\\nexec %s \"$@\" %s\\n' \"$CC\" \"$UNWINDER\" >/target/cc
chmod +x /target/cc
";

/// Everything from the places named here; the last library has what a compiler calls for by itself.
const RUST_FLAGS: &str = "-C link-self-contained=no -C relocation-model=static \
    -L native=/mnt/lib -C link-arg=-lgcc";

/// The directory with `atomix`, one file.
///
/// # Errors
/// When it cannot be built.
pub fn atomix() -> Result<PathBuf> {
    let chroot = rust_chroot::of_static_programs()?;
    let openssl = openssl(&chroot)?;
    let kept = cache::root()?.join("target-static");
    let inputs = Inputs::new("static 1").part(&chroot).part(&openssl);
    from_sources("atomix-static", inputs, |sources, dir| {
        let mut cargo = in_chroot(&chroot, sources, &kept)?;
        cargo = cargo.arg("--ro-bind").arg(&openssl).arg("/mnt");
        for (name, value) in [
            // The standard library is compiled by the compiler of its own release.
            ("RUSTC_BOOTSTRAP", "1"),
            ("CC_x86_64_unknown_linux_musl", "/mnt/cc"),
            ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER", "/mnt/cc"),
            ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS", RUST_FLAGS),
            ("X86_64_UNKNOWN_LINUX_MUSL_OPENSSL_DIR", "/mnt"),
            ("X86_64_UNKNOWN_LINUX_MUSL_OPENSSL_STATIC", "1"),
        ] {
            cargo = cargo.args(["--setenv", name, value]);
        }
        cargo
            .args(["cargo", "build", "--locked", "--release", "--target", TARGET])
            // Without its features: they are for programs that unwind.
            .args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=", "-p", "atomix"])
            .run()?;
        fs::copy(kept.join(TARGET).join("release/atomix"), dir.join("atomix"))?;
        Ok(())
    })
}

/// OpenSSL's headers and static libraries, and what compiles and links with them.
fn openssl(chroot: &Path) -> Result<PathBuf> {
    let mut inputs =
        Inputs::new("openssl 1").part(chroot).text(MAKE_OPENSSL).text(CC).text(UNWINDER);
    for (_, text) in OPENSSL {
        inputs = inputs.text(text);
    }
    part("openssl-static", inputs, |dir| {
        let sources = dir.join("sources");
        fs::create_dir(&sources)?;
        for (name, text) in OPENSSL {
            fs::write(sources.join(name), text)?;
        }
        let cargo = in_chroot(chroot, &sources, dir)?;
        let metadata = cargo.args(["cargo", "metadata", "--locked", "--format-version=1"]);
        let metadata: serde_json::Value = serde_json::from_str(&metadata.output()?)?;
        let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
        let manifest = packages.iter().find(|package| package["name"] == "openssl-src");
        let manifest = manifest.and_then(|package| package["manifest_path"].as_str());
        let inside = Path::new(manifest.context("cargo did not fetch openssl-src")?);
        in_chroot(chroot, &sources, dir)?
            .args(["cp", "--recursive"])
            .arg(inside.with_file_name("openssl"))
            .arg("/src")
            .run()?;
        in_chroot(chroot, &sources, dir)?
            .args([
                "--chdir",
                "/src/openssl",
                "--setenv",
                "CC",
                CC,
                "--setenv",
                "UNWINDER",
                UNWINDER,
            ])
            .args(["sh", "-euc", MAKE_OPENSSL])
            .run()?;
        Program::new("rm").arg("-rf").arg(&sources).run()
    })
}

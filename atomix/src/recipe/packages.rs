// SPDX-License-Identifier: MIT OR Apache-2.0
//! How do Debian's packages become a tree? apt resolves, fetches and verifies them with a state of
//! its own, and dpkg-deb unpacks them: neither asks for root, nor for the machine they are for.

use crate::recipe::components::Unpacked;
use crate::recipe::model::{Debian, PackageName};
use crate::recipe::{RecipeError, tree};
use programs::ProgramCall;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Who must have signed the index, when the recipe names nobody.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Debian's name of the boards' processors.
const ARCHITECTURE: &str = "arm64";
/// Longest answer that is kept.
const STDOUT_MAX_BYTES: usize = 1 << 20;
/// A mirror that needs longer for one act is dead.
const RUN_LIMIT: Duration = Duration::from_secs(3600);
/// What merges `/bin` and `/usr/bin`: unpacked first, so that others follow its links.
const FIRST: &str = "base-files_";

/// What a tool printed, once it ended well.
pub fn output_of(act: &'static str, call: ProgramCall<'_>) -> Result<String, RecipeError> {
    let failed = |source| RecipeError::Tool { act, source };
    let name = call.name();
    let call = call.env("LC_ALL", "C").in_our_group().timeout(RUN_LIMIT);
    let (end, stdout) = programs::capture(call, STDOUT_MAX_BYTES, &|| None).map_err(failed)?;
    end.check(&name).map_err(failed)?;
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// The index of a suite, beside the machine's own.
pub struct Apt {
    config: PathBuf,
    dir: PathBuf,
}

impl Apt {
    /// Fetches the index into `dir` and verifies who signed it.
    pub fn of(debian: &Debian, beside: &Path, dir: &Path) -> Result<Self, RecipeError> {
        let keyring = match &debian.keyring {
            Some(own) => tree::beside(beside, own.relative())?,
            None => PathBuf::from(KEYRING),
        };
        for inner in [
            "state/lists/partial",
            "cache/archives/partial",
            "etc/apt.conf.d",
            "etc/preferences.d",
            "debs",
        ] {
            tree::make_dir(&dir.join(inner))?;
        }
        // A copy under a name that a source line can have.
        let trusted = dir.join("keyring.gpg");
        tree::put_file(dir, Path::new("keyring.gpg"), &keyring, 0o644)?;
        let text = dir.display().to_string();
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte)) {
            return Err(RecipeError::File {
                path: dir.to_owned(),
                what: "is a name that apt's settings cannot have".to_owned(),
                hint: "set TMPDIR to a directory of letters, digits and `/._-+`",
            });
        }
        let config = dir.join("apt.conf");
        // An index that its archive has stopped vouching for may lack a year of fixes.
        let must_be_valid = !debian.snapshot;
        tree::write(
            &config,
            &format!(
                "Dir::State \"{text}/state\";\nDir::State::status \"{text}/status\";\n\
                 Dir::Cache \"{text}/cache\";\nDir::Etc \"{text}/etc\";\n\
                 APT::Architecture \"{ARCHITECTURE}\";\nAPT::Architectures {{ \"{ARCHITECTURE}\"; }};\n\
                 APT::Sandbox::User \"\";\nAPT::Update::Error-Mode \"any\";\n\
                 Acquire::Languages \"none\";\nAcquire::Check-Date \"true\";\n\
                 Acquire::Check-Valid-Until \"{must_be_valid}\";\n\
                 Acquire::Retries \"2\";\nAPT::Install-Recommends \"false\";\n"
            ),
        )?;
        tree::write(&dir.join("status"), "")?;
        let mirror = match &debian.mirror {
            Some(mirror) => mirror.as_ref().to_owned(),
            None => own_mirror()?,
        };
        let (signer, suite) = (trusted.display(), debian.suite.as_ref());
        let line = format!("deb [signed-by={signer}] {mirror} {suite} main\n");
        tree::write(&dir.join("etc/sources.list"), &line)?;
        let apt = Self { config, dir: dir.to_owned() };
        output_of("fetch the index of packages", apt.call("apt-get").args(["update", "-qq"]))?;
        Ok(apt)
    }

    fn call(&self, program: &str) -> ProgramCall<'_> {
        ProgramCall::new(program).env("APT_CONFIG", &self.config)
    }

    /// The archives of these packages and of all that they need, in the order of unpacking.
    pub fn fetch(&self, packages: &[PackageName]) -> Result<Vec<PathBuf>, RecipeError> {
        let install = ["install", "-qq", "--no-install-recommends", "--simulate", "--"];
        let asked = self.call("apt-get").args(install).args(packages.iter().map(AsRef::as_ref));
        let planned = output_of("find the packages and what they need", asked)?;
        let installed = planned.lines().filter_map(|line| line.strip_prefix("Inst "));
        let names: Vec<&str> =
            installed.filter_map(|rest| rest.split_whitespace().next()).collect();
        let mut found = self.download("debs", &names)?;
        if names.is_empty() || found.len() != names.len() {
            let what = format!("apt planned {} packages and fetched {}", names.len(), found.len());
            let hint = "run it again; report it when it is so again";
            return Err(RecipeError::Answer { what, hint });
        }
        found.sort_by_key(|path| !path.file_name().is_some_and(|name| starts(name, FIRST)));
        Ok(found)
    }

    /// Fetches these archives alone into a directory below ours, ordered by name. An install would
    /// leave those of a `file:` mirror where they are.
    fn download(&self, inner: &str, names: &[&str]) -> Result<Vec<PathBuf>, RecipeError> {
        let debs = self.dir.join(inner);
        tree::make_dir(&debs)?;
        // apt downloads into the directory it stands in.
        let call = self.call("env").arg("-C").arg(&debs).args(["apt-get", "download", "-qq", "--"]);
        output_of("fetch the packages", call.args(names))?;
        tree::named(&debs, "", ".deb")
    }

    /// The archive of the kernel alone: what it asks for beside itself makes initrds.
    pub fn fetch_kernel(&self, package: &PackageName) -> Result<PathBuf, RecipeError> {
        let asked = self.call("apt-cache").args(["depends", "--", package.as_ref()]);
        let depends = output_of("look for the kernel", asked)?;
        let mut needed = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        let kernel = needed.find(|name| name.starts_with("linux-image-"));
        let fetched = self.download("kernel", &[kernel.unwrap_or(package.as_ref())])?;
        fetched.into_iter().next().ok_or_else(|| RecipeError::Answer {
            what: format!("apt fetched no kernel for {}", package.as_ref()),
            hint: "name a package that has a kernel, as linux-image-arm64",
        })
    }
}

fn starts(name: &OsStr, with: &str) -> bool {
    name.to_string_lossy().starts_with(with)
}

/// The mirror that this machine's apt uses.
fn own_mirror() -> Result<String, RecipeError> {
    let call = ProgramCall::new("apt-get").args(["indextargets", "--format", "$(SITE)"]);
    let listed =
        output_of("ask apt for its mirror", call.args(["Created-By: Packages", "Origin: Debian"]))?;
    let found = listed.lines().find(|site| site.ends_with("/debian"));
    found.map(str::to_owned).ok_or_else(|| RecipeError::Answer {
        what: "apt knows no mirror of Debian on this machine".to_owned(),
        hint: "give `mirror` in the recipe, or run `apt-get update`",
    })
}

/// Unpacks an archive into the tree; its entry for dpkg's status, and what the list of components says.
/// It is unpacked alone, in `scratch`, and merged then: tar would follow the links that earlier packages
/// have left, and write wherever they lead on this machine.
pub fn unpack(
    archive: &Path,
    root: &Path,
    scratch: &Path,
) -> Result<(String, Unpacked), RecipeError> {
    tree::make_dir(scratch)?;
    let call = ProgramCall::new("dpkg-deb").arg("-x").arg(archive).arg(scratch);
    output_of("unpack a package", call)?;
    let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    tree::merge(scratch, root, &name)?;
    tree::remove_all(scratch)?;
    let control = output_of("read a package", ProgramCall::new("dpkg-deb").arg("-f").arg(archive))?;
    let field = |name: &str| {
        let mut values =
            control.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        values.next().map(str::to_owned).ok_or_else(|| RecipeError::Answer {
            what: format!("{} has no field {name}", archive.display()),
            hint: "the archive is no package of Debian",
        })
    };
    let unpacked = Unpacked {
        name: field("Package")?,
        version: field("Version")?,
        architecture: field("Architecture")?,
        sha256: sha256(archive)?,
    };
    // Never configured: nothing on the device may believe that its scripts ran.
    let entry = format!("{}\nStatus: install ok unpacked\n", control.trim_end());
    Ok((entry, unpacked))
}

/// The hash of a file, in hexadecimal digits.
pub fn sha256(path: &Path) -> Result<String, RecipeError> {
    let said = output_of("hash a file", ProgramCall::new("sha256sum").arg("--").arg(path))?;
    // A name with a backslash has one before the digits.
    let digits = said.trim_start_matches('\\').split_whitespace().next().unwrap_or_default();
    Ok(digits.to_owned())
}

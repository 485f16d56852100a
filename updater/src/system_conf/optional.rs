// SPDX-License-Identifier: MIT OR Apache-2.0
//! The groups that may be absent.

use crate::SystemConfError;
use crate::conf_group::{ConfGroup, Toggle};
use bundle::{CrlCheck, KeyringOptions, Purpose, TrustAnchors};
use std::path::{Path, PathBuf};
use storage::ByteLen;

/// The group `[keyring]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringSection {
    /// File of trusted certificates.
    pub path: Option<PathBuf>,
    /// Directory of trusted certificates.
    pub directory: Option<PathBuf>,
    /// Refuse what revocation lists name.
    pub check_crl: bool,
    /// Trust a chain that does not end at a root.
    pub allow_partial_chain: bool,
    /// Judge certificates by the time in the signature.
    pub use_bundle_signing_time: bool,
    /// Purpose the signer's certificate must have.
    pub check_purpose: Option<String>,
    /// Common names of allowed signers; an empty list allows none.
    pub allowed_signer_cns: Option<Vec<String>>,
}

impl KeyringSection {
    /// How the keyring judges: what this section says, for signers of this `purpose`, with the
    /// certificates of `directory` beside those of the file.
    #[must_use]
    pub fn options(&self, purpose: Purpose, directory: Option<PathBuf>) -> KeyringOptions {
        let crl_check = if self.check_crl { CrlCheck::WholeChain } else { CrlCheck::Ignore };
        let trust_anchors = if self.allow_partial_chain {
            TrustAnchors::AnyInKeyring
        } else {
            TrustAnchors::RootsOnly
        };
        let allowed_signer_cns = self.allowed_signer_cns.clone();
        KeyringOptions { crl_check, trust_anchors, purpose, allowed_signer_cns, directory }
    }
}

pub(super) fn keyring(group: &ConfGroup, base: &Path) -> Result<KeyringSection, SystemConfError> {
    group.only(&[
        "path",
        "directory",
        "check-crl",
        "allow-partial-chain",
        "use-bundle-signing-time",
        "check-purpose",
        "allowed-signer-cns",
    ])?;
    Ok(KeyringSection {
        path: group.path("path", base)?,
        directory: group.path("directory", base)?,
        check_crl: group.boolean("check-crl", Toggle::Off)?,
        allow_partial_chain: group.boolean("allow-partial-chain", Toggle::Off)?,
        use_bundle_signing_time: group.boolean("use-bundle-signing-time", Toggle::Off)?,
        check_purpose: group.word("check-purpose")?,
        allowed_signer_cns: group
            .text("allowed-signer-cns")
            .map(|_| group.list("allowed-signer-cns")),
    })
}

/// The group `[casync]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CasyncSection {
    /// Chunk store; may be a URL.
    pub storepath: Option<String>,
    /// Directory for temporary files.
    pub tmppath: Option<String>,
    /// Arguments for the program.
    pub install_args: Option<String>,
    /// Use `desync`.
    pub use_desync: bool,
}

pub(super) fn casync(group: &ConfGroup) -> Result<CasyncSection, SystemConfError> {
    group.only(&["storepath", "tmppath", "install-args", "use-desync"])?;
    Ok(CasyncSection {
        storepath: group.word("storepath")?,
        tmppath: group.word("tmppath")?,
        install_args: group.word("install-args")?,
        use_desync: group.boolean("use-desync", Toggle::Off)?,
    })
}

/// The group `[streaming]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamingSection {
    /// User of the unprivileged helper.
    pub sandbox_user: String,
    /// Client certificate; a path or a PKCS#11 URL.
    pub tls_cert: Option<String>,
    /// Client key; a path or a PKCS#11 URL.
    pub tls_key: Option<String>,
    /// Trusted servers' authority.
    pub tls_ca: Option<String>,
    /// Facts sent as headers.
    pub send_headers: Vec<String>,
}

const HEADERS: [(&str, &str); 7] = [
    ("boot-id", "boot-id"),
    ("transaction-id", "transaction-id"),
    ("machine-id", "machine-id"),
    ("system-version", "system-version"),
    ("serial", "serial"),
    ("variant", "variant"),
    ("uptime", "uptime"),
];

pub(super) fn streaming(group: &ConfGroup) -> Result<StreamingSection, SystemConfError> {
    group.only(&["sandbox-user", "tls-cert", "tls-key", "tls-ca", "send-headers"])?;
    let headers = group.choices("send-headers", &HEADERS, "a list of header names RAUC knows")?;
    Ok(StreamingSection {
        sandbox_user: group.word("sandbox-user")?.unwrap_or_else(|| "nobody".to_owned()),
        tls_cert: group.word("tls-cert")?,
        tls_key: group.word("tls-key")?,
        tls_ca: group.word("tls-ca")?,
        send_headers: headers.into_iter().map(str::to_owned).collect(),
    })
}

/// The group `[polling]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollingSection {
    /// Where bundles are looked for.
    pub url: String,
    /// Seconds between looks.
    pub interval_secs: u64,
    /// Most seconds between looks after failures.
    pub max_interval_secs: u64,
    /// What makes a bundle a candidate.
    pub candidate_criteria: Vec<String>,
    /// What makes a candidate be installed.
    pub install_criteria: Vec<String>,
    /// What makes the system reboot.
    pub reboot_criteria: Vec<String>,
    /// How it reboots.
    pub reboot_cmd: String,
    /// Files whose presence stops polling.
    pub inhibit_files: Vec<PathBuf>,
}

const DAY_SECS: u64 = 86_400;
const MIN_INTERVAL_SECS: u64 = 60;

pub(super) fn polling(group: &ConfGroup) -> Result<PollingSection, SystemConfError> {
    group.only(&[
        "url",
        "interval-sec",
        "max-interval-sec",
        "candidate-criteria",
        "install-criteria",
        "reboot-criteria",
        "reboot-cmd",
        "inhibit-files",
    ])?;
    let url = group.required("url")?;
    if !url.starts_with("http") {
        return Err(group.invalid("url", "an address that begins with http"));
    }
    let interval_secs = group.number("interval-sec")?.unwrap_or(DAY_SECS);
    if interval_secs < MIN_INTERVAL_SECS {
        return Err(group.invalid("interval-sec", "at least 60"));
    }
    let max_interval_secs =
        group.number("max-interval-sec")?.unwrap_or(interval_secs.saturating_mul(4));
    if max_interval_secs <= interval_secs {
        return Err(group.invalid("max-interval-sec", "more than interval-sec"));
    }
    let words = |key, known: &[&str], default: &[&str]| {
        let list = group.list(key);
        match list.iter().all(|item| known.contains(&item.as_str())) {
            true if list.is_empty() => Ok(default.iter().map(|&item| item.to_owned()).collect()),
            true => Ok(list),
            false => Err(group.invalid(key, "a list of criteria RAUC knows")),
        }
    };
    Ok(PollingSection {
        url,
        interval_secs,
        max_interval_secs,
        candidate_criteria: words(
            "candidate-criteria",
            &["higher-semver", "different-version"],
            &["higher-semver"],
        )?,
        install_criteria: words(
            "install-criteria",
            &["always", "higher-semver", "different-version"],
            &[],
        )?,
        reboot_criteria: words(
            "reboot-criteria",
            &["updated-slots", "updated-artifacts", "failed-update"],
            &[],
        )?,
        reboot_cmd: group.word("reboot-cmd")?.unwrap_or_else(|| "reboot".to_owned()),
        inhibit_files: group.list("inhibit-files").into_iter().map(PathBuf::from).collect(),
    })
}

/// The group `[encryption]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptionSection {
    /// Private key that decrypts bundles: a file or a `pkcs11:` URI.
    pub key: Option<PathBuf>,
    /// Its certificate, likewise.
    pub cert: Option<PathBuf>,
}

pub(super) fn encryption(
    group: &ConfGroup,
    base: &Path,
) -> Result<EncryptionSection, SystemConfError> {
    group.only(&["key", "cert"])?;
    Ok(EncryptionSection {
        key: group.path_or_token("key", base)?,
        cert: group.path_or_token("cert", base)?,
    })
}

pub(super) fn autoinstall(
    group: &ConfGroup,
    base: &Path,
) -> Result<Option<PathBuf>, SystemConfError> {
    group.only(&["path"])?;
    group.path("path", base)
}

/// The group `[handlers]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandlersSection {
    /// Prints facts about the system.
    pub system_info: Option<PathBuf>,
    /// Runs before an install.
    pub pre_install: Option<PathBuf>,
    /// Runs after an install.
    pub post_install: Option<PathBuf>,
    /// Answers the boot questions for `bootloader=custom`.
    pub bootloader_custom_backend: Option<PathBuf>,
}

pub(super) fn handlers(
    group: Option<&ConfGroup>,
    base: &Path,
) -> Result<HandlersSection, SystemConfError> {
    let Some(group) = group else { return Ok(HandlersSection::default()) };
    group.only(&["system-info", "pre-install", "post-install", "bootloader-custom-backend"])?;
    Ok(HandlersSection {
        system_info: group.path("system-info", base)?,
        pre_install: group.path("pre-install", base)?,
        post_install: group.path("post-install", base)?,
        bootloader_custom_backend: group.path("bootloader-custom-backend", base)?,
    })
}

/// How an event log file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people, several lines each.
    #[default]
    Readable,
    /// Text, one line each.
    Short,
    /// JSON, one line each.
    Json,
    /// JSON, indented.
    JsonPretty,
}

/// A group `[log.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLogSection {
    /// The file.
    pub filename: PathBuf,
    /// Its form.
    pub format: LogFormat,
    /// Which kinds of events; `all` is all.
    pub events: Vec<String>,
    /// Size at which it is rotated; zero is never.
    pub max_size: ByteLen,
    /// How many rotated files are kept.
    pub max_files: u64,
}

pub(super) fn event_log(
    group: &ConfGroup,
    data_directory: Option<&Path>,
) -> Result<EventLogSection, SystemConfError> {
    group.only(&["filename", "format", "events", "max-size", "max-files"])?;
    let filename = PathBuf::from(group.required("filename")?);
    let filename = match (filename.is_absolute(), data_directory) {
        (true, _) => filename,
        (false, Some(dir)) => dir.join(filename),
        (false, None) => {
            return Err(group.invalid("filename", "absolute, and there is no data-directory"));
        }
    };
    let formats = [
        ("readable", LogFormat::Readable),
        ("short", LogFormat::Short),
        ("json", LogFormat::Json),
        ("json-pretty", LogFormat::JsonPretty),
    ];
    let format = group.choice("format", &formats, "readable, short, json or json-pretty")?;
    let kinds = ["all", "boot", "mark", "install", "service", "writeslot"].map(|k| (k, k));
    let events = match group.text("events") {
        None => vec!["all"],
        Some(_) => group.choices("events", &kinds, "a list of event kinds RAUC knows")?,
    };
    if events.len() > 1 && events.contains(&"all") {
        return Err(group.invalid("events", "all alone, or a list without it"));
    }
    let max_files = group.number("max-files")?.unwrap_or(10);
    if !(1..=1000).contains(&max_files) {
        return Err(group.invalid("max-files", "between 1 and 1000"));
    }
    Ok(EventLogSection {
        filename,
        format: format.unwrap_or_default(),
        events: events.into_iter().map(str::to_owned).collect(),
        max_size: group.size("max-size")?.unwrap_or(ByteLen::ZERO),
        max_files,
    })
}

/// How an artifact repository keeps its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositoryType {
    /// Single files.
    Files,
    /// Directory trees.
    Trees,
}

/// A group `[artifacts.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactsSection {
    /// Directory of the repository.
    pub path: PathBuf,
    /// How it keeps its files.
    pub repository_type: RepositoryType,
    /// Text for people.
    pub description: Option<String>,
}

pub(super) fn artifacts(
    group: &ConfGroup,
    base: &Path,
) -> Result<ArtifactsSection, SystemConfError> {
    group.only(&["path", "type", "description", "parent-class"])?;
    if group.text("parent-class").is_some() {
        return Err(group.invalid("parent-class", "supported, by RAUC neither"));
    }
    let path = base.join(group.required("path")?);
    group.required("type")?;
    let types = [("files", RepositoryType::Files), ("trees", RepositoryType::Trees)];
    // As in a RAUC without that option: refused here, before anything is installed or listed.
    let expected = "one of files, trees (of RAUC, too, only a build for it takes composefs)";
    let repository_type =
        group.choice("type", &types, expected)?.ok_or_else(|| group.invalid("type", expected))?;
    Ok(ArtifactsSection {
        path,
        repository_type,
        description: group.text("description").map(str::to_owned),
    })
}

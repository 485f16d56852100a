// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this value one that its directive can have here, and does it reach the host?

use super::Refused;
use super::host_path::{CONFIG_TOKEN, FILES_TOKEN, HostPlace, host_place};
use super::podman_args::check_podman_args;
use super::ports::check_published;
use super::relations::{Reach, check_relation};
use super::remote::{check_download, is_remote_place};
use super::words::words;
use crate::model::{Declared, UnitKind};

/// How a directive reads its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Any text of one line.
    Text,
    /// One or more words without quotes.
    Words,
    /// A name: a letter or digit, then these and `_`, `.`, `-`. Podman would read one that begins
    /// with `-` as an option.
    Name,
    /// A time zone, `local` or as in `Europe/Vienna`.
    Zone,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Number,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// An address, IPv4 or IPv6.
    Address,
    /// An image, or `NAME.build` of this file.
    Image,
    /// The name that an image gets.
    Tag,
    /// A port of the host for one of the container.
    Port,
    /// `SOURCE:TARGET:OPTIONS`.
    Volume,
    /// `type=…,source=…,target=…`.
    Mount,
    /// `/dev/…`, a device of the host.
    Device,
    /// A file or directory of the host.
    HostPath,
    /// A file of the host, or one beside the units.
    EnvironmentFile,
    /// What a build is made of: a file or directory of the host, or an address.
    BuildSource,
    /// What a volume's file system is made of: a file or directory of the host, one of another
    /// machine, or `tmpfs`.
    VolumeSource,
    /// Options of a mount. Some name a file or device of the host.
    VolumeOptions,
    /// Options of a driver or log, no file of the host among them.
    Options,
    /// A label of a container.
    Label,
    /// A note to the runtime, none that changes what it does.
    Annotation,
    /// Groups by name or number.
    Group,
    /// A user namespace.
    UserNamespace,
    /// A secret of Podman's.
    Secret,
    /// A setting of the kernel for the container alone.
    Sysctl,
    /// Units.
    Units(Reach),
    /// Arguments of `podman run` out of a list.
    PodmanArgs,
    /// Set by the renderer, whatever is given.
    Forced,
}

/// Where a value stands.
pub(crate) struct Context<'c> {
    pub kind: UnitKind,
    /// Whether what uses this unit is privileged, so that it may reach the host.
    pub privileged: bool,
    /// Whether the unit is a volume whose type is a file system of another machine.
    pub remote: bool,
    pub declared: &'c Declared,
}

/// A value that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// And stays within the container.
    Inside,
    /// And gives the container something of the host.
    HostAccess,
}

type Verdict = Result<Accepted, Refused>;

/// Judges one value, as it stands in the file.
pub(crate) fn check_value(kind: ValueKind, value: &str, context: &Context<'_>) -> Verdict {
    use Accepted::Inside;
    let inside = |good: bool, wanted: &str| {
        if good { Ok(Inside) } else { Err(Refused::new(format!("is not {wanted}"), "")) }
    };
    // systemd drops space around a value: a name is none other with it.
    let word = value.trim_matches([' ', '\t']);
    match kind {
        ValueKind::Text | ValueKind::Forced => Ok(Inside),
        ValueKind::Words => inside(is_words(value), "a word or a few, without quotes"),
        ValueKind::Name => inside(is_name(word), "a name of letters, digits, _, . and -"),
        ValueKind::Zone => inside(word.split('/').all(is_name), "a time zone"),
        ValueKind::Boolean => inside(is_boolean(value), "true or false"),
        ValueKind::Number => inside(is_number(value), "a whole number"),
        ValueKind::OneOf(words) => {
            inside(words.contains(&value), &format!("one of: {}", words.join(", ")))
        }
        ValueKind::Address => {
            inside(word.parse::<std::net::IpAddr>().is_ok(), "an address without a zone")
        }
        ValueKind::Image => check_image(value, context.declared),
        ValueKind::Tag => check_tag(word),
        ValueKind::Port => check_published(value).map(|()| Inside),
        ValueKind::Volume => check_volume(value, context),
        ValueKind::Mount => check_mount(value, context),
        ValueKind::Device => check_device(value, context),
        // A file system in memory has no device; by custom it is given its own name.
        ValueKind::VolumeSource if value == "tmpfs" => Ok(Inside),
        ValueKind::VolumeSource if context.remote && is_remote_place(value) => Ok(Inside),
        // Quadlet looks for it in the directory of the units.
        ValueKind::EnvironmentFile if is_below(value) => Ok(Inside),
        ValueKind::BuildSource => match check_download(value) {
            Some(verdict) => verdict.map(|()| Inside),
            None => reach_path(value, context, false),
        },
        ValueKind::HostPath | ValueKind::EnvironmentFile | ValueKind::VolumeSource => {
            reach_path(value, context, false)
        }
        ValueKind::VolumeOptions => check_mount_options(value, context),
        ValueKind::Options => refuse_options(value, &["path="]),
        ValueKind::Annotation => refuse_options(value, &RUNTIME_NOTES),
        // `podman auto-update` restarts the unit that this label names.
        ValueKind::Label => refuse_options(value, &["PODMAN_SYSTEMD_UNIT"]),
        ValueKind::Group => check_group(value),
        ValueKind::UserNamespace => check_user_namespace(value, context),
        ValueKind::Secret => check_secret(value, context),
        ValueKind::Sysctl => check_sysctl(value, context),
        ValueKind::Units(reach) => check_relation(value, reach, context.declared).map(|()| Inside),
        ValueKind::PodmanArgs => check_podman_args(value).map(|()| Accepted::HostAccess),
    }
}

/// The tokens count as the plain paths that they become.
fn is_words(value: &str) -> bool {
    let value = value.replace(CONFIG_TOKEN, "/").replace(FILES_TOKEN, "/");
    let good = |c: char| c.is_ascii_alphanumeric() || "_.,:;/@+-=~[] ".contains(c);
    !value.trim().is_empty() && value.chars().all(good)
}

fn is_name(value: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-+".contains(c);
    value.starts_with(|c: char| c.is_ascii_alphanumeric()) && value.chars().all(good)
}

fn is_boolean(value: &str) -> bool {
    let words = ["true", "false", "yes", "no", "on", "off", "1", "0"];
    words.contains(&value.to_ascii_lowercase().as_str())
}

fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// `registry/name:tag@digest`; nothing that Podman would take for an option or for a directory
/// or archive of the host.
fn is_image_name(value: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "_./:@+-".contains(c);
    value.starts_with(|c: char| c.is_ascii_alphanumeric()) && value.chars().all(good)
}

/// Ways to name an image that read files of the host.
const LOCAL_TRANSPORTS: [&str; 10] = [
    "atomic:",
    "containers-storage:",
    "dir:",
    "docker-archive:",
    "docker-daemon:",
    "oci:",
    "oci-archive:",
    "ostree:",
    "sif:",
    "tarball:",
];

/// Buildah writes an image whose name begins so into that file or directory, or straight to a
/// registry.
fn check_tag(value: &str) -> Verdict {
    let refused = |problem, hint| Err(Refused::new(problem, hint));
    if !is_image_name(value) {
        return refused("is not a name that an image can have", "");
    }
    if LOCAL_TRANSPORTS.iter().chain(&["docker:"]).any(|transport| value.starts_with(transport)) {
        return refused("is a place to write the image to", "for example localhost/tool:1");
    }
    Ok(Accepted::Inside)
}

fn check_image(value: &str, declared: &Declared) -> Verdict {
    let value = value.trim();
    let refused = |problem, hint| Err(Refused::new(problem, hint));
    if !is_image_name(value) {
        return refused("is no image", "for example registry.example/shop/web:1.4");
    }
    if LOCAL_TRANSPORTS.iter().any(|transport| value.starts_with(transport)) {
        return refused("is a file or directory of the host", "name an image of a registry");
    }
    if value.ends_with(".build") && !declared.has_unit(value) {
        return refused("names a build that this file lacks", "declare [containers.build.NAME]");
    }
    if value.ends_with(".image") {
        return refused("names an image unit", "this file cannot declare one; name the image");
    }
    Ok(Accepted::Inside)
}

/// A path of the host, by whoever may have it.
fn reach_path(path: &str, context: &Context<'_>, read_only: bool) -> Verdict {
    // Quadlet looks for a build's own files below its directory.
    let relative = context.kind == UnitKind::Build && is_below(path);
    if relative {
        return Ok(Accepted::Inside);
    }
    match host_place(path)? {
        HostPlace::Data => return Ok(Accepted::Inside),
        HostPlace::ReadOnly if read_only => return Ok(Accepted::Inside),
        HostPlace::ReadOnly | HostPlace::System if context.privileged => {
            return Ok(Accepted::HostAccess);
        }
        HostPlace::ReadOnly => {
            return Err(Refused::new("may only be read", "add :ro to it"));
        }
        HostPlace::System => {}
    }
    let who = match context.kind {
        UnitKind::Container => "a container with privileged = false",
        UnitKind::Network | UnitKind::Volume | UnitKind::Build => {
            "a unit that not only privileged containers use"
        }
    };
    Err(Refused::new(
        format!("reaches the system's files by {who}: {path:?}"),
        "use ${FILES_DIR}, a volume, or a directory below /data/containers, /srv, /mnt or /media",
    ))
}

/// A relative path that leads down.
fn is_below(path: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    path.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.')
        && path.chars().all(good)
        && !path.split('/').any(|part| part == "..")
}

/// Each option that has a path in it names a file or device of the host (`journal_path=`,
/// `credentials=`, `device=`), but for the directory that a server's share begins at.
fn check_mount_options(value: &str, context: &Context<'_>) -> Verdict {
    if !is_words(value) {
        return Err(Refused::new("is not a word or a few, without quotes", ""));
    }
    let mut accepted = Accepted::Inside;
    for option in value.split([',', ' ']) {
        let (name, path) = option.split_once('=').unwrap_or(("", option));
        if option.contains("..") {
            return Err(Refused::new(format!("has .. in an option: {option:?}"), ""));
        }
        if path.contains(['/', '$']) && name != "prefixpath" {
            let reached = reach_path(path, context, false)?;
            accepted = if reached == Accepted::HostAccess { reached } else { accepted };
        }
    }
    Ok(accepted)
}

fn check_volume(value: &str, context: &Context<'_>) -> Verdict {
    let mut fields = value.split(':');
    let source = fields.next().unwrap_or_default();
    let Some(target) = fields.next() else { return check_anonymous(source) };
    let options = fields.next().unwrap_or_default();
    if fields.next().is_some() {
        return Err(Refused::new("has more than three parts", "SOURCE:TARGET:OPTIONS"));
    }
    let hint = "SOURCE:TARGET or SOURCE:TARGET:OPTIONS";
    if !target.starts_with('/') {
        return Err(Refused::new("has a target that is no absolute path", hint));
    }
    if options.contains([' ', '/', '"', '\'']) {
        return Err(Refused::new("has a path, a space or a quote in its options", hint));
    }
    let read_only = options.split(',').any(|option| option == "ro");
    check_source(source, context, read_only)
}

fn check_anonymous(target: &str) -> Verdict {
    if target.starts_with('/') {
        return Ok(Accepted::Inside);
    }
    Err(Refused::new("has no target", "SOURCE:TARGET, for example data:/var/lib/web"))
}

/// A path, or a volume by its name.
fn check_source(source: &str, context: &Context<'_>, read_only: bool) -> Verdict {
    if source.starts_with('.') && is_below(source) {
        // Quadlet looks for it in the directory of the units, which is the system's.
        return if context.privileged {
            Ok(Accepted::HostAccess)
        } else {
            let hint = "use ${FILES_DIR}, or a volume";
            Err(Refused::new("lies beside the units, in a directory of the system's", hint))
        };
    }
    if source.starts_with('/') || source.contains("${") || source.starts_with('.') {
        return reach_path(source, context, read_only);
    }
    if source.ends_with(".volume") && !context.declared.has_unit(source) {
        let hint = "declare [containers.volume.NAME]";
        return Err(Refused::new("names a volume that this file lacks", hint));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if source.is_empty() || source.starts_with('-') || !source.chars().all(good) {
        let hint = "a name, or an absolute path";
        return Err(Refused::new(format!("has a strange source: {source:?}"), hint));
    }
    Ok(Accepted::Inside)
}

/// Fields of a mount whose values may be paths.
const MOUNT_PATHS: [&str; 6] = ["source", "src", "target", "dst", "destination", "subpath"];

fn check_mount(value: &str, context: &Context<'_>) -> Verdict {
    let hint = "type=bind,source=/srv/music,target=/music,ro=true";
    let refused = |problem: &str| Err(Refused::new(problem, hint));
    // Quadlet would take it apart at these, and decode it: a comma or a type could hide in it.
    if value.contains(['"', '\'', ' ', '\t', '\\']) {
        return refused("has a quote, space or backslash in it");
    }
    let (mut kinds, mut sources) = (Vec::new(), Vec::new());
    for (name, field) in value.split(',').filter_map(|field| field.split_once('=')) {
        match name {
            "type" => kinds.push(field),
            "source" | "src" => sources.push(field),
            "volume-opt" => return refused("has an option of a volume's driver"),
            _ => {}
        }
        if field.contains('/') && !MOUNT_PATHS.contains(&name) {
            return refused("has a path in an option");
        }
    }
    if kinds.len() > 1 || sources.len() > 1 {
        return refused("has a type or source twice");
    }
    let source = sources.first().copied();
    let read_only = ["ro", "readonly", "ro=true", "readonly=true"];
    let read_only = value.split(',').any(|field| read_only.contains(&field));
    // Podman's own default is a volume.
    match kinds.first().copied().unwrap_or("volume") {
        "tmpfs" | "devpts" | "ramfs" if source.is_none() => Ok(Accepted::Inside),
        "volume" => source.map_or(Ok(Accepted::Inside), |s| check_source(s, context, read_only)),
        "bind" => reach_path(source.unwrap_or_default(), context, read_only),
        "image" => check_image(source.unwrap_or_default(), context.declared),
        _ => refused("is no kind of mount that is allowed"),
    }
}

fn check_device(value: &str, context: &Context<'_>) -> Verdict {
    // Each word is a device to Quadlet.
    for word in value.split_whitespace() {
        let path = word.strip_prefix('-').unwrap_or(word).split(':').next().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || "/_.,:@+-#".contains(c);
        let leads_out = path.split('/').any(|part| matches!(part, ".." | "."));
        if !path.starts_with("/dev/") || leads_out || !word.chars().all(plain) {
            return Err(Refused::new("is no device of the host", "for example /dev/ttyUSB0"));
        }
    }
    // A rootless container gets what the account may open anyway.
    Ok(if context.privileged { Accepted::HostAccess } else { Accepted::Inside })
}

/// Notes that change what the runtime does.
const RUNTIME_NOTES: [&str; 8] = [
    "io.crun.",
    "io.kubernetes.",
    "io.podman.",
    "module.wasm.",
    "org.criu.",
    "org.opencontainers.runc.",
    "org.systemd.",
    "run.oci.",
];

fn refuse_options(value: &str, refused: &[&str]) -> Verdict {
    let words = words(value);
    let parts = words.iter().flat_map(|word| word.split(',').chain([word.as_str()]));
    let mut found =
        parts.filter(|part| refused.iter().any(|start| part.trim_start().starts_with(start)));
    match found.next() {
        Some(word) => Err(Refused::new(
            format!("has an option that reaches outside: {word:?}"),
            "leave it out",
        )),
        None => Ok(Accepted::Inside),
    }
}

fn check_group(value: &str) -> Verdict {
    if value.split([' ', ',']).any(|word| word == "keep-groups") {
        let hint = "it would hand the account's own groups into the container";
        return Err(Refused::new("is keep-groups", hint));
    }
    if is_words(value) { Ok(Accepted::Inside) } else { Err(Refused::new("is no group", "")) }
}

fn check_user_namespace(value: &str, context: &Context<'_>) -> Verdict {
    let name = value.split(':').next().unwrap_or_default();
    match name {
        "auto" | "keep-id" | "nomap" | "private" if is_words(value) => Ok(Accepted::Inside),
        "host" if context.privileged => Ok(Accepted::HostAccess),
        _ => Err(Refused::new(
            "is no user namespace that is allowed",
            "auto, keep-id, nomap or private; host for privileged containers",
        )),
    }
}

fn check_secret(value: &str, context: &Context<'_>) -> Verdict {
    if context.kind == UnitKind::Build {
        return check_build_secret(value, context);
    }
    let is_source = |field: &'_ str| field.starts_with("src=") || field.starts_with("source=");
    let source = value.split(',').find(|field| is_source(field));
    match source.and_then(|field| field.split_once('=')).map(|(_, path)| path) {
        Some(path) => reach_path(path, context, true),
        None if is_words(value) => Ok(Accepted::Inside),
        None => Err(Refused::new("is no secret", "NAME, or NAME,type=env,target=VARIABLE")),
    }
}

/// A build's secret is a file. Buildah takes the last of repeated keys, reads a relative path from
/// `/`, and without a path takes the name for one: so it is named once and plainly.
fn check_build_secret(value: &str, context: &Context<'_>) -> Verdict {
    let hint = "id=NAME,src=${FILES_DIR}/…";
    let refused = || Refused::new("is no secret of a build", hint);
    let (id, path) = value.split_once(',').ok_or_else(refused)?;
    let name = id.strip_prefix("id=").filter(|name| is_name(name));
    let path = path.strip_prefix("src=").filter(|path| path.starts_with(['/', '$']));
    match (name, path) {
        (Some(_), Some(path)) if !path.contains(',') => reach_path(path, context, true),
        _ => Err(refused()),
    }
}

fn check_sysctl(value: &str, context: &Context<'_>) -> Verdict {
    for word in value.split_whitespace() {
        if context.privileged && word.starts_with("net.") {
            let hint = "with the host's network they are the host's; forwarding stays off";
            return Err(Refused::new("is a setting of the network", hint));
        }
        if !word.contains('=') || !is_words(word) {
            return Err(Refused::new("is no setting", "for example kernel.msgmax=65536"));
        }
    }
    Ok(Accepted::Inside)
}

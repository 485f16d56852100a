// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which directives exist for a unit of this file, and how is each of them read?
//!
//! Facts: podman-systemd.unit(5) up to Podman 5.8 and systemd.unit(5). What is in no table is
//! refused; `docs/config.md` lists the tables, and `docs/config-deviations.md` says why the rest
//! is out.

use super::relations::Reach;
use super::values::ValueKind::{self, *};

/// A directive.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its name.
    pub name: &'static str,
    /// How its value is read.
    pub kind: ValueKind,
    /// Whether a list gives one line each; of others Quadlet keeps the last line only.
    pub many: bool,
    /// Whether only privileged containers may have it.
    pub privileged: bool,
}

/// The directives of one section.
#[derive(Clone, Copy, Debug)]
pub struct Directives {
    /// The section.
    pub section: &'static str,
    /// Its directives.
    pub specs: &'static [Spec],
}

impl Directives {
    /// The directive of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'static Spec> {
        self.specs.iter().find(|spec| spec.name == name)
    }
}

const fn one(name: &'static str, kind: ValueKind) -> Spec {
    Spec { name, kind, many: false, privileged: false }
}

const fn many(name: &'static str, kind: ValueKind) -> Spec {
    Spec { name, kind, many: true, privileged: false }
}

const fn root(name: &'static str, kind: ValueKind) -> Spec {
    Spec { name, kind, many: true, privileged: true }
}

/// With the other words that Podman takes for the same.
const PULL: &[&str] =
    &["always", "missing", "never", "newer", "ifmissing", "ifnewer", "ifnotpresent"];

/// What Podman may write a container's output to. `syslog` and others of Docker's are none of it.
const LOG_DRIVERS: &[&str] =
    &["journald", "k8s-file", "json-file", "none", "passthrough", "passthrough-tty"];

/// Every section that a unit may have.
pub const SECTIONS: [Directives; 6] = [
    Directives { section: "Unit", specs: UNIT },
    Directives { section: "Container", specs: CONTAINER },
    Directives { section: "Network", specs: NETWORK },
    Directives { section: "Volume", specs: VOLUME },
    Directives { section: "Build", specs: BUILD },
    Directives { section: "Install", specs: INSTALL },
];

/// No `overlay`: its options name directories of the host. Nor what the kernel makes up (`proc`,
/// `sysfs`, `debugfs`): it is the host itself.
const VOLUME_TYPES: &[&str] = &[
    "tmpfs", "none", "bind", "auto", "ext2", "ext3", "ext4", "vfat", "exfat", "f2fs", "xfs",
    "btrfs", "ntfs3", "squashfs", "erofs", "iso9660", "udf", "nfs", "nfs4", "cifs", "smb3",
];

const UNIT: &[Spec] = &[
    one("Description", Text),
    many("Documentation", Text),
    many("After", Units(Reach::Any)),
    many("Before", Units(Reach::OwnOrLast)),
    many("Wants", Units(Reach::OwnOrTarget)),
    many("Requires", Units(Reach::OwnOrTarget)),
    many("Requisite", Units(Reach::OwnOrTarget)),
    many("BindsTo", Units(Reach::OwnOrTarget)),
    many("PartOf", Units(Reach::OwnOrTarget)),
    many("Upholds", Units(Reach::Own)),
    many("Conflicts", Units(Reach::Own)),
    many("OnFailure", Units(Reach::Own)),
    many("OnSuccess", Units(Reach::Own)),
    many("PropagatesReloadTo", Units(Reach::Own)),
    many("ReloadPropagatedFrom", Units(Reach::Own)),
    many("PropagatesStopTo", Units(Reach::Own)),
    many("StopPropagatedFrom", Units(Reach::Own)),
    many("RequiresMountsFor", Words),
    many("WantsMountsFor", Words),
    one("StartLimitIntervalSec", Words),
    one("StartLimitBurst", Number),
    one("JobTimeoutSec", Words),
    one("JobRunningTimeoutSec", Words),
    one("StopWhenUnneeded", Boolean),
    one("CollectMode", OneOf(&["inactive", "inactive-or-failed"])),
    many("ConditionPathExists", Text),
    many("ConditionPathExistsGlob", Text),
    many("ConditionPathIsDirectory", Text),
    many("ConditionPathIsMountPoint", Text),
    many("ConditionPathIsReadWrite", Text),
    many("ConditionPathIsSymbolicLink", Text),
    many("ConditionPathIsEncrypted", Text),
    many("ConditionPathIsSocket", Text),
    many("ConditionDirectoryNotEmpty", Text),
    many("ConditionFileNotEmpty", Text),
    many("ConditionFileIsExecutable", Text),
    many("ConditionHost", Text),
    many("ConditionArchitecture", Text),
    many("ConditionFirmware", Text),
    many("ConditionKernelCommandLine", Text),
    many("ConditionKernelVersion", Text),
    many("ConditionKernelModuleLoaded", Text),
    many("ConditionVersion", Text),
    many("ConditionCredential", Text),
    many("ConditionMemory", Text),
    many("ConditionMemoryPressure", Text),
    many("ConditionCPUPressure", Text),
    many("ConditionIOPressure", Text),
    many("ConditionCPUs", Text),
    many("ConditionCPUFeature", Text),
    many("ConditionEnvironment", Text),
    many("ConditionVirtualization", Text),
    many("ConditionACPower", Text),
    many("ConditionFirstBoot", Text),
    many("ConditionNeedsUpdate", Text),
    many("ConditionCapability", Text),
    many("ConditionSecurity", Text),
    many("ConditionUser", Text),
    many("ConditionGroup", Text),
    many("ConditionControlGroupController", Text),
    many("ConditionOSRelease", Text),
    many("AssertPathExists", Text),
    many("AssertPathExistsGlob", Text),
    many("AssertPathIsDirectory", Text),
    many("AssertPathIsMountPoint", Text),
    many("AssertPathIsReadWrite", Text),
    many("AssertPathIsSymbolicLink", Text),
    many("AssertPathIsEncrypted", Text),
    many("AssertPathIsSocket", Text),
    many("AssertDirectoryNotEmpty", Text),
    many("AssertFileNotEmpty", Text),
    many("AssertFileIsExecutable", Text),
    many("AssertHost", Text),
    many("AssertArchitecture", Text),
    many("AssertFirmware", Text),
    many("AssertKernelCommandLine", Text),
    many("AssertKernelVersion", Text),
    many("AssertKernelModuleLoaded", Text),
    many("AssertVersion", Text),
    many("AssertCredential", Text),
    many("AssertMemory", Text),
    many("AssertMemoryPressure", Text),
    many("AssertCPUPressure", Text),
    many("AssertIOPressure", Text),
    many("AssertCPUs", Text),
    many("AssertCPUFeature", Text),
    many("AssertEnvironment", Text),
    many("AssertVirtualization", Text),
    many("AssertACPower", Text),
    many("AssertFirstBoot", Text),
    many("AssertNeedsUpdate", Text),
    many("AssertCapability", Text),
    many("AssertSecurity", Text),
    many("AssertUser", Text),
    many("AssertGroup", Text),
    many("AssertControlGroupController", Text),
    many("AssertOSRelease", Text),
];

const CONTAINER: &[Spec] = &[
    many("Image", Image),
    many("Network", Forced),
    many("PublishPort", Port),
    many("Volume", Volume),
    many("Mount", Mount),
    many("Tmpfs", Text),
    many("Environment", Text),
    many("EnvironmentFile", EnvironmentFile),
    one("HttpProxy", Boolean),
    one("Exec", Text),
    one("Entrypoint", Text),
    one("WorkingDir", Text),
    one("ContainerName", Name),
    one("HostName", Name),
    one("User", Words),
    one("Group", Words),
    many("GroupAdd", Group),
    one("UserNS", UserNamespace),
    many("UIDMap", Words),
    many("GIDMap", Words),
    one("RemapUsers", OneOf(&["auto", "keep-id", "manual"])),
    many("RemapUid", Words),
    many("RemapGid", Words),
    one("RemapUidSize", Number),
    one("SubUIDMap", Words),
    one("SubGIDMap", Words),
    many("AddCapability", Words),
    many("DropCapability", Words),
    many("AddDevice", Device),
    many("AddHost", Words),
    many("DNS", Words),
    many("DNSOption", Words),
    many("DNSSearch", Words),
    one("IP", Address),
    one("IP6", Address),
    many("NetworkAlias", Words),
    many("ExposeHostPort", Words),
    many("Label", Label),
    many("Annotation", Annotation),
    one("AutoUpdate", OneOf(&["registry", "local"])),
    one("CgroupsMode", OneOf(&["enabled", "disabled", "no-conmon", "split"])),
    one("Memory", Words),
    one("PidsLimit", Number),
    one("ShmSize", Words),
    many("Ulimit", Words),
    many("Sysctl", Sysctl),
    one("NoNewPrivileges", Boolean),
    one("ReadOnly", Boolean),
    one("ReadOnlyTmpfs", Boolean),
    one("VolatileTmp", Boolean),
    one("RunInit", Boolean),
    one("SeccompProfile", HostPath),
    many("Mask", Text),
    root("Unmask", Text),
    root("AppArmor", Words),
    root("SecurityLabelDisable", Boolean),
    root("SecurityLabelFileType", Words),
    root("SecurityLabelLevel", Words),
    root("SecurityLabelNested", Boolean),
    root("SecurityLabelType", Words),
    root("PodmanArgs", PodmanArgs),
    many("Secret", Secret),
    one("StopSignal", Name),
    one("StopTimeout", Number),
    one("Timezone", Zone),
    one("Pull", OneOf(PULL)),
    one("Retry", Number),
    one("RetryDelay", Words),
    one("LogDriver", OneOf(LOG_DRIVERS)),
    many("LogOpt", Options),
    one("Notify", OneOf(&["true", "false", "healthy", "yes", "no", "on", "off", "1", "0"])),
    one("ReloadCmd", Text),
    one("ReloadSignal", Name),
    one("HealthCmd", Text),
    one("HealthInterval", Words),
    one("HealthLogDestination", OneOf(&["local", "events_logger"])),
    one("HealthMaxLogCount", Number),
    one("HealthMaxLogSize", Number),
    one("HealthOnFailure", OneOf(&["none", "kill", "restart", "stop"])),
    one("HealthRetries", Number),
    one("HealthStartPeriod", Words),
    one("HealthStartupCmd", Text),
    one("HealthStartupInterval", Words),
    one("HealthStartupRetries", Number),
    one("HealthStartupSuccess", Number),
    one("HealthStartupTimeout", Words),
    one("HealthTimeout", Words),
];

const NETWORK: &[Spec] = &[
    one("Driver", Name),
    many("Subnet", Words),
    many("Gateway", Address),
    many("IPRange", Words),
    one("IPv6", Boolean),
    one("Internal", Boolean),
    one("DisableDNS", Boolean),
    many("DNS", Address),
    one("IPAMDriver", OneOf(&["host-local", "dhcp", "none"])),
    one("InterfaceName", Name),
    one("NetworkName", Name),
    one("NetworkDeleteOnStop", Boolean),
    many("Options", Options),
    many("Label", Text),
];

const VOLUME: &[Spec] = &[
    one("Driver", Name),
    one("Image", Image),
    one("Device", VolumeSource),
    one("Type", OneOf(VOLUME_TYPES)),
    one("Options", VolumeOptions),
    one("Copy", Boolean),
    one("User", Words),
    one("Group", Words),
    one("UID", Number),
    one("GID", Number),
    one("VolumeName", Name),
    many("Label", Text),
];

const BUILD: &[Spec] = &[
    many("ImageTag", Tag),
    one("File", BuildSource),
    one("SetWorkingDirectory", BuildSource),
    one("IgnoreFile", HostPath),
    one("AuthFile", HostPath),
    one("Target", Words),
    one("Arch", Words),
    one("Variant", Words),
    one("Pull", OneOf(PULL)),
    one("TLSVerify", Boolean),
    one("ForceRM", Boolean),
    one("Network", OneOf(&["none", "private", "pasta", "slirp4netns"])),
    many("BuildArg", Text),
    many("Environment", Text),
    many("Volume", Volume),
    many("Secret", Secret),
    many("GroupAdd", Group),
    many("DNS", Words),
    many("DNSOption", Words),
    many("DNSSearch", Words),
    many("Label", Text),
    many("Annotation", Annotation),
    one("Retry", Number),
    one("RetryDelay", Words),
];

const INSTALL: &[Spec] = &[
    many("WantedBy", Units(Reach::BootTarget)),
    many("RequiredBy", Units(Reach::Own)),
    many("UpheldBy", Units(Reach::Own)),
];

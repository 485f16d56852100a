// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file as it is written, and what its keys mean together.

use super::texts::{Hook, Offset, OperatorFile, Proxy, Segment, Server, TimeOfDay, Whole};
use super::{
    ConfirmRule, DEFAULT_TENANT, HawkbitSettings, Identity, Login, Metadata, PollSettings,
    Settings, SettingsError, Source, TlsFiles,
};
use crate::json::Members;
use crate::policy::{Downgrade, Keep, MeteredRule, Policy, RebootRule};
use crate::window::{Days, Window};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::time::Duration;
use storage::ByteLen;
use time::Weekday;

const DAY_SECS: u32 = 24 * 3600;
/// KiB in a second, and MiB: a GiB and a TiB.
const MOST: u32 = 1024 * 1024;
const MAX_MIRRORS: usize = 8;
const MAX_WINDOWS: usize = 16;
const MAX_HOOKS: usize = 8;

type Seconds = Whole<0, DAY_SECS>;
type Interval = Whole<60, { 7 * DAY_SECS }>;
type Rate = Whole<8, MOST>;
type Size = Whole<1, MOST>;

/// The whole file. A key that is there has a value: `null` is none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default, deserialize_with = "given")]
    server_url: Option<Server>,
    #[serde(default, deserialize_with = "given")]
    mode: Option<Mode>,
    #[serde(default, deserialize_with = "given")]
    metadata: Option<Metadata>,
    #[serde(default, deserialize_with = "given")]
    interval_seconds: Option<Interval>,
    #[serde(default, deserialize_with = "given")]
    report_url: Option<Server>,
    #[serde(default, deserialize_with = "given")]
    mirrors: Option<Several<Server, MAX_MIRRORS>>,
    #[serde(default, deserialize_with = "given")]
    tls: Option<Members<Tls>>,
    #[serde(default, deserialize_with = "given")]
    hawkbit: Option<Members<Hawkbit>>,
    #[serde(default, deserialize_with = "given")]
    proxy: Option<Proxy>,
    #[serde(default, deserialize_with = "given")]
    policy: Option<Members<Allowed>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Poll,
    Hawkbit,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    #[serde(default, deserialize_with = "given")]
    client_cert_file: Option<OperatorFile>,
    #[serde(default, deserialize_with = "given")]
    client_key_file: Option<OperatorFile>,
    #[serde(default, deserialize_with = "given")]
    ca_file: Option<OperatorFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hawkbit {
    url: Server,
    #[serde(default, deserialize_with = "given")]
    tenant: Option<Segment>,
    #[serde(default, deserialize_with = "given")]
    target_id: Option<Segment>,
    #[serde(default, deserialize_with = "given")]
    confirm: Option<ConfirmRule>,
    #[serde(default, deserialize_with = "given")]
    target_token_file: Option<OperatorFile>,
    #[serde(default, deserialize_with = "given")]
    gateway_token_file: Option<OperatorFile>,
    #[serde(default, deserialize_with = "given")]
    client_cert_file: Option<OperatorFile>,
    #[serde(default, deserialize_with = "given")]
    client_key_file: Option<OperatorFile>,
    #[serde(default, deserialize_with = "given")]
    ca_file: Option<OperatorFile>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    #[serde(default, deserialize_with = "given")]
    windows: Option<Several<Window, MAX_WINDOWS>>,
    #[serde(default, deserialize_with = "given")]
    reboot: Option<Reboot>,
    #[serde(default, deserialize_with = "given")]
    metered: Option<Metered>,
    #[serde(default, deserialize_with = "given")]
    rate_limit_kib: Option<Rate>,
    #[serde(default, deserialize_with = "given")]
    max_update_mib: Option<Size>,
    #[serde(default, deserialize_with = "given")]
    max_day_mib: Option<Size>,
    #[serde(default, deserialize_with = "given")]
    allow_downgrade: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    jitter_seconds: Option<Seconds>,
    #[serde(default, deserialize_with = "given")]
    keep_bundles: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    before_reboot: Option<Several<Hook, MAX_HOOKS>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reboot {
    Now,
    Window,
    Never,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Metered {
    Allow,
    Defer,
    ForcedOnly,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    const fn weekday(&self) -> Weekday {
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenWindow {
    #[serde(default, deserialize_with = "given")]
    days: Option<Several<Day, 7>>,
    from: TimeOfDay,
    to: TimeOfDay,
    offset: Offset,
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Members(WrittenWindow { days, from, to, offset }) = Members::deserialize(from)?;
        if from.0 == to.0 {
            return Err(D::Error::custom("a window ends where it begins"));
        }
        let days = days.map_or(Days::EVERY, |days| Days::of(days.0.iter().map(Day::weekday)));
        Self::new(days, from.0, to.0, offset.0).map_err(D::Error::custom)
    }
}

/// A list of some, and of no more than a file of ours has.
struct Several<T, const MOST: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Several<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let list = Vec::deserialize(from)?;
        if (1..=MOST).contains(&list.len()) {
            return Ok(Self(list));
        }
        Err(D::Error::custom(format!("a list of {} is none of 1 to {MOST}", list.len())))
    }
}

impl<T, const MOST: usize> Several<T, MOST> {
    fn texts(list: Option<Self>, text: impl Fn(T) -> String) -> Vec<String> {
        list.into_iter().flat_map(|list| list.0).map(text).collect()
    }
}

fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl File {
    /// Without a mode it is a file of the former contract, and has the server's address alone.
    pub(super) fn into_settings(self) -> Result<Settings, SettingsError> {
        let is_of_polling = self.metadata.is_some()
            || self.interval_seconds.is_some()
            || self.report_url.is_some()
            || self.mirrors.is_some()
            || self.tls.is_some();
        let is_of_either = self.proxy.is_some() || self.policy.is_some();
        let missing = |key| Err(SettingsError::Missing { key });
        let metadata = match (self.mode, self.metadata) {
            (None, _) if is_of_polling || is_of_either => return missing("mode"),
            (None, _) => Some(Metadata::Original),
            (Some(_), given) => given,
        };
        let source = match (self.mode, self.hawkbit) {
            (Some(Mode::Hawkbit), Some(Members(hawkbit))) => {
                if is_of_polling || self.server_url.is_some() {
                    return Err(SettingsError::TwoAgents);
                }
                Source::Hawkbit(hawkbit.into_settings()?)
            }
            (Some(Mode::Hawkbit), None) => return missing("hawkbit"),
            (Some(Mode::Poll) | None, Some(_)) => return Err(SettingsError::TwoAgents),
            (Some(Mode::Poll) | None, None) => {
                let Some(url) = self.server_url else { return missing("server_url") };
                let Some(metadata) = metadata else { return missing("metadata") };
                Source::Poll(PollSettings {
                    server_url: url.0,
                    metadata,
                    interval: self.interval_seconds.map(|secs| seconds(secs.0)),
                    report_url: self.report_url.map(|url| url.0),
                    mirrors: Several::texts(self.mirrors, |url| url.0),
                    tls: self.tls.unwrap_or_default().0.into_files()?,
                })
            }
        };
        let (policy, before_reboot) = self.policy.unwrap_or_default().0.into_policy();
        Ok(Settings { source, proxy: self.proxy.map(|proxy| proxy.0), policy, before_reboot })
    }
}

impl Tls {
    fn into_files(self) -> Result<TlsFiles, SettingsError> {
        let identity = identity_of(self.client_cert_file, self.client_key_file)?;
        Ok(TlsFiles { identity, ca: self.ca_file.map(|file| file.0) })
    }
}

impl Hawkbit {
    fn into_settings(self) -> Result<HawkbitSettings, SettingsError> {
        let identity = identity_of(self.client_cert_file, self.client_key_file)?;
        let login = match (self.target_token_file, self.gateway_token_file, identity) {
            (Some(file), None, None) => Login::TargetToken(file.0),
            (None, Some(file), None) => Login::GatewayToken(file.0),
            (None, None, Some(identity)) => Login::Certificate(identity),
            (_, _, _) => return Err(SettingsError::Login),
        };
        Ok(HawkbitSettings {
            url: self.url.0,
            tenant: self.tenant.map_or_else(|| DEFAULT_TENANT.to_owned(), |tenant| tenant.0),
            target_id: self.target_id.map(|id| id.0),
            confirm: self.confirm.unwrap_or_default(),
            login,
            ca: self.ca_file.map(|file| file.0),
        })
    }
}

impl Allowed {
    fn into_policy(self) -> (Policy, Vec<String>) {
        let defaults = Policy::default();
        let policy = Policy {
            windows: self.windows.map_or_else(Vec::new, |windows| windows.0),
            reboot: self.reboot.map_or(defaults.reboot, |rule| match rule {
                Reboot::Now => RebootRule::Now,
                Reboot::Window => RebootRule::Window,
                Reboot::Never => RebootRule::Never,
            }),
            metered: self.metered.map_or(defaults.metered, |rule| match rule {
                Metered::Allow => MeteredRule::Allow,
                Metered::Defer => MeteredRule::Defer,
                Metered::ForcedOnly => MeteredRule::ForcedOnly,
            }),
            most_update: self.max_update_mib.map(|size| bytes(size.0, MIB)),
            most_day: self.max_day_mib.map(|size| bytes(size.0, MIB)),
            downgrade: match self.allow_downgrade {
                Some(true) => Downgrade::Allowed,
                Some(false) | None => Downgrade::Refused,
            },
            rate: self.rate_limit_kib.map(|rate| bytes(rate.0, KIB)),
            jitter: self.jitter_seconds.map(|secs| seconds(secs.0)),
            keep: match self.keep_bundles {
                Some(true) => Keep::Bundle,
                Some(false) | None => Keep::Nothing,
            },
        };
        (policy, Several::texts(self.before_reboot, |hook| hook.0))
    }
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

fn bytes(count: u32, each: u64) -> ByteLen {
    ByteLen::new(u64::from(count) * each)
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(u64::from(count))
}

/// Both or none.
fn identity_of(
    cert: Option<OperatorFile>,
    key: Option<OperatorFile>,
) -> Result<Option<Identity>, SettingsError> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(Identity { cert: cert.0, key: key.0 })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(SettingsError::Missing { key: "client_key_file" }),
        (None, Some(_)) => Err(SettingsError::Missing { key: "client_cert_file" }),
    }
}

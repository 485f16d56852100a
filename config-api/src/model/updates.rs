// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where do updates of the system come from, and what does the device's owner allow? The types of
//! `[os_upgrade]`. A key that the file does not have is nothing here, so that it is not rendered
//! either: defaults are the agent's, and a file of the former contract renders as it always did.

/// The directories below the configuration's in which the operator keeps what proves who the device
/// is. They are beside the generations: no promotion touches them, and no container without
/// privileges can have them.
pub const OPERATOR_DIRS: [&str; 2] = ["hawkbit", "os-upgrade"];

/// Where updates of the system come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OsUpgrade {
    /// Who tells of them.
    pub source: UpdateSource,
    /// What requests go through, `http://` or `https://` with host and port.
    pub proxy: Option<String>,
    /// What the owner allows.
    pub policy: Option<UpdatePolicy>,
}

/// Who tells of updates. One agent runs, never both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateSource {
    /// A web server that is asked.
    Poll(Poll),
    /// A hawkBit server, or one that speaks its DDI.
    Hawkbit(Hawkbit),
}

/// Polling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// An `https` address without a `/` at its end.
    pub server_url: String,
    /// What the server speaks; nothing where `server_url` stands alone, as in files of the former
    /// contract, which is [`Metadata::Original`].
    pub metadata: Option<Metadata>,
    /// Between two questions.
    pub interval_secs: Option<u32>,
    /// Where the device reports to.
    pub report_url: Option<String>,
    /// Places that hold the same bundles, nearest first.
    pub mirrors: Vec<String>,
    /// Who the device is, and whom it believes.
    pub tls: Option<TlsFiles>,
}

/// What a polled server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// A signed document of ours.
    Signed,
    /// The JSON of the former contract.
    Original,
}

/// Files of a TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The device's certificate and key.
    pub identity: Option<ClientIdentity>,
    /// Authorities that are believed instead of the system's.
    pub ca_file: Option<OperatorFile>,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The certificate, and those between it and its authority.
    pub cert_file: OperatorFile,
    /// The key.
    pub key_file: OperatorFile,
}

/// hawkBit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hawkbit {
    /// An `https` address without a `/` at its end, and without tenant.
    pub url: String,
    /// The tenant; hawkBit's own `DEFAULT` where there is none.
    pub tenant: Option<String>,
    /// The device's name there; its own where there is none.
    pub target_id: Option<String>,
    /// Who answers an action that wants a yes first; the agent's own where nothing is said.
    pub confirm: Option<ConfirmRule>,
    /// How it proves who it is.
    pub login: HawkbitLogin,
    /// Authorities that are believed instead of the system's.
    pub ca_file: Option<OperatorFile>,
}

/// How a device proves to hawkBit who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HawkbitLogin {
    /// By the token of this one device.
    TargetToken(OperatorFile),
    /// By a token of the whole tenant.
    GatewayToken(OperatorFile),
    /// By a certificate.
    Certificate(ClientIdentity),
}

/// What the owner of the device allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdatePolicy {
    /// When updates may be installed; always where there are none.
    pub windows: Vec<Window>,
    /// When the device may restart into one.
    pub reboot: Option<RebootRule>,
    /// What a link costs whose bytes are paid for.
    pub metered: Option<MeteredRule>,
    /// Of a transfer.
    pub rate_limit_kib: Option<u32>,
    /// Over the network for one update.
    pub max_update_mib: Option<u32>,
    /// Over the network in a day.
    pub max_day_mib: Option<u32>,
    /// Whether an older version may be installed.
    pub allow_downgrade: Option<bool>,
    /// Over how long the devices of a fleet spread their questions.
    pub jitter_secs: Option<u32>,
    /// Whether bundles are kept on the device.
    pub keep_bundles: Option<bool>,
    /// Programs of the image that are run before a restart, in this order.
    pub before_reboot: Vec<String>,
}

/// Who answers an action of hawkBit's that wants a yes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmRule {
    /// The device.
    Auto,
    /// Somebody at it.
    Operator,
}

/// When a device may restart into an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebootRule {
    /// As soon as it is installed.
    Now,
    /// Within a window.
    Window,
    /// When somebody else restarts it.
    Never,
}

/// What is done where bytes are paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeteredRule {
    /// The same as elsewhere.
    Allow,
    /// Nothing.
    Defer,
    /// What the server forces.
    ForcedOnly,
}

/// Declares the words of an enumeration.
macro_rules! words {
    ($type:ty: $($variant:ident = $word:literal),+) => {
        impl $type {
            /// All of them, in the order of the contract.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// All of them with their words.
            pub(crate) const WORDS: &[(&str, Self)] = &[$(($word, Self::$variant)),+];

            /// Its word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }
    };
}

words!(Metadata: Signed = "signed", Original = "original");
words!(ConfirmRule: Auto = "auto", Operator = "operator");
words!(RebootRule: Now = "now", Window = "window", Never = "never");
words!(MeteredRule: Allow = "allow", Defer = "defer", ForcedOnly = "forced-only");
words!(Day: Monday = "mon", Tuesday = "tue", Wednesday = "wed", Thursday = "thu", Friday = "fri",
       Saturday = "sat", Sunday = "sun");

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    /// The first of the week.
    Monday,
    /// The second.
    Tuesday,
    /// The third.
    Wednesday,
    /// The fourth.
    Thursday,
    /// The fifth.
    Friday,
    /// The sixth.
    Saturday,
    /// The last.
    Sunday,
}

/// A time of every week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// On these days it begins; on all where there are none.
    pub days: Vec<Day>,
    /// It begins here.
    pub from: TimeOfDay,
    /// It ends here, on the day after where that is earlier; never equal to `from`.
    pub to: TimeOfDay,
    /// Minutes that the clock of these times is before UTC.
    pub offset_minutes: i16,
}

impl Window {
    /// The offset as it is written, `+01:00`.
    #[must_use]
    pub fn offset(&self) -> String {
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let minutes = self.offset_minutes.unsigned_abs();
        format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// A time of a day, in minutes from midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// Reads `22:30`, and no other spelling of it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (hours, minutes) = text.split_once(':')?;
        let number = |text: &str, below: u16| {
            let is_two = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|number| is_two && *number < below)
        };
        Some(Self(number(hours, 24)? * 60 + number(minutes, 60)?))
    }

    /// Minutes from midnight.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.0
    }
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// A file of the operator's in one of [`OPERATOR_DIRS`], relative to the configuration's directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperatorFile(String);

impl OperatorFile {
    /// The longest part of a path, and how many there are.
    const MAX_PART: usize = 100;
    const MAX_PARTS: usize = 4;

    /// Takes `/data/config/hawkbit/token` or `${CONFIG_DIR}/hawkbit/token`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let below = [crate::CONFIG_DIR, crate::quadlet::CONFIG_TOKEN]
            .into_iter()
            .find_map(|dir| text.strip_prefix(dir)?.strip_prefix('/'))?;
        let (dir, rest) = below.split_once('/')?;
        let is_part = |part: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            (1..=Self::MAX_PART).contains(&part.len())
                && part.bytes().all(plain)
                && !part.starts_with(['.', '-'])
        };
        let is_known = OPERATOR_DIRS.contains(&dir);
        let is_plain = rest.split('/').all(is_part) && below.split('/').count() <= Self::MAX_PARTS;
        (is_known && is_plain).then(|| Self(below.to_owned()))
    }

    /// Where it is on a device whose configuration is in `config_dir`.
    #[must_use]
    pub fn path(&self, config_dir: &str) -> String {
        format!("{config_dir}/{}", self.0)
    }
}

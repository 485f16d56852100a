// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a bundle on a server come into `atomix install`? By the same client, the same
//! `[streaming]` of `system.conf` and the same patience as `rauc`'s, straight into the slots:
//! nothing of it is stored.

use crate::cli::{InstallArgs, TransferArgs};
use crate::commands::bundle::{configured, decryption};
use crate::context::Context;
use crate::failure::Failure;
use crate::rauc::configured_http;
use crate::signals::StopRequest;
use bundle::http::{
    ByteBudget, Downloaded, Elsewhere, ExchangeTls, HttpError, HttpNotice, HttpOptions, HttpStop,
    Patience, Proxy, RateLimit, Schemes, download, is_http_url, shown_url,
};
use bundle::{RemoteBundle, RemoteError, RemoteRules, VerifiedBundle, Wanted, look};
use std::fs::File;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::{ByteLen, Files};
use updater::{InstallPlan, ResumeRule, SystemConfig, predict_transfer};

/// The word for `--proxy` that asks nobody.
const NO_PROXY: &str = "none";
/// `--limit-rate` counts in these.
const KIB: NonZeroU64 = NonZeroU64::MIN.saturating_add(1023);
/// A word of `/proc` or of the machine's name is shorter.
const MAX_FACT: ByteLen = ByteLen::kib(4);

/// What is fetched, from where, and how.
pub struct TransferRequest {
    /// Where it is, best first.
    pub urls: Vec<String>,
    /// Most bytes per second.
    pub rate: Option<NonZeroU64>,
    /// Most bytes; more end the transfer.
    pub budget: Option<Arc<ByteBudget>>,
    /// Who stands between.
    pub proxy: Proxy,
    /// Whether plain http will do.
    pub schemes: Schemes,
    /// Keys and authorities; what is not said is as `system.conf` has it. Paths of this machine.
    pub tls: ExchangeTls,
    /// Headers, each `Name: value`.
    pub headers: Vec<String>,
    /// Whose the keys and headers are; the first place's where nothing is said.
    pub homes: Vec<String>,
    /// Which bundle it should be.
    pub wanted: Wanted,
    /// The end of it, wherever it stands then; nothing where a person waits for it.
    pub longest: Option<Duration>,
    /// Asked while it runs.
    pub stop: HttpStop,
}

impl TransferRequest {
    fn of_command_line(args: &InstallArgs, stop: &Arc<StopRequest>) -> Self {
        let (asked, stop) = (&args.transfer, Arc::clone(stop));
        let first = args.bundle.to_string_lossy().into_owned();
        let budget = asked.max_bytes.map(|mib| ByteBudget::new(ByteLen::mib(mib)));
        Self {
            urls: std::iter::once(first).chain(asked.mirrors.iter().cloned()).collect(),
            rate: asked.limit_rate.map(|kib| kib.saturating_mul(KIB)),
            budget: budget.map(Arc::new),
            proxy: match asked.proxy.as_deref() {
                None => Proxy::Environment,
                Some(NO_PROXY) => Proxy::Direct,
                Some(url) => Proxy::Url(url.to_owned()),
            },
            schemes: if asked.https_only { Schemes::HttpsOnly } else { Schemes::HttpAndHttps },
            tls: ExchangeTls::default(),
            headers: Vec::new(),
            homes: Vec::new(),
            wanted: Wanted::default(),
            longest: None,
            stop: Arc::new(move || stop.by()),
        }
    }
}

/// A transfer that was asked for.
pub struct Transfer {
    urls: Vec<String>,
    options: HttpOptions,
    wanted: Wanted,
    told: Arc<Mutex<Vec<String>>>,
    whole: Marks,
}

/// The marks of places that have the file and send nothing but the whole of it.
type Marks = Arc<Mutex<Vec<Option<String>>>>;

/// Whether the bundle is on a server.
#[must_use]
pub fn is_remote(args: &InstallArgs) -> bool {
    args.bundle.to_str().is_some_and(is_http_url)
}

/// The bundle's place without what is secret in it.
#[must_use]
pub fn shown(args: &InstallArgs) -> PathBuf {
    match args.bundle.to_str().filter(|_| is_remote(args)) {
        Some(url) => PathBuf::from(shown_url(url)),
        None => args.bundle.clone(),
    }
}

/// Options of a transfer, given with a file, would be passed over.
///
/// # Errors
/// [`Failure::Usage`].
pub fn refuse_for_file(args: &TransferArgs) -> Result<(), Failure> {
    if *args == TransferArgs::default() {
        return Ok(());
    }
    Err(Failure::Usage {
        what:
            "--mirror, --limit-rate, --max-bytes, --proxy, --https-only and --no-resume are for a \
               bundle on a server"
                .to_owned(),
        hint: "give its http:// or https:// address, or leave the option out",
    })
}

/// Whether an interrupted install goes on.
#[must_use]
pub fn resume_rule(args: &TransferArgs) -> ResumeRule {
    if args.no_resume { ResumeRule::Never } else { ResumeRule::default() }
}

impl Transfer {
    /// What the configuration and the command line ask for.
    ///
    /// # Errors
    /// [`Failure`] of either.
    pub fn new(
        context: &Context,
        config: &SystemConfig,
        args: &InstallArgs,
        stop: &Arc<StopRequest>,
    ) -> Result<Self, Failure> {
        Self::asked(context, config, TransferRequest::of_command_line(args, stop))
    }

    /// What the configuration and somebody else ask for.
    ///
    /// # Errors
    /// [`Failure`] of the configuration.
    pub fn asked(
        context: &Context,
        config: &SystemConfig,
        request: TransferRequest,
    ) -> Result<Self, Failure> {
        let hint = "correct it in the environment";
        let known = configured_http(config)
            .map_err(|cause| Failure::Usage { what: cause.to_string(), hint })?;
        let told = Arc::new(Mutex::new(Vec::new()));
        let whole = Marks::default();
        let (noted, marks) = (Arc::clone(&told), Arc::clone(&whole));
        let place = |asked: Option<String>, configured: Option<String>| match asked {
            Some(path) => Ok(Some(path)),
            None => below_root(context, configured),
        };
        let identity = match (request.tls.cert, request.tls.key) {
            // A certificate and the key of another one are none.
            (None, None) => {
                (below_root(context, known.tls_cert)?, below_root(context, known.tls_key)?)
            }
            asked => asked,
        };
        let options = HttpOptions {
            user_agent: HttpOptions::default().user_agent,
            tls_cert: identity.0,
            tls_key: identity.1,
            tls_ca: place(request.tls.ca, known.tls_ca)?,
            headers: request.headers,
            homes: request.homes,
            info_headers: info_headers(context, config),
            proxy: request.proxy,
            schemes: request.schemes,
            rate_limit: request.rate.map(|rate| Arc::new(RateLimit::new(rate))),
            budget: request.budget,
            stop: Some(request.stop),
            patience: Patience { total: request.longest, ..known.patience },
            notices: Some(Arc::new(move |notice: &HttpNotice| match notice {
                // Told as the failure that it is.
                HttpNotice::WholeOnly { mark, .. } => lock(&marks).push(mark.clone()),
                HttpNotice::Redirected { .. }
                | HttpNotice::CredentialsDropped { .. }
                | HttpNotice::Retry { .. }
                | HttpNotice::MirrorLeft { .. } => lock(&noted).push(notice.to_string()),
            })),
            ..known
        };
        Ok(Self { urls: request.urls, options, wanted: request.wanted, told, whole })
    }

    /// Opens and verifies the bundle; nothing of its content is fetched.
    ///
    /// # Errors
    /// [`Failure::Fetch`], [`Failure::Bundle`], or those of the configuration.
    pub fn open(&self, context: &Context) -> Result<VerifiedBundle, Failure> {
        Ok(self.look(context)?.into_bundle())
    }

    /// The same, with what its server says of the file.
    ///
    /// # Errors
    /// As [`Transfer::open`].
    pub fn look(&self, context: &Context) -> Result<RemoteBundle, Failure> {
        let (keyring, limits, time) = configured(context)?;
        let identity = || decryption(context).map_err(Into::into);
        let wanted = self.wanted.clone();
        let rules = RemoteRules { limits, keyring: &keyring, time, identity: &identity, wanted };
        match look(&self.urls, &self.options, &rules) {
            Ok(seen) => Ok(seen),
            Err(RemoteError::Http(source)) => Err(Failure::Fetch(source)),
            Err(RemoteError::Bundle { url, source }) => {
                Err(Failure::Bundle { bundle: PathBuf::from(url), source })
            }
            Err(RemoteError::Key { source, .. }) => Err(match source.downcast::<Failure>() {
                Ok(failure) => *failure,
                Err(cause) => Failure::Usage {
                    what: format!("the key that opens the bundle cannot be had: {cause}"),
                    hint: "check [encryption] key and cert",
                },
            }),
        }
    }

    /// How many bytes this plan would fetch; refused where that is more than may be.
    ///
    /// # Errors
    /// [`Failure::Fetch`], [`Failure::Bundle`].
    pub fn predict(
        &self,
        verified: &VerifiedBundle,
        plan: &InstallPlan,
        resume: ResumeRule,
        files: &dyn Files,
    ) -> Result<ByteLen, Failure> {
        let predicted = self.measure(verified, plan, resume, files)?;
        if let Some(budget) = &self.options.budget {
            budget.demand(predicted).map_err(Failure::Fetch)?;
        }
        Ok(predicted)
    }

    /// The same, however many may be: for who judges by it.
    ///
    /// # Errors
    /// [`Failure::Bundle`].
    pub fn measure(
        &self,
        verified: &VerifiedBundle,
        plan: &InstallPlan,
        resume: ResumeRule,
        files: &dyn Files,
    ) -> Result<ByteLen, Failure> {
        predict_transfer(verified, plan, resume, files).map_err(|source| {
            let url = self.urls.first().map(|url| shown_url(url));
            Failure::Bundle { bundle: PathBuf::from(url.unwrap_or_default()), source }
        })
    }

    /// Fetches the whole file from the first place that gives it, at most `limit` bytes of it; place
    /// number `from` is asked first, and those before it last. One that is too slow is left where
    /// another one follows, and so is one whose file is not what `is_it` wants: who has no key could
    /// else keep every other place from being asked. Whoever opened `file` makes it durable.
    ///
    /// # Errors
    /// [`Failure::Fetch`], that of the last place, and those of `is_it`; the file then holds a part.
    pub fn download(
        &self,
        file: &File,
        (from, limit): (usize, ByteLen),
        is_it: &dyn Fn() -> Result<bool, Failure>,
    ) -> Result<Downloaded, Failure> {
        let mut failed = HttpError::Option { option: "url", reason: "there is none".to_owned() };
        let (before, first) = self.urls.split_at(from.min(self.urls.len()));
        let mut places: Vec<(&String, Elsewhere)> =
            first.iter().chain(before).map(|url| (url, Elsewhere::Known { best: None })).collect();
        if let Some((_, elsewhere)) = places.last_mut() {
            *elsewhere = Elsewhere::Nowhere;
        }
        let mut slow = None;
        for (url, elsewhere) in places {
            match self.download_from(url, elsewhere, file, limit) {
                Ok(done) if is_it()? => return Ok(done),
                Ok(_) => failed = HttpError::other_bytes(url),
                Err(ends @ (HttpError::Stopped { .. } | HttpError::OverBudget { .. })) => {
                    return Err(Failure::Fetch(ends));
                }
                Err(failure) => {
                    slow = slow.or(failure.is_too_slow().then_some(url));
                    failed = failure;
                }
            }
        }
        // No other place has it: a slow one is better than none.
        let Some(url) = slow else { return Err(Failure::Fetch(failed)) };
        let done = self.download_from(url, Elsewhere::Nowhere, file, limit);
        match done.map_err(Failure::Fetch)? {
            done if is_it()? => Ok(done),
            _ => Err(Failure::Fetch(HttpError::other_bytes(url))),
        }
    }

    fn download_from(
        &self,
        url: &str,
        elsewhere: Elsewhere,
        file: &File,
        limit: ByteLen,
    ) -> Result<Downloaded, HttpError> {
        let home = self.urls.first().map_or("", String::as_str);
        let mut options = self.options.for_mirror(home, url)?;
        options.patience.elsewhere = elsewhere;
        let store = |source: std::io::Error| HttpError::Store {
            url: shown_url(url),
            reason: source.to_string(),
        };
        file.set_len(0).map_err(store)?;
        download(url, &options, file, limit)
    }

    /// What was told of servers since the last question.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.told))
    }

    /// The marks of the places that send whole files only, as far as they were asked, and whether all
    /// places are such.
    #[must_use]
    pub fn whole_only(&self) -> (Vec<Option<String>>, bool) {
        let marks = lock(&self.whole).clone();
        let is_all = marks.len() >= self.urls.len();
        (marks, is_all)
    }

    /// Whether a bundle is the one that was asked for.
    #[must_use]
    pub fn is_wanted(&self, found: &RemoteBundle) -> bool {
        self.wanted.difference(found.bundle(), found.facts().size).is_none()
    }

    /// Whether more than one place may have it.
    #[must_use]
    pub const fn has_mirrors(&self) -> bool {
        self.urls.len() > 1
    }
}

/// What was noted stands, whoever panicked since.
fn lock<T>(noted: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    noted.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Below `--root` a file of the configuration is the board's; a key in a token is in a token.
fn below_root(context: &Context, named: Option<String>) -> Result<Option<String>, Failure> {
    match named {
        Some(path) if Path::new(&path).is_absolute() => {
            let path = context.files.resolve(Path::new(&path))?;
            Ok(Some(path.to_string_lossy().into_owned()))
        }
        named => Ok(named),
    }
}

/// The headers of `[streaming] send-headers` that say something of this machine and not of an
/// engine: those are sent by the service of `rauc` alone.
fn info_headers(context: &Context, config: &SystemConfig) -> Vec<(String, String)> {
    let wanted = config.streaming.as_ref().map(|section| section.send_headers.as_slice());
    let fact = |path: &str| {
        // A fact that cannot be read is not sent; the server has no claim to it.
        let text = context.read_text(Path::new(path), MAX_FACT).ok().flatten()?;
        let word = text.split_whitespace().next()?.to_owned();
        (!word.contains(char::is_control)).then_some(word)
    };
    let header = |name: &String| {
        let (header, path) = match name.as_str() {
            "boot-id" => ("RAUC-Boot-ID", "/proc/sys/kernel/random/boot_id"),
            "machine-id" => ("RAUC-Machine-ID", "/etc/machine-id"),
            "uptime" => ("RAUC-Uptime", "/proc/uptime"),
            _ => return None,
        };
        Some((header.to_owned(), fact(path)?))
    };
    wanted.unwrap_or_default().iter().filter_map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Now;
    use bundle::UnixTime;
    use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
    use std::net::TcpListener;
    use std::time::Instant;

    /// A server that has these bytes and sends them by so many every tenth of a second.
    fn serve(bytes: &'static [u8], piece: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/b.raucb", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let asked = BufReader::new(stream.try_clone()?);
                    asked.lines().map_while(Result::ok).find(String::is_empty);
                    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len())?;
                    for piece in bytes.chunks(piece) {
                        stream.write_all(piece)?;
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    std::io::Result::Ok(())
                });
            }
        });
        url
    }

    /// Fails when a place that drips holds a bundle that is fetched whole although another one follows.
    #[test]
    fn a_whole_file_comes_from_the_place_behind_one_that_drips() {
        let (slow, fast) = (serve(&[7; 100_000], 20), serve(&[7; 100_000], 100_000));
        let average = Duration::from_secs(1);
        let patience = Patience { average, ..Patience::default() };
        let options = HttpOptions { patience, ..HttpOptions::default() };
        let urls = vec![slow, fast.clone()];
        let transfer = Transfer {
            urls,
            options,
            wanted: Wanted::default(),
            told: Arc::default(),
            whole: Marks::default(),
        };
        let (mut file, begun) = (tempfile::tempfile().unwrap(), Instant::now());
        let done = transfer.download(&file, (0, ByteLen::mib(1)), &|| Ok(true)).unwrap();
        assert_eq!((done.len.get(), done.effective_url), (100_000, fast));
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
        let mut came = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut came).unwrap();
        assert!(came == [7; 100_000], "nothing of the first place is left in it");
    }

    /// Fails when an honest place over a slow line is left for one that is dead.
    #[test]
    fn a_slow_place_is_gone_back_to_where_no_other_has_the_file() {
        let slow = serve(&[7; 6_000], 20);
        let average = Duration::from_secs(1);
        let patience = Patience { average, tries: 0, ..Patience::default() };
        let options = HttpOptions { patience, ..HttpOptions::default() };
        let urls = vec![slow.clone(), "http://127.0.0.1:1/b".to_owned()];
        let transfer = Transfer {
            urls,
            options,
            wanted: Wanted::default(),
            told: Arc::default(),
            whole: Marks::default(),
        };
        let file = tempfile::tempfile().unwrap();
        let done = transfer.download(&file, (0, ByteLen::mib(1)), &|| Ok(true)).unwrap();
        assert_eq!((done.len.get(), done.effective_url), (6_000, slow));
    }

    /// Fails when an attempt has no end, or when its end takes the measure of slow places from it.
    #[test]
    fn who_asks_says_when_an_attempt_ends_and_places_are_measured_as_always() {
        let text = "[system]\ncompatible=x\nbootloader=noop\n";
        let config = SystemConfig::parse(text, Path::new("/")).unwrap();
        let context = Context::host(Path::new("/nowhere"), Now(UnixTime(0)));
        let longest = Some(Duration::from_secs(6 * 60 * 60));
        let request = TransferRequest {
            urls: vec!["https://u.example/b.raucb".to_owned()],
            rate: None,
            budget: None,
            proxy: Proxy::Direct,
            schemes: Schemes::HttpsOnly,
            tls: ExchangeTls::default(),
            headers: Vec::new(),
            homes: Vec::new(),
            wanted: Wanted::default(),
            longest,
            stop: Arc::new(|| None),
        };
        let patience = Transfer::asked(&context, &config, request).unwrap().options.patience;
        assert_eq!((patience.total, patience.average), (longest, Patience::default().average));
    }
}

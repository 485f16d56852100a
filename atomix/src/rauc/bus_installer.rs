// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interface `de.pengutronix.rauc.Installer`, and ours beside it with what RAUC has not.
//! Nothing here waits on the thread that reads the bus.

use crate::rauc::desk::Desk;
use crate::rauc::dict::{dict_to_variants, manifest_dict};
use crate::rauc::engine::{Access, Inspected, InstallAsked, Told};
use crate::rauc::status_view::{Variants, text};
use bundle::http::shown_url;
use std::collections::HashMap;
use std::sync::Arc;
use zbus::message::{Header, Message};
use zbus::names::ErrorName;
use zbus::zvariant::OwnedValue;
use zbus::{DBusError, interface};

/// The name that GLib gives an error which has none of its own: "failed, handled".
const ERROR_NAME: &str = "org.gtk.GDBus.UnmappedGError.Quark._g_2dio_2derror_2dquark.Code30";

/// While an install goes on, for all but a second install.
const BUSY: &str = "already processing a different method";

/// Why a method failed, as RAUC says it on D-Bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub String);

impl Fault {
    fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl DBusError for Fault {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name())?.build(&(self.0.as_str(),))
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_static_str_unchecked(ERROR_NAME)
    }

    fn description(&self) -> Option<&str> {
        Some(&self.0)
    }
}

/// RAUC's interface.
pub struct Installer {
    desk: Arc<Desk>,
    /// Called before what depends on the configuration; see [`crate::rauc::service`].
    changed_on_disk: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Installer {
    /// The interface of `desk`.
    pub fn new(
        desk: Arc<Desk>,
        changed_on_disk: Box<dyn Fn() -> Option<String> + Send + Sync>,
    ) -> Self {
        Self { desk, changed_on_disk }
    }

    fn warn_of_changes(&self) {
        if let Some(warning) = (self.changed_on_disk)() {
            self.desk.log(&Told::Warning(warning));
        }
    }

    fn demand_idle(&self) -> Result<(), Fault> {
        if self.desk.is_installing() { Err(Fault::new(BUSY)) } else { Ok(()) }
    }

    async fn inspected(&self, source: String, access: Access) -> Result<Inspected, Fault> {
        self.demand_idle()?;
        let asked = self.desk.look(move |engine, stop| engine.inspect(&source, &access, stop));
        answered(asked.await)
    }

    fn begin(&self, asked: InstallAsked) -> Result<(), Fault> {
        self.warn_of_changes();
        self.desk.log(&Told::Line(format!("input bundle: {}", shown_url(&asked.source))));
        self.desk.install(asked).map_err(Fault::new)
    }
}

fn answered<T>(answer: Option<Result<T, String>>) -> Result<T, Fault> {
    answer.unwrap_or_else(|| Err("the service is ending".to_owned())).map_err(Fault)
}

fn variants(dict: &crate::rauc::dict::Dict) -> Result<Variants, Fault> {
    dict_to_variants(dict).map_err(|error| Fault::new(error.to_string()))
}

/// Takes a key out of the arguments if it has the right type, as RAUC does: one of another type
/// stays, and is then refused as unknown.
fn take<T: TryFrom<OwnedValue>>(arguments: &mut Variants, key: &str) -> Option<T> {
    let value = arguments.get(key)?.try_clone().ok()?;
    let value = T::try_from(value).ok()?;
    arguments.remove(key);
    Some(value)
}

fn take_text(arguments: &mut Variants, key: &str) -> Option<String> {
    let text = text(arguments, key)?;
    arguments.remove(key);
    Some(text)
}

fn take_access(arguments: &mut Variants) -> Access {
    Access {
        tls_cert: take_text(arguments, "tls-cert"),
        tls_key: take_text(arguments, "tls-key"),
        tls_ca: take_text(arguments, "tls-ca"),
        tls_no_verify: take(arguments, "tls-no-verify").unwrap_or(false),
        http_headers: take(arguments, "http-headers").unwrap_or_default(),
    }
}

fn demand_empty(arguments: &Variants) -> Result<(), Fault> {
    match arguments.keys().min() {
        Some(key) => Err(Fault(format!("Unsupported key: {key}"))),
        None => Ok(()),
    }
}

#[interface(name = "de.pengutronix.rauc.Installer")]
impl Installer {
    /// Begins an install.
    fn install(&self, source: String) -> Result<(), Fault> {
        self.begin(InstallAsked { source, ..InstallAsked::default() })
    }

    /// Begins an install.
    fn install_bundle(
        &self,
        source: String,
        args: HashMap<String, OwnedValue>,
    ) -> Result<(), Fault> {
        let mut args = args;
        if self.desk.is_installing() {
            return Err(Fault::new("Already processing a different method"));
        }
        let asked = InstallAsked {
            source,
            ignore_compatible: take(&mut args, "ignore-compatible").unwrap_or(false),
            ignore_version_limit: take(&mut args, "ignore-version-limit").unwrap_or(false),
            transaction: take_text(&mut args, "transaction-id"),
            require_manifest_hash: take_text(&mut args, "require-manifest-hash"),
            access: take_access(&mut args),
        };
        demand_empty(&args)?;
        self.begin(asked)
    }

    /// Compatible and version of a bundle.
    #[zbus(out_args("compatible", "version"))]
    async fn info(&self, bundle: String) -> Result<(String, String), Fault> {
        let inspected = self.inspected(bundle, Access::default()).await?;
        let update = inspected.manifest.update;
        Ok((update.compatible, update.version.unwrap_or_default()))
    }

    /// Everything about a bundle.
    #[zbus(out_args("info"))]
    async fn inspect_bundle(
        &self,
        source: String,
        args: HashMap<String, OwnedValue>,
    ) -> Result<HashMap<String, OwnedValue>, Fault> {
        let mut args = args;
        self.demand_idle()?;
        let access = take_access(&mut args);
        demand_empty(&args)?;
        let inspected = self.inspected(source, access).await?;
        variants(&manifest_dict(&inspected.manifest, inspected.digest))
    }

    /// Marks a slot.
    #[zbus(out_args("slot_name", "message"))]
    async fn mark(
        &self,
        state: String,
        slot_identifier: String,
    ) -> Result<(String, String), Fault> {
        self.demand_idle()?;
        let (asked, of) = (state.clone(), slot_identifier.clone());
        let marked = self.desk.ask(move |engine| {
            let marked = engine.mark(&asked, &of);
            let hint = marked.is_err().then(|| engine.hint()).flatten();
            marked.map_err(|why| (why, hint))
        });
        let (marked, hint) = match marked.await {
            Some(Err((why, hint))) => (answered(Some(Err(why))), hint),
            Some(Ok(done)) => (Ok(done), None),
            None => (answered(None), None),
        };
        if marked.is_ok() {
            self.desk.note_mark(&state, &slot_identifier);
        }
        let line = match &marked {
            Ok((_, message)) => message,
            Err(Fault(why)) => why,
        };
        self.desk.log(&Told::Note(format!("rauc mark: {line}")));
        self.desk.note_hint(hint);
        marked
    }

    /// The slots.
    #[zbus(out_args("slot_status_array"))]
    async fn get_slot_status(&self) -> Result<Vec<(String, HashMap<String, OwnedValue>)>, Fault> {
        let slots = if self.desk.is_installing() {
            self.desk.view().slots()
        } else {
            self.warn_of_changes();
            answered(self.desk.ask(|engine| engine.slots()).await)?
        };
        slots.into_iter().map(|(name, dict)| Ok((name, variants(&dict)?))).collect()
    }

    /// The artifact repositories.
    #[zbus(out_args("artifacts"))]
    async fn get_artifact_status(&self) -> Result<Vec<HashMap<String, OwnedValue>>, Fault> {
        let repositories = if self.desk.is_installing() {
            self.desk.view().artifacts()
        } else {
            answered(self.desk.ask(|engine| engine.artifacts()).await)?
        };
        repositories.iter().map(variants).collect()
    }

    /// The slot that boots next.
    #[zbus(out_args("primary"))]
    async fn get_primary(&self) -> Result<String, Fault> {
        let primary = if self.desk.is_installing() {
            self.desk.view().primary()
        } else {
            answered(self.desk.ask(|engine| engine.primary()).await).map_err(|Fault(why)| why)
        };
        // The line end is RAUC's.
        primary.map_err(|why| Fault(format!("Failed getting primary slot: {why}\n")))
    }

    /// What the service does.
    #[zbus(property)]
    fn operation(&self) -> String {
        self.desk.progressing().operation.to_owned()
    }

    /// Why the last install failed.
    #[zbus(property)]
    fn last_error(&self) -> String {
        self.desk.progressing().last_error
    }

    /// How far the install is.
    #[zbus(property)]
    fn progress(&self) -> (i32, String, i32) {
        self.desk.progressing().progress
    }

    /// Match string of the system.
    #[zbus(property)]
    fn compatible(&self) -> String {
        self.desk.facts().compatible.clone()
    }

    /// Variant of the system.
    #[zbus(property)]
    fn variant(&self) -> String {
        self.desk.facts().variant.clone()
    }

    /// Version of the system.
    #[zbus(property)]
    fn system_version(&self) -> String {
        self.desk.facts().system_version.clone()
    }

    /// What the system was booted from.
    #[zbus(property)]
    fn boot_slot(&self) -> String {
        self.desk.facts().boot_slot.clone()
    }

    /// An install ended; 0 for success.
    #[zbus(signal)]
    async fn completed(
        emitter: &zbus::object_server::SignalEmitter<'_>,
        result: i32,
    ) -> zbus::Result<()>;
}

/// What RAUC has not: `de.atomix.Installer`.
pub struct OwnInstaller {
    desk: Arc<Desk>,
}

impl OwnInstaller {
    /// The interface of `desk`.
    #[must_use]
    pub fn new(desk: Arc<Desk>) -> Self {
        Self { desk }
    }
}

#[interface(name = "de.atomix.Installer")]
impl OwnInstaller {
    /// Asks the install that goes on to end; `Completed` and `LastError` tell when it did.
    fn cancel(&self) -> Result<(), Fault> {
        self.desk.cancel().map_err(Fault::new)
    }

    /// What can be done about what failed last; or empty.
    #[zbus(property(emits_changed_signal = "false"))]
    fn hint(&self) -> &'static str {
        self.desk.progressing().hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::zvariant::Value;

    fn value(value: impl Into<Value<'static>>) -> OwnedValue {
        value.into().try_to_owned().unwrap()
    }

    #[test]
    fn arguments_of_another_type_are_refused_as_unknown() {
        let mut arguments = Variants::from([
            ("tls-no-verify".to_owned(), value("yes")),
            ("tls-ca".to_owned(), value("/ca.pem")),
            ("http-headers".to_owned(), value(vec!["A: b".to_owned()])),
        ]);
        let access = take_access(&mut arguments);
        assert_eq!(access.tls_ca.as_deref(), Some("/ca.pem"));
        assert_eq!(access.http_headers, ["A: b"]);
        assert!(!access.tls_no_verify);
        let refused = demand_empty(&arguments).unwrap_err();
        assert_eq!(refused.0, "Unsupported key: tls-no-verify");
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long is a server waited for that says nothing more? `ATOMIX_HTTP_STALL_SECS` and
//! `ATOMIX_HTTP_TRIES`: a unit's drop-in sets them where a link is worse, or shall be given up
//! sooner, than the defaults think. RAUC has fixed numbers; `system.conf` gets no keys of ours.
//!
//! Both are looked at once, before a command does anything: a typing error in a drop-in must not
//! wait for the night of the update. It must not keep a board from its service either: that warns,
//! and what has nothing to do with servers is not kept from its work at all.

use crate::rauc::commands::Verb;
use crate::rauc::env::RaucEnv;
use crate::rauc::error::RaucError;
use bundle::http::Patience;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// An hour: whoever needs more has no link.
const STALL_SECS: RangeInclusive<u64> = 1..=3600;

/// With the longest pause between tries, most of a day.
const TRIES: RangeInclusive<u32> = 0..=1000;

/// The patience that an environment asks for.
///
/// # Errors
/// [`RaucError`] for a value that is no number or beyond its limits.
pub fn patience(env: &RaucEnv) -> Result<Patience, RaucError> {
    let mut patience = Patience::default();
    if let Some(text) = &env.http_stall_secs {
        patience.stall = Duration::from_secs(within("ATOMIX_HTTP_STALL_SECS", text, &STALL_SECS)?);
        patience.connect = patience.connect.min(patience.stall);
    }
    if let Some(text) = &env.http_tries {
        patience.tries = within("ATOMIX_HTTP_TRIES", text, &TRIES)?;
        // Somebody waits for the first answer.
        patience.first_tries = patience.first_tries.min(patience.tries);
    }
    Ok(patience)
}

/// The environment as `verb` may go on with it: without the numbers that cannot be used. `warn` is
/// told of them.
///
/// # Errors
/// [`RaucError`] for one that cannot be used, if the command fetches by itself.
pub fn usable(
    mut env: RaucEnv,
    verb: Verb,
    warn: &mut dyn FnMut(&str),
) -> Result<RaucEnv, RaucError> {
    let only = |http_stall_secs: &Option<String>, http_tries: &Option<String>| {
        let (http_stall_secs, http_tries) = (http_stall_secs.clone(), http_tries.clone());
        patience(&RaucEnv { http_stall_secs, http_tries, ..RaucEnv::default() }).err()
    };
    let stall = only(&env.http_stall_secs, &None);
    let tries = only(&None, &env.http_tries);
    if stall.is_some() {
        env.http_stall_secs = None;
    }
    if tries.is_some() {
        env.http_tries = None;
    }
    for refused in [stall, tries].into_iter().flatten() {
        match verb {
            Verb::Info | Verb::Mount => return Err(refused),
            Verb::Service => warn(&format!("{}; the default is used", refused.chain())),
            Verb::Help
            | Verb::Install
            | Verb::Bundle
            | Verb::Resign
            | Verb::Convert
            | Verb::Encrypt
            | Verb::ReplaceSignature
            | Verb::ExtractSignature
            | Verb::Extract
            | Verb::Status
            | Verb::WriteSlot => {}
        }
    }
    Ok(env)
}

fn within<N>(name: &str, text: &str, limits: &RangeInclusive<N>) -> Result<N, RaucError>
where
    N: FromStr + PartialOrd + std::fmt::Display,
{
    text.parse().ok().filter(|number| limits.contains(number)).ok_or_else(|| {
        let (least, most) = (limits.start(), limits.end());
        RaucError::refused(format!(
            "invalid {name} value '{text}': it must be a number from {least} to {most}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stall: Option<&str>, tries: Option<&str>) -> Result<Patience, RaucError> {
        let [http_stall_secs, http_tries] = [stall, tries].map(|text| text.map(str::to_owned));
        patience(&RaucEnv { http_stall_secs, http_tries, ..RaucEnv::default() })
    }

    /// Fails when a typing error in a drop-in leaves a board without its service.
    #[test]
    fn a_typing_error_keeps_nobody_from_what_needs_no_server() {
        let env = || RaucEnv {
            http_stall_secs: Some("30s".to_owned()),
            http_tries: Some("3".to_owned()),
            ..RaucEnv::default()
        };
        let mut warnings = Vec::new();
        let mut warn = |text: &str| warnings.push(text.to_owned());
        let served = usable(env(), Verb::Service, &mut warn).unwrap();
        assert_eq!(patience(&served).unwrap().tries, 3);
        assert_eq!(patience(&served).unwrap().stall, Patience::default().stall);
        usable(env(), Verb::Status, &mut warn).unwrap();
        for verb in [Verb::Info, Verb::Mount] {
            assert!(usable(env(), verb, &mut warn).is_err());
        }
        let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
        assert!(warning.contains("ATOMIX_HTTP_STALL_SECS value '30s'"), "{warning}");
        assert!(warning.ends_with("the default is used"), "{warning}");
    }

    #[test]
    fn what_is_not_asked_for_stays_as_it_is() {
        assert_eq!(of(None, None).unwrap(), Patience::default());
        let short = of(Some("2"), Some("1")).unwrap();
        assert_eq!((short.stall, short.connect), (Duration::from_secs(2), Duration::from_secs(2)));
        assert_eq!((short.tries, short.first_tries), (1, 1));
        let long = of(Some("600"), Some("100")).unwrap();
        assert_eq!(long.connect, Patience::default().connect);
        assert_eq!((long.tries, long.first_tries), (100, Patience::default().first_tries));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (stall, tries) in [
            (Some("0"), None),
            (Some("1m"), None),
            (Some(""), None),
            (Some("3601"), None),
            (None, Some("-1")),
            (None, Some("1001")),
        ] {
            let refused = of(stall, tries).unwrap_err().chain();
            let name = if tries.is_some() { "ATOMIX_HTTP_TRIES" } else { "ATOMIX_HTTP_STALL_SECS" };
            assert!(refused.contains(name), "{refused}");
        }
    }
}

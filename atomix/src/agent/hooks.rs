// SPDX-License-Identifier: MIT OR Apache-2.0
//! May the device be restarted now, says the owner's own programs? Those that the settings name, in
//! their order; the first that says no is the last one asked, and all of them are asked again later.

use crate::context::Context;
use crate::signals::StopRequest;
use agents::agent::HandError;
use programs::{ProgramCall, ProgramError};
use std::path::Path;
use std::time::Duration;
use storage::FilesError;

/// Where they are in the image. A configuration names them and brings none.
const HOOKS_DIR: &str = "/etc/atomix/before-reboot";

/// The longest each may take; it is killed then, with all that it started.
const HOOK_LIMIT: Duration = Duration::from_secs(60);

/// Why the device is not restarted.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// Its name leads nowhere.
    #[error("cannot find {HOOKS_DIR}/{name}")]
    Find {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: FilesError,
    },
    /// It says no, or nothing in time.
    #[error("{HOOKS_DIR}/{name} does not allow the restart now")]
    Forbids {
        /// The name.
        name: String,
        /// How it ended.
        #[source]
        source: ProgramError,
    },
}

impl HookError {
    /// The way out, with the program's path.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Forbids { name, .. } if self.is_a_no() => format!(
                "the restart waits for {HOOKS_DIR}/{name}: it is asked again in 5 minutes; run it by \
                 hand to see what it waits for"
            ),
            Self::Find { name, .. } | Self::Forbids { name, .. } => format!(
                "the restart waits until {HOOKS_DIR}/{name} can be run: put a program there, or take \
                 its name out of before_reboot in [os_upgrade.policy]"
            ),
        }
    }

    /// Whether it was run and has said no, or nothing in time. One that cannot be started never will.
    fn is_a_no(&self) -> bool {
        let Self::Forbids { source, .. } = self else { return false };
        !matches!(source, ProgramError::Start { .. } | ProgramError::Input { .. })
    }
}

/// Whether a hand did nothing because a program of the owner does not allow the restart now: that is
/// waited for, and no failure.
#[must_use]
pub fn is_forbidden(failed: &HandError) -> bool {
    failed.source.downcast_ref().is_some_and(HookError::is_a_no)
}

/// Runs them. A program that is named and missing forbids the restart: nobody knows what it was to
/// make safe.
///
/// # Errors
/// [`HookError`] of the first that forbids it.
pub fn run_before_reboot(
    context: &Context,
    names: &[String],
    stop: &StopRequest,
) -> Result<(), HookError> {
    names.iter().try_for_each(|name| run_one(context, name, stop, HOOK_LIMIT))
}

fn run_one(
    context: &Context,
    name: &str,
    stop: &StopRequest,
    limit: Duration,
) -> Result<(), HookError> {
    let find = |source| HookError::Find { name: name.to_owned(), source };
    let path = context.files.resolve(&Path::new(HOOKS_DIR).join(name)).map_err(find)?;
    let call = ProgramCall::new(&path).talks_to_people().timeout(limit);
    let ended = programs::run(call, &|| stop.by());
    let forbids = |source| HookError::Forbids { name: name.to_owned(), source };
    ended.and_then(|end| end.check(name)).map(drop).map_err(forbids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Now;
    use bundle::UnixTime;
    use std::os::unix::fs::PermissionsExt;
    use storage::chain;

    fn hook(context: &Context, name: &str, text: &str) {
        let path = context.files.resolve(&Path::new(HOOKS_DIR).join(name)).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = std::fs::File::create_new(&path).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Fails when a unit fails every five minutes for as long as a till is open.
    #[test]
    fn a_no_of_a_program_is_waited_for_and_other_failures_are_none_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let context = Context::host(dir.path(), Now(UnixTime(0)));
        hook(&context, "no", "#!/bin/sh\nexit 3\n");
        let names = ["no".to_owned()];
        let run = |names: &[String]| {
            run_before_reboot(&context, names, &StopRequest::of_nobody()).unwrap_err()
        };
        let (no, missing) = (run(&names), run(&["missing".to_owned()]));
        assert!(no.hint().contains("/etc/atomix/before-reboot/no: it is asked again"));
        assert!(missing.hint().contains("before-reboot/missing can be run: put a program there"));
        let source = FilesError::Escapes { path: "../tills".into() };
        let find = HookError::Find { name: "../tills".to_owned(), source };
        let of = |source| HandError { doing: "restart the device now".to_owned(), source };
        assert!(is_forbidden(&of(no.into())));
        assert!(
            !is_forbidden(&of(missing.into())),
            "the device would never restart, and none see it"
        );
        assert!(!is_forbidden(&of(find.into())));
        assert!(!is_forbidden(&of("the service manager refuses".into())));
    }

    #[test]
    fn the_first_program_that_says_no_is_the_last_one_asked() {
        let dir = tempfile::tempdir().unwrap();
        let context = Context::host(dir.path(), Now(UnixTime(0)));
        let note = dir.path().join("asked").display().to_string();
        hook(&context, "one", &format!("#!/bin/sh\necho one >> {note}\n"));
        hook(
            &context,
            "no",
            &format!("#!/bin/sh\necho no >> {note}\necho pump runs >&2\nexit 3\n"),
        );
        hook(&context, "dies", "#!/bin/sh\nkill -9 $$\n");
        hook(&context, "sleeps", "#!/bin/sh\nsleep 100\n");
        let stop = StopRequest::of_nobody();
        let run = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            run_before_reboot(&context, &names, &stop).map_err(|error| chain(&error))
        };
        assert_eq!(run(&["one"]), Ok(()));
        let said = run(&["one", "no", "one"]).unwrap_err();
        assert!(said.contains("before-reboot/no does not allow") && said.contains("pump runs"));
        assert!(said.contains("exit status 3"), "{said}");
        let asked = context.read_text(Path::new("/asked"), storage::ByteLen::kib(1)).unwrap();
        assert_eq!(asked.unwrap(), "one\none\nno\n");
        assert!(run(&["dies"]).unwrap_err().contains("signal 9"));
        assert!(run(&["missing"]).unwrap_err().contains("before-reboot/missing does not allow"));
        let late = run_one(&context, "sleeps", &stop, Duration::from_millis(200)).unwrap_err();
        assert!(chain(&late).contains("was killed"), "{}", chain(&late));
    }
}

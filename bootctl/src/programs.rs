// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one place of this crate that runs programs: argument lists only, no shell, output bounded.

use crate::BackendError;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

/// Most bytes kept of what a script prints: a script gone wild must not fill the memory.
const OUTPUT_MAX_BYTES: u64 = 4096;

/// Runs `program` with `arguments` and gives what it printed, without blanks at the ends.
pub(crate) fn run(program: &Path, arguments: &[&str]) -> Result<String, BackendError> {
    let shown = || arguments.join(" ");
    let start =
        |source| BackendError::Start { program: program.to_owned(), arguments: shown(), source };
    #[expect(clippy::disallowed_methods, reason = "this module is the one that runs programs")]
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    // Both pipes are drained at once; one after the other would stand still on a full second one.
    let stderr = child.stderr.take();
    let reader = std::thread::spawn(move || bounded(stderr));
    let stdout = bounded(child.stdout.take());
    let stderr = reader.join().unwrap_or_default();
    let status = child.wait().map_err(start)?;
    if status.success() {
        return Ok(stdout);
    }
    Err(BackendError::Failed {
        program: program.to_owned(),
        arguments: shown(),
        status: status.to_string(),
        stderr: if stderr.is_empty() { "no message".to_owned() } else { stderr },
    })
}

/// The beginning of a stream as text; the rest is read and dropped so that the writer can end.
fn bounded(stream: Option<impl Read>) -> String {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream
        && stream.by_ref().take(OUTPUT_MAX_BYTES).read_to_end(&mut kept).is_ok()
    {
        // A failing drain means that the writer is gone, which its exit status tells better.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the firmware run to choose a slot? The selector: variables of U-Boot's default
//! environment, generated from the facts of a board.
//!
//! It decides exactly as `bootctl`'s firmware model does; tests run both over the same
//! environments. It lives in no slot, and `bootcmd` takes it from the defaults built into U-Boot
//! before it runs, since a stored environment replaces the defaults whole.
//!
//! Written for U-Boot's old hush: no functions, no `setexpr`, no `break`; counting down is a
//! chain of comparisons. Rules that keep it right there:
//! - values are compared with an `x` before them, because `test -z` on nothing is false;
//! - success is kept in a variable, never in the status of `run`;
//! - a loop variable is found in the environment before it is found in the shell, so
//!   `atomix_s` is removed from the environment first;
//! - a command has at most 16 words (`CONFIG_SYS_MAXARGS`), or it does nothing and what it was to
//!   set keeps its old value;
//! - a value that anybody may have written is quoted where it is copied: unquoted it loses its
//!   blanks, and ` good ` would permit what the Linux half does not read as `good`.
//!
//! What it decides is left for the flight recorder as well: [`TRAIL`] has the last ten to twenty
//! decisions, oldest first, in words like `07.B2.trying` (number, slot and attempts left, reason),
//! and `.load-failed` behind a slot that did not load. Only the selector writes it, in the saves it
//! makes anyway; Linux finds by the numbers what it has not told yet.
//!
//! The scripts take about 9.5 KiB of every saved environment, so it wants 32 KiB; the original's
//! 8 KiB are too small.

/// Version of the rules below, passed to the kernel as `atomix.selector=`.
pub const SELECTOR_VERSION: u32 = 1;

/// Variables the selector works with and leaves behind in a saved environment; they mean nothing
/// to a reader. (`atomix_s`, the loop variable, is never in it.)
pub const TEMPORARIES: [&str; 21] = [
    "atomix_args",
    "atomix_base",
    "atomix_cause",
    "atomix_digit",
    "atomix_disk_now",
    "atomix_first",
    "atomix_left",
    "atomix_next",
    "atomix_note",
    "atomix_ok",
    "atomix_order",
    "atomix_part",
    "atomix_pause",
    "atomix_readable",
    "atomix_slot",
    "atomix_state",
    "atomix_stay",
    "atomix_step",
    "atomix_turn",
    "atomix_want",
    "atomix_why",
];

/// Variables of the trail: the decisions since the last digit of their number was 0, the ten before
/// them, and the two digits of the newest one's number. No command could take more words at once.
pub const TRAIL: [&str; 4] =
    ["atomix_trail", "atomix_trail_before", "atomix_trail_tens", "atomix_trail_ones"];

/// How long a person has to let go of the recovery button, and then to press it again.
const RELEASE_SECS: u32 = 3;

/// Names of scripts that one `env default -f` command can take beside its own three words.
const NAMES_PER_COMMAND: usize = 13;

/// What the selector must know of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorFacts {
    /// U-Boot's interface of the disk that holds the slots, such as `mmc`.
    pub interface: String,
    /// Number of the disk on that interface.
    pub device: u32,
    /// Partition labels of the boot partitions of slots A and B.
    pub boot_labels: [String; 2],
    /// Path of the slot script in a boot partition.
    pub script_path: String,
    /// Where a slot script is loaded to.
    pub script_address: u64,
    /// The watchdog to arm before a slot is started.
    pub watchdog: Option<WatchdogFacts>,
    /// The button that asks for recovery.
    pub button: Option<ButtonFacts>,
    /// The USB gadget that shows the disk to a technician.
    pub mass_storage: Option<MassStorageFacts>,
}

/// A hardware watchdog as U-Boot names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchdogFacts {
    /// Device name for `wdt dev`.
    pub name: String,
    /// Time until it resets the board.
    pub timeout_millis: u32,
}

/// A recovery button that pulls its pin low.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ButtonFacts {
    /// Pin for `gpio input`.
    pub pin: String,
    /// How long it must be held.
    pub hold_secs: u32,
}

/// USB mass storage through `ums`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MassStorageFacts {
    /// USB controller number.
    pub controller: u32,
}

/// The selector as text of a default environment: one `name=value` line for each variable.
#[must_use]
pub fn selector_script(facts: &SelectorFacts) -> String {
    let mut text = String::new();
    for (name, value) in selector_variables(facts) {
        text.push_str(&name);
        text.push('=');
        text.push_str(&value);
        text.push('\n');
    }
    text
}

/// The variables of the selector, `bootcmd` first.
#[must_use]
pub fn selector_variables(facts: &SelectorFacts) -> Vec<(String, String)> {
    let mut parts = entry_parts(facts);
    parts.extend(identity_parts(facts));
    parts.extend(choice_parts());
    parts.extend(last_resort_parts());
    parts.extend(trail_parts());
    parts.extend(start_parts(facts));

    let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
    let mut steps: Vec<String> = names
        .chunks(NAMES_PER_COMMAND)
        .map(|names| format!("env default -f {}", names.join(" ")))
        .collect();
    steps.extend(
        [
            "setenv atomix_s",
            "setenv atomix_slot",
            "setenv atomix_pause",
            "setenv atomix_stay",
            "run atomix_asked",
            // The firmware takes success for the wish to come to the prompt, and nothing else.
            "if test \"x${atomix_stay}\" != x; then true; else run atomix_find; \
             if test \"x${atomix_readable}\" = x1; then run atomix_identify; run atomix_choose; \
             if test \"x${atomix_slot}\" != x; then run atomix_commit; fi; \
             if test \"x${atomix_slot}\" != x; then run atomix_start; fi; fi; \
             run atomix_recover; reset; fi",
        ]
        .map(str::to_owned),
    );
    let head = [
        ("bootcmd", "env default -f atomix_select; run atomix_select".to_owned()),
        ("atomix_select", steps.join("; ")),
    ];
    head.into_iter().chain(parts).map(|(name, value)| (name.to_owned(), value)).collect()
}

type Part = (&'static str, String);

/// What a person may ask for before anything is decided, and where everything ends that fails.
fn entry_parts(facts: &SelectorFacts) -> Vec<Part> {
    let button = facts.button.as_ref().map(|button| {
        let (pin, secs) = (&button.pin, button.hold_secs);
        format!(
            "if gpio input {pin}; then echo recovery button: keep it held; sleep {secs}; \
             if gpio input {pin}; then run atomix_held; fi; fi"
        )
    });
    // Two ways to the prompt: let the button go and press it again, or keep it pressed until the
    // host ejects the disk. Nobody did either where it is still pressed and USB mass storage ended
    // by itself: it is stuck, and the board must boot all the same.
    let held = facts.button.as_ref().map(|ButtonFacts { pin, .. }| {
        format!(
            "echo let go for USB mass storage, press again for the prompt; sleep {RELEASE_SECS}; \
             if gpio input {pin}; then run atomix_recover; \
             if gpio input {pin}; then setenv atomix_stay ${{atomix_ok}}; else reset; fi; \
             else sleep {RELEASE_SECS}; \
             if gpio input {pin}; then setenv atomix_stay 1; else run atomix_recover; reset; fi; fi"
        )
    });
    // The request is cleared durably before it is obeyed; where it cannot be cleared it is not
    // obeyed, or a remote device would never boot again.
    let request = facts.mass_storage.as_ref().map(|_| {
        "if test \"x${START_UMS}\" = x1; then setenv START_UMS; \
         if saveenv; then run atomix_recover; reset; fi; fi"
            .to_owned()
    });
    let asked: Vec<String> = button.into_iter().chain(request).collect();
    let asked = if asked.is_empty() { "true".to_owned() } else { asked.join("; ") };
    let recover = match &facts.mass_storage {
        Some(usb) => format!(
            "setenv atomix_ok; echo atomix: recovery over USB; \
             if ums {} {} {}; then setenv atomix_ok 1; fi",
            usb.controller, facts.interface, facts.device
        ),
        None => "setenv atomix_ok; echo atomix: nothing can be started; sleep 30".to_owned(),
    };
    let mut parts = vec![("atomix_asked", asked)];
    parts.extend(held.map(|held| ("atomix_held", held)));
    parts.push(("atomix_recover", recover));
    parts
}

/// Does the environment belong to this disk?
fn identity_parts(facts: &SelectorFacts) -> Vec<Part> {
    let [label_a, label_b] = &facts.boot_labels;
    let disk = format!("{} {}", facts.interface, facts.device);
    // A table that cannot be read must not look like a foreign disk: nothing is forgotten then.
    let find = format!(
        "setenv atomix_readable; setenv atomix_disk_now; setenv atomix_part; \
         if part number {disk} {label_a} atomix_part; then setenv atomix_readable 1; fi; \
         if part number {disk} {label_b} atomix_part; then setenv atomix_readable 1; \
         part uuid {disk}:${{atomix_part}} atomix_disk_now; fi"
    );
    // What a person asked for was asked of that board: a root login, a reset of its data.
    let identify = "setenv atomix_why; if test \"x${atomix_env}\" = x1; then \
        if test \"x${atomix_disk}\" != \"x${atomix_disk_now}\"; then \
        setenv atomix_why foreign-disk; setenv _RUT_OH_; setenv atomix_reset_data; fi; \
        else setenv atomix_why env-lost; fi; \
        if test \"x${atomix_why}\" != x; then run atomix_forget; fi; \
        setenv atomix_note \"${atomix_reason}\"";
    // Another U-Boot's environment may say where `booti` has to put things; on this board that can
    // keep both slots from starting.
    let forget = "setenv fdt_high; setenv initrd_high; \
        setenv bootm_low; setenv bootm_size; setenv bootm_mapsize; \
        setenv atomix_trail; setenv atomix_trail_before; \
        setenv atomix_trail_tens; setenv atomix_trail_ones; \
        setenv BOOT_ORDER A B; setenv BOOT_A_LEFT 3; setenv BOOT_B_LEFT 3; \
        setenv atomix_state_A unknown; setenv atomix_state_B unknown; \
        setenv atomix_digest_A; setenv atomix_digest_B; setenv atomix_failed; \
        setenv atomix_last; setenv atomix_reason; setenv atomix_returned; \
        setenv atomix_disk ${atomix_disk_now}; setenv atomix_env 1";
    vec![
        ("atomix_find", find),
        ("atomix_identify", identify.to_owned()),
        ("atomix_forget", forget.to_owned()),
    ]
}

/// The ordinary choice: the first slot of the order that may be started, then good slots anew.
fn choice_parts() -> Vec<Part> {
    let choose = "setenv atomix_order; setenv atomix_first; \
        for atomix_s in ${BOOT_ORDER} end; do run atomix_word; done; \
        for atomix_s in ${atomix_order} end; do run atomix_try; done; \
        if test \"x${atomix_slot}\" = x; then run atomix_renew; fi; \
        if test \"x${atomix_slot}\" = x; then run atomix_resort; fi";
    let word = "if test \"x${atomix_s}\" = xA -o \"x${atomix_s}\" = xB; then \
        if test \"x${atomix_order}\" = x; then setenv atomix_order ${atomix_s}; \
        setenv atomix_first ${atomix_s}; \
        elif test \"x${atomix_order}\" = xA -a \"x${atomix_s}\" = xB; then \
        setenv atomix_order A B; \
        elif test \"x${atomix_order}\" = xB -a \"x${atomix_s}\" = xA; then \
        setenv atomix_order B A; fi; fi";
    let get = |slot: char| {
        format!(
            "setenv atomix_left \"${{BOOT_{slot}_LEFT}}\"; \
             setenv atomix_state \"${{atomix_state_{slot}}}\""
        )
    };
    let known = "run atomix_get_${atomix_s}; \
        if test \"x${atomix_state}\" = xgood -o \"x${atomix_state}\" = xtrying \
        -o \"x${atomix_state}\" = xbad; then true; \
        elif test \"x${atomix_state}\" = xempty -o \"x${atomix_state}\" = xwriting; then true; \
        else setenv atomix_state unknown; fi";
    let try_one = "if test \"x${atomix_s}\" != xend -a \"x${atomix_slot}\" = x; then \
        run atomix_get; run atomix_spend; \
        if test \"x${atomix_state}\" = xgood -o \"x${atomix_state}\" = xtrying \
        -o \"x${atomix_state}\" = xunknown; then \
        if test \"x${atomix_next}\" != x; then setenv atomix_slot ${atomix_s}; \
        setenv BOOT_${atomix_s}_LEFT ${atomix_next}; setenv atomix_last ${atomix_s}; \
        run atomix_name; \
        elif test \"x${atomix_state}\" = xtrying; then \
        setenv atomix_state_${atomix_s} bad; fi; fi; fi";
    let name = "setenv atomix_base normal; \
        if test \"x${atomix_state}\" = xtrying; then setenv atomix_base trying; fi; \
        if test \"x${atomix_s}\" != \"x${atomix_first}\"; then setenv atomix_base fallback; fi; \
        if test \"x${atomix_state}\" = xunknown; then setenv atomix_base env-lost; \
        if test \"x${atomix_why}\" != x; then setenv atomix_base ${atomix_why}; fi; fi";
    let renew = "for atomix_s in A B; do run atomix_get; \
        if test \"x${atomix_state}\" = xgood; then setenv BOOT_${atomix_s}_LEFT 3; fi; done; \
        setenv atomix_want good; run atomix_pick; \
        if test \"x${atomix_slot}\" != x; then setenv BOOT_${atomix_slot}_LEFT 2; \
        setenv atomix_next 2; setenv atomix_last ${atomix_slot}; \
        setenv atomix_base attempts-reset; fi";
    vec![
        ("atomix_choose", choose.to_owned()),
        ("atomix_word", word.to_owned()),
        ("atomix_get", known.to_owned()),
        ("atomix_get_A", get('A')),
        ("atomix_get_B", get('B')),
        ("atomix_try", try_one.to_owned()),
        ("atomix_spend", spend_chain()),
        ("atomix_name", name.to_owned()),
        ("atomix_renew", renew.to_owned()),
    ]
}

/// One less than 9…1 attempts; nothing for every other text.
fn spend_chain() -> String {
    let step = |left: u32| {
        let word = if left == 9 { "if" } else { "elif" };
        format!("{word} test \"x${{atomix_left}}\" = x{left}; then setenv atomix_next {}", left - 1)
    };
    let steps: Vec<String> = (1..=9).rev().map(step).collect();
    format!("setenv atomix_next; {}; fi", steps.join("; "))
}

/// What is left when no slot may be started: any sealed one, by turns, ever more slowly; and
/// what to start when nothing can be saved.
fn last_resort_parts() -> Vec<Part> {
    let resort = "setenv atomix_turn A B; setenv atomix_step 1; \
        for atomix_s in ${atomix_last} end; do run atomix_past; done; \
        for atomix_s in ${atomix_turn}; do if test \"x${atomix_slot}\" = x; then run atomix_get; \
        if test \"x${atomix_state}\" != xempty -a \"x${atomix_state}\" != xwriting; then \
        run atomix_load_${atomix_s}; if test \"x${atomix_ok}\" = x1; then \
        setenv atomix_slot ${atomix_s}; fi; fi; fi; done; \
        if test \"x${atomix_slot}\" != x; then setenv atomix_last ${atomix_slot} ${atomix_step}; \
        setenv atomix_next; setenv atomix_base last-resort; run atomix_delay; fi";
    let past = "if test \"x${atomix_s}\" = xA; then setenv atomix_turn B A; \
        elif test \"x${atomix_s}\" = xB; then setenv atomix_turn A B; \
        elif test \"x${atomix_s}\" = x1; then setenv atomix_step 2; \
        elif test \"x${atomix_s}\" = x2; then setenv atomix_step 3; \
        elif test \"x${atomix_s}\" = x3; then setenv atomix_step 4; \
        elif test \"x${atomix_s}\" != xend; then setenv atomix_step 5; fi";
    let delay = "setenv atomix_pause 300; \
        if test \"x${atomix_step}\" = x1; then setenv atomix_pause 10; \
        elif test \"x${atomix_step}\" = x2; then setenv atomix_pause 30; \
        elif test \"x${atomix_step}\" = x3; then setenv atomix_pause 60; \
        elif test \"x${atomix_step}\" = x4; then setenv atomix_pause 120; fi";
    let pick = "for atomix_s in ${atomix_order} A B; do \
        if test \"x${atomix_slot}\" = x; then run atomix_get; \
        if test \"x${atomix_state}\" = \"x${atomix_want}\"; then run atomix_load_${atomix_s}; \
        if test \"x${atomix_ok}\" = x1; then setenv atomix_slot ${atomix_s}; fi; fi; fi; done";
    // A trying slot is never started without its attempt saved: it could be started for ever.
    let unsaved = "setenv atomix_slot; setenv atomix_pause; setenv atomix_cause env-unwritable; \
        setenv atomix_want good; run atomix_pick; setenv atomix_want unknown; run atomix_pick; \
        setenv atomix_want bad; run atomix_pick";
    vec![
        ("atomix_resort", resort.to_owned()),
        ("atomix_past", past.to_owned()),
        ("atomix_delay", delay.to_owned()),
        ("atomix_pick", pick.to_owned()),
        ("atomix_unsaved", unsaved.to_owned()),
    ]
}

/// The decision as a word of the trail. When the last digit of its number becomes 0, what is there
/// takes the place of the ten before it, so that neither variable grows without end, whatever
/// stood in them.
fn trail_parts() -> Vec<Part> {
    let remember = "setenv atomix_left ${atomix_trail_ones}; run atomix_count; \
        setenv atomix_trail_ones ${atomix_digit}; if test \"x${atomix_digit}\" = x0; then \
        setenv atomix_left ${atomix_trail_tens}; run atomix_count; \
        setenv atomix_trail_tens ${atomix_digit}; \
        setenv atomix_trail_before ${atomix_trail}; setenv atomix_trail; fi; \
        setenv atomix_trail ${atomix_trail} \
        ${atomix_trail_tens}${atomix_trail_ones}.${atomix_slot}${atomix_next}.${atomix_base}";
    let step = |digit: u32| {
        let word = if digit == 0 { "if" } else { "elif" };
        let next = digit + 1;
        format!("{word} test \"x${{atomix_left}}\" = x{digit}; then setenv atomix_digit {next}")
    };
    let steps: Vec<String> = (0..=8).map(step).collect();
    let count = format!("{}; else setenv atomix_digit 0; fi", steps.join("; "));
    vec![("atomix_remember", remember.to_owned()), ("atomix_count", count)]
}

/// Saving the choice and starting the slot. A cut before `saveenv` is done leaves the old
/// environment, one after it has spent the attempt; no kernel has started in either case.
fn start_parts(facts: &SelectorFacts) -> Vec<Part> {
    let commit = "setenv atomix_reason ${atomix_base}; setenv atomix_cause ${atomix_base}; \
        run atomix_remember; if saveenv; then if test \"x${atomix_note}\" = xload-failed; then \
        if test \"x${atomix_base}\" = xnormal -o \"x${atomix_base}\" = xtrying \
        -o \"x${atomix_base}\" = xfallback; then setenv atomix_cause load-failed; fi; fi; \
        else run atomix_unsaved; fi";
    let watchdog = facts.watchdog.as_ref().map_or_else(String::new, |watchdog| {
        format!("wdt dev {}; wdt start {}; ", watchdog.name, watchdog.timeout_millis)
    });
    let start = format!(
        "setenv atomix_args rauc.slot=${{atomix_slot}} atomix.reason=${{atomix_cause}} \
         atomix.selector={SELECTOR_VERSION}; \
         echo atomix: slot ${{atomix_slot}}, ${{atomix_cause}}; \
         if test \"x${{atomix_pause}}\" != x; then sleep ${{atomix_pause}}; fi; {watchdog}\
         run atomix_load_${{atomix_slot}}; \
         if test \"x${{atomix_ok}}\" = x1; then source {address:#x}; fi; \
         echo atomix: slot ${{atomix_slot}} cannot be started; \
         setenv bootargs; setenv atomix_args; setenv atomix_reason load-failed; \
         setenv atomix_trail ${{atomix_trail}}.load-failed; saveenv; reset",
        address = facts.script_address,
    );
    let [label_a, label_b] = &facts.boot_labels;
    vec![
        ("atomix_commit", commit.to_owned()),
        ("atomix_start", start),
        ("atomix_load_A", load_part(facts, label_a)),
        ("atomix_load_B", load_part(facts, label_b)),
    ]
}

/// Loads a slot's script, which is also the test whether the slot is sealed: an unfinished
/// install has no readable boot partition.
fn load_part(facts: &SelectorFacts, label: &str) -> String {
    let SelectorFacts { interface, device, script_path, script_address, .. } = facts;
    format!(
        "setenv atomix_ok; setenv atomix_part; \
         if part number {interface} {device} {label} atomix_part; then \
         if load {interface} {device}:${{atomix_part}} {script_address:#x} {script_path}; then \
         setenv atomix_ok 1; fi; fi"
    )
}

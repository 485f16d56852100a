// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may change the environment of a board with `bootloader=uboot`: RAUC's way or ours?
//!
//! Our own boot script reads more than RAUC's variables and permits a boot only where both agree.
//! `fw_setenv` knows nothing of it: it would make a slot primary that our state calls half written,
//! and on a lost environment it would store one that holds a boot order and no boot command, from
//! which no board starts. So where a board has, or had, our protocol, only [`super::AtomixNamed`]
//! speaks to it, however little can be read.

use uboot::Env;

/// What an attempt to read the environment gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvRead {
    /// It is ours: `atomix_env=1`.
    Ours,
    /// It is valid and not ours.
    Foreign,
    /// No copy is valid.
    Lost,
    /// Its place is not configured or cannot be read.
    Unreadable,
}

impl EnvRead {
    /// What a valid environment is.
    #[must_use]
    pub fn of(env: &Env) -> Self {
        if env.get("atomix_env") == Some("1") { Self::Ours } else { Self::Foreign }
    }
}

/// Whose board this is by everything but its environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoardKind {
    /// Its system carries our settings, or its disk our flight recorder.
    Ours,
    /// Nothing here is ours.
    Stranger,
}

/// Who speaks to the boot loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UbootChoice {
    /// [`super::AtomixNamed`].
    Atomix,
    /// `fw_printenv` and `fw_setenv`, as in RAUC.
    UbootTools,
}

/// Decides it. An environment that is not ours on a board of ours was reset by its boot loader, or
/// by somebody else: our state is lost and recalled, as everywhere.
#[must_use]
pub const fn choose_uboot(env: EnvRead, board: BoardKind) -> UbootChoice {
    match (env, board) {
        (EnvRead::Ours, BoardKind::Ours | BoardKind::Stranger)
        | (EnvRead::Foreign | EnvRead::Lost | EnvRead::Unreadable, BoardKind::Ours) => {
            UbootChoice::Atomix
        }
        (EnvRead::Foreign | EnvRead::Lost | EnvRead::Unreadable, BoardKind::Stranger) => {
            UbootChoice::UbootTools
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_of_ours_is_never_handed_to_the_plain_tools() {
        for env in [EnvRead::Ours, EnvRead::Foreign, EnvRead::Lost, EnvRead::Unreadable] {
            assert_eq!(choose_uboot(env, BoardKind::Ours), UbootChoice::Atomix, "{env:?}");
        }
        assert_eq!(choose_uboot(EnvRead::Ours, BoardKind::Stranger), UbootChoice::Atomix);
        for env in [EnvRead::Foreign, EnvRead::Lost, EnvRead::Unreadable] {
            assert_eq!(choose_uboot(env, BoardKind::Stranger), UbootChoice::UbootTools, "{env:?}");
        }
    }

    #[test]
    fn an_environment_is_ours_by_its_mark() {
        let mut env = Env::new();
        env.set("BOOT_ORDER", "A B").unwrap();
        assert_eq!(EnvRead::of(&env), EnvRead::Foreign);
        env.set("atomix_env", "1").unwrap();
        assert_eq!(EnvRead::of(&env), EnvRead::Ours);
    }
}

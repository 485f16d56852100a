// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who feeds the hardware watchdog when, and for how long may nobody?
//!
//! While U-Boot loads a slot, U-Boot feeds it. From its last word until the kernel's driver takes
//! over, nobody does: that gap is what `timeout_millis` must cover, and all it covers. The driver
//! feeds until systemd opens the device, for `open_secs` at most; then systemd feeds.
//!
//! A watchdog resets healthy boards when these numbers are wrong, and three resets leave an
//! update. They are therefore checked wherever one is switched on.

use crate::board::Board;

/// The least time between U-Boot's last word and the kernel's driver. A kernel takes two or three
/// seconds to its initrd, which loads the driver first.
const MIN_TIMEOUT_MILLIS: u32 = 20_000;

/// The least time for a first boot, which makes a file system on a large and slow module before
/// systemd comes.
const MIN_OPEN_SECS: u32 = 120;

/// systemd feeds at half of this; less than it would take a busy board for a hung one.
const MIN_RUNTIME_SECS: u32 = 10;

/// Where systemd's half lies in a root file system.
pub(crate) const SYSTEMD_CONF: &str = "etc/systemd/system.conf.d/50-atomix-watchdog.conf";

/// Whether U-Boot arms the watchdog before it starts a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watchdog {
    /// No: it has not had its soak test on this board.
    Off {
        /// U-Boot's option for its driver, built in so that a technician can look at it and arm it at the
        /// prompt; `None` where the board has no watchdog.
        driver: Option<&'static str>,
    },
    /// Yes.
    On {
        /// U-Boot's name of the device.
        name: &'static str,
        /// U-Boot's option for its driver.
        driver: &'static str,
        /// Time until it resets the board that nobody feeds.
        timeout_millis: u32,
        /// The longest time that its counter holds. U-Boot's `DesignWare` driver multiplies in 32
        /// bits: asked for more, it arms some shorter time and says nothing.
        limit_millis: u32,
        /// What Linux does with it.
        times: WatchdogTimes,
    },
}

/// What Linux does with an armed watchdog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchdogTimes {
    /// How long the kernel feeds it for a systemd that has not come.
    pub open_secs: u32,
    /// Time without a word from systemd that is a hang.
    pub runtime_secs: u32,
    /// Time of a shutdown that is a hang.
    pub reboot_secs: u32,
}

impl WatchdogTimes {
    /// 30 s and 10 min as in the original; 5 min for a first boot, of which no slow board has been
    /// measured: too long only delays a reset, too short makes one.
    pub const USUAL: Self = Self { open_secs: 300, runtime_secs: 30, reboot_secs: 600 };
}

/// Times of a watchdog that would reset healthy boards, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchdogError {
    /// Its counter does not hold the time.
    #[error("a watchdog of {millis} ms is beyond its counter, which ends after {limit} ms")]
    BeyondCounter {
        /// The time asked for.
        millis: u32,
        /// What the counter holds.
        limit: u32,
    },
    /// It fires before the kernel's driver is there.
    #[error("a watchdog of {millis} ms resets slow kernels; it needs {MIN_TIMEOUT_MILLIS} ms")]
    TimeoutTooShort {
        /// The time asked for.
        millis: u32,
    },
    /// It fires before systemd is there.
    #[error(
        "{secs} s until systemd opens the watchdog reset slow first boots; it needs {MIN_OPEN_SECS} s"
    )]
    OpenTooShort {
        /// The time given.
        secs: u32,
    },
    /// It fires while systemd is busy.
    #[error("a runtime watchdog of {secs} s resets busy boards; it needs {MIN_RUNTIME_SECS} s")]
    RuntimeTooShort {
        /// The time given.
        secs: u32,
    },
    /// A running system would be watched less closely than one that starts.
    #[error("a runtime watchdog of {runtime} s is not shorter than the {open} s of a start")]
    RuntimeNotBelowOpen {
        /// The running system's time.
        runtime: u32,
        /// The time of a start.
        open: u32,
    },
    /// A shutdown would have less time than one missed word.
    #[error("a shutdown of {reboot} s is cut short: it has less than the runtime's {runtime} s")]
    RebootTooShort {
        /// The shutdown's time.
        reboot: u32,
        /// The running system's time.
        runtime: u32,
    },
}

impl Watchdog {
    fn check(&self) -> Result<(), WatchdogError> {
        let Self::On { timeout_millis: millis, limit_millis: limit, times, .. } = *self else {
            return Ok(());
        };
        let WatchdogTimes { open_secs: open, runtime_secs: runtime, reboot_secs: reboot } = times;
        if millis > limit {
            return Err(WatchdogError::BeyondCounter { millis, limit });
        }
        if millis < MIN_TIMEOUT_MILLIS {
            return Err(WatchdogError::TimeoutTooShort { millis });
        }
        if runtime < MIN_RUNTIME_SECS {
            return Err(WatchdogError::RuntimeTooShort { secs: runtime });
        }
        if runtime >= open {
            return Err(WatchdogError::RuntimeNotBelowOpen { runtime, open });
        }
        if open < MIN_OPEN_SECS {
            return Err(WatchdogError::OpenTooShort { secs: open });
        }
        if reboot < runtime {
            return Err(WatchdogError::RebootTooShort { reboot, runtime });
        }
        Ok(())
    }

    /// What the kernel must be told, with a space before each word; it feeds on by default, which
    /// a kernel may be built not to do.
    pub(crate) fn kernel_args(&self) -> String {
        match self {
            Self::Off { .. } => String::new(),
            Self::On { times, .. } => {
                format!(" watchdog.handle_boot_enabled=1 watchdog.open_timeout={}", times.open_secs)
            }
        }
    }
}

impl Board {
    /// The board with its watchdog enforced in U-Boot, kernel and systemd, or with none.
    ///
    /// # Errors
    /// [`WatchdogError`], the first found.
    pub fn with_watchdog(self, watchdog: Watchdog) -> Result<Self, WatchdogError> {
        watchdog.check()?;
        Ok(Self { watchdog, ..self })
    }

    /// Checks the times of the watchdog.
    ///
    /// # Errors
    /// [`WatchdogError`], the first found.
    pub fn check_watchdog(&self) -> Result<(), WatchdogError> {
        self.watchdog.check()
    }

    /// systemd's half of an enforced watchdog; `None` where it is off.
    #[must_use]
    pub fn watchdog_conf(&self) -> Option<String> {
        match self.watchdog {
            Watchdog::Off { .. } => None,
            Watchdog::On { times: WatchdogTimes { runtime_secs, reboot_secs, .. }, .. } => {
                Some(format!(
                    "[Manager]\nRuntimeWatchdogSec={}\nRebootWatchdogSec={}\n",
                    time_span(runtime_secs),
                    time_span(reboot_secs)
                ))
            }
        }
    }
}

/// A time as systemd writes it.
fn time_span(secs: u32) -> String {
    if secs >= 60 && secs.is_multiple_of(60) {
        format!("{}min", secs / 60)
    } else {
        format!("{secs}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ROCK64, ROCK64_WATCHDOG};

    fn on(change: impl FnOnce(&mut u32, &mut WatchdogTimes)) -> Result<Board, WatchdogError> {
        let mut watchdog = ROCK64_WATCHDOG.watchdog;
        let Watchdog::On { timeout_millis, times, .. } = &mut watchdog else { panic!() };
        change(timeout_millis, times);
        ROCK64.with_watchdog(watchdog)
    }

    #[test]
    fn the_opt_in_of_the_rock64_is_one_that_is_not_refused() {
        assert_eq!(on(|_, _| {}), Ok(ROCK64_WATCHDOG));
        assert_eq!(ROCK64_WATCHDOG.with_watchdog(ROCK64.watchdog), Ok(ROCK64));
    }

    /// U-Boot computes `millis * kHz` in 32 bits; 120 s at 75 MHz would have armed 7 s.
    #[test]
    fn no_time_that_is_let_through_overflows_in_the_driver_of_u_boot() {
        let limit = 28_633;
        assert_eq!(
            on(|millis, _| *millis = 120_000),
            Err(WatchdogError::BeyondCounter { millis: 120_000, limit })
        );
        assert!(limit.checked_mul(75_000).is_some_and(|ticks: u32| ticks <= 1 << 31));
        assert!((limit + 1) * 75_000 > 1 << 31);
    }

    #[test]
    fn times_that_would_reset_healthy_boards_are_refused() {
        use WatchdogError::{
            OpenTooShort, RebootTooShort, RuntimeNotBelowOpen, RuntimeTooShort, TimeoutTooShort,
        };
        assert_eq!(on(|millis, _| *millis = 19_999), Err(TimeoutTooShort { millis: 19_999 }));
        assert_eq!(on(|_, times| times.open_secs = 119), Err(OpenTooShort { secs: 119 }));
        assert_eq!(on(|_, times| times.runtime_secs = 9), Err(RuntimeTooShort { secs: 9 }));
        assert_eq!(
            on(|_, times| times.runtime_secs = 300),
            Err(RuntimeNotBelowOpen { runtime: 300, open: 300 })
        );
        assert_eq!(
            on(|_, times| times.reboot_secs = 29),
            Err(RebootTooShort { reboot: 29, runtime: 30 })
        );
    }
}

//! The exit codes, all of them. `docs/exit-codes.md` is made from this file.

use std::process::ExitCode;

/// How a command ended. Where several hold, the first one in this order is given:
/// untrusted, usage, failed, inconclusive, passed. A crash is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: nothing at or above the bar fails or is unproven.
    Passed,
    /// 1: a failure at or above the bar that is not waived.
    Failed,
    /// 2: the command line, a file or a key can't be used; nothing is proven.
    Usage,
    /// 3: something at or above the bar is not proven, or the run was interrupted.
    Inconclusive,
    /// 4: a signature, a history or a trust does not verify.
    Untrusted,
}

impl Exit {
    /// Every exit, with what it means, in the order of the numbers.
    #[allow(dead_code, reason = "the page on exit codes is written from this list")]
    pub(crate) const ALL: [(Self, &'static str); 5] = [
        (Self::Passed, "nothing at or above --fail-on (default: high) fails or is unproven, waived findings aside"),
        (Self::Failed, "a failure at or above --fail-on that is not waived"),
        (Self::Usage, "usage or configuration: the command line, a file or a key can't be used"),
        (
            Self::Inconclusive,
            "something at or above --fail-on is inconclusive and not waived, or the run was interrupted",
        ),
        (Self::Untrusted, "a signature, a history or a trust does not verify"),
    ];

    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Inconclusive => 3,
            Self::Untrusted => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<model::Outcome> for Exit {
    fn from(outcome: model::Outcome) -> Self {
        match outcome {
            model::Outcome::Passed => Self::Passed,
            model::Outcome::Failed => Self::Failed,
            model::Outcome::Inconclusive => Self::Inconclusive,
        }
    }
}

//! The arguments, as `--help` shows them.

use std::path::PathBuf;
use std::time::Duration;

use audit::keys;
use clap::{Args, Parser, Subcommand, ValueEnum};
use model::{Depth, Severity, Timestamp};
use probe::{Limits, Workshop};

use crate::output::{Wanted, parse_format};

/// Proves that a service is run safely: probes it, judges what it saw by policies, signs a report that others can check.
#[derive(Debug, Parser)]
#[command(name = "probity", version, propagate_version = true, disable_help_subcommand = false)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The main job: collect, judge, report, sign
    ///
    /// Without a target: ./probity.yaml where there is one, else this machine itself. Exit codes: 0 passed, 1 failed,
    /// 2 usage or configuration, 3 not proven or interrupted, 4 signature or trust.
    Audit(AuditArgs),
    /// Drills alone: restores backups into scratch folders and tells what came of it; judged, reported and signed like an audit
    ///
    /// A drill acts, so that it needs --allow-commands. Drills run one at a time on a machine. What one makes is written
    /// to a journal first and taken back when it ends, or at the next start after a crash. 'probity audit
    /// --allow-commands' runs them too, after everything else.
    Drill(AuditArgs),
    /// What an endpoint speaks, as a scanner shows it: facts alone, no judgement
    Tls(TlsArgs),
    /// What an SSH server offers, and its host keys: facts alone, no judgement
    Ssh(SshArgs),
    /// Collects evidence into a folder, without judging it
    Collect(CollectArgs),
    /// Judges collected evidence under any policy and at any time; the result is hypothetical and never signed
    Judge(JudgeArgs),
    /// Judges a pack again; with nothing changed the result is its own assessment, byte for byte
    Replay(JudgeArgs),
    /// Renders a pack in another format
    Report(ReportArgs),
    /// Checks a pack: trust, signatures, every digest, facts against raw exchanges, findings against facts
    Verify(VerifyArgs),
    /// What changed between two packs
    Diff(DiffArgs),
    /// Policies: list, show, lint, test, compare, and the schemas of facts
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// What a control wants, why, and how to get there
    Explain(ExplainArgs),
    /// Writes a first probity.yaml
    Init(InitArgs),
    /// Reads an inventory, its policies and waivers, and says what is wrong; no connection is made
    CheckConfig(CheckConfigArgs),
    /// Waivers: accepted failures with an owner, an approver and an end
    #[command(subcommand)]
    Waiver(WaiverCommand),
    /// Keys to sign with, and keys to trust
    #[command(subcommand)]
    Keys(KeysCommand),
}

/// What to look at, and how.
#[derive(Debug, Args)]
pub(crate) struct Scope {
    /// HOST, HOST:PORT, [V6]:PORT, tls://HOST:PORT or ssh://HOST:PORT; beside -c, names of its targets
    pub(crate) targets: Vec<String>,
    /// Look at this machine itself
    #[arg(long = "self")]
    pub(crate) self_check: bool,
    /// The inventory
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A policy, in place of the inventory's; may be repeated
    #[arg(short, long, value_name = "POLICY")]
    pub(crate) policy: Vec<String>,
    /// A folder with controls/ and profiles/ of your own
    #[arg(long, value_name = "DIR")]
    pub(crate) policy_dir: Option<PathBuf>,
    /// The service's name, in place of the inventory's
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// auto: what the policies ask for; full: everything that can be seen
    #[arg(long, value_enum, default_value_t = DepthArg::Auto)]
    pub(crate) depth: DepthArg,
    /// How long one target may take, retries of unproven answers included
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = parse_duration)]
    pub(crate) deadline: Duration,
    /// Connections to one target, at most
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_connections, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: u32,
    /// Where earlier packs are, for controls that look back; default the folder that this run's pack goes into
    #[arg(long, value_name = "DIR")]
    pub(crate) history: Option<PathBuf>,
    /// Show targets, connections, files, commands and drills, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Let the inventory bring commands (cmd: secrets) and run drills; without this they are refused
    #[arg(long)]
    pub(crate) allow_commands: bool,
    /// How long one drill may take
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    pub(crate) drill_deadline: Duration,
    /// How long to wait for another run's drills on this machine
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub(crate) drill_wait: Duration,
    /// Where drills make their scratch folders; default 'scratch' beside your key
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
    /// Most bytes that the scratch folders of one drill may hold
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().scratch_bytes, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) scratch_bytes: u64,
}

impl Scope {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            deadline: self.deadline,
            max_connections: self.max_connections,
            allow_commands: self.allow_commands,
            drill_deadline: self.drill_deadline,
            drill_patience: self.drill_wait,
            scratch_bytes: self.scratch_bytes,
            workshop: keys::state_dir().map(|state| Workshop::new(&state, self.scratch.as_deref())),
            ..Limits::default()
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DepthArg {
    Auto,
    Full,
}

impl From<DepthArg> for Depth {
    fn from(depth: DepthArg) -> Self {
        match depth {
            DepthArg::Auto => Self::Auto,
            DepthArg::Full => Self::Full,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) scope: Scope,
    /// The least severity that blocks: info, low, medium, high, critical
    #[arg(long, value_name = "SEVERITY")]
    pub(crate) fail_on: Option<Severity>,
    /// Waivers, in place of the inventory's (a gate takes them from the base branch)
    #[arg(long, value_name = "FILE")]
    pub(crate) waivers: Option<PathBuf>,
    /// A format for standard output, or for a file (K=FILE); may be repeated
    #[arg(long, value_name = "K[=FILE]", value_parser = parse_format)]
    pub(crate) format: Vec<Wanted>,
    /// Where the pack goes; default ./probity-packs/<service>-<time>
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// The key to sign with, in place of the inventory's or your own
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// An earlier pack: say what changed since; verdicts and exit code stay as they are
    #[arg(long, value_name = "PACK")]
    pub(crate) baseline: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TlsArgs {
    /// HOST, HOST:PORT, [V6]:PORT or tls://HOST:PORT
    #[arg(required = true)]
    pub(crate) targets: Vec<String>,
    /// text or json
    #[arg(long, value_enum, default_value_t = ScanFormat::Text)]
    pub(crate) format: ScanFormat,
    /// Server name to send and to match, in place of HOST; 'none' sends none
    #[arg(long, value_name = "NAME")]
    pub(crate) sni: Option<String>,
    /// A PEM file of more trust anchors; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Vec<PathBuf>,
    /// Test for known flaws too (Heartbleed, ROBOT, POODLE, …), with what no honest client sends
    #[arg(long)]
    pub(crate) flaws: bool,
    /// How long one address may take
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = parse_duration)]
    pub(crate) deadline: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct SshArgs {
    /// HOST, HOST:PORT, [V6]:PORT or ssh://HOST:PORT
    #[arg(required = true)]
    pub(crate) targets: Vec<String>,
    /// text or json
    #[arg(long, value_enum, default_value_t = ScanFormat::Text)]
    pub(crate) format: ScanFormat,
    /// How long one address may take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub(crate) deadline: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScanFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct CollectArgs {
    #[command(flatten)]
    pub(crate) scope: Scope,
    /// Where the evidence goes
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct JudgeArgs {
    /// A pack, or a folder written by 'probity collect'
    pub(crate) pack: PathBuf,
    /// A policy, in place of the pack's own; may be repeated
    #[arg(short, long, value_name = "POLICY")]
    pub(crate) policy: Vec<String>,
    /// A folder with controls/ and profiles/ of your own
    #[arg(long, value_name = "DIR")]
    pub(crate) policy_dir: Option<PathBuf>,
    /// Waivers, in place of the pack's own
    #[arg(long, value_name = "FILE")]
    pub(crate) waivers: Option<PathBuf>,
    /// Judge as at this instant (2026-11-24T03:00:00Z)
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<Timestamp>,
    /// The least severity that blocks
    #[arg(long, value_name = "SEVERITY")]
    pub(crate) fail_on: Option<Severity>,
    /// A format for standard output, or for a file (K=FILE); may be repeated
    #[arg(long, value_name = "K[=FILE]", value_parser = parse_format)]
    pub(crate) format: Vec<Wanted>,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The pack
    pub(crate) pack: PathBuf,
    /// A format for standard output, or for a file (K=FILE); may be repeated
    #[arg(long, value_name = "K[=FILE]", value_parser = parse_format)]
    pub(crate) format: Vec<Wanted>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The pack
    pub(crate) pack: PathBuf,
    /// A public key to trust; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// An inventory whose trust.signers are believed
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// text or json
    #[arg(long, value_enum, default_value_t = ScanFormat::Text)]
    pub(crate) format: ScanFormat,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The earlier pack
    pub(crate) before: PathBuf,
    /// The later pack
    pub(crate) now: PathBuf,
    /// text or json
    #[arg(long, value_enum, default_value_t = ScanFormat::Text)]
    pub(crate) format: ScanFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Policies and controls
    List(PolicyFolder),
    /// A policy as resolved: every control with its parameters
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        folder: PolicyFolder,
    },
    /// Everything that is wrong with policies, at once
    Lint(PolicyFolder),
    /// Runs the tests of the controls, and changes the controls to see whether the tests notice
    Test(PolicyFolder),
    /// What two policies demand differently
    Diff {
        /// A policy
        left: String,
        /// Another
        right: String,
        #[command(flatten)]
        folder: PolicyFolder,
    },
    /// The JSON Schemas of the facts, which controls are written against
    Schema {
        /// A kind (tls, sshd, …); without it, all are listed
        kind: Option<String>,
        /// Write all of them, and the assessment's, into a folder
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PolicyFolder {
    /// A folder with controls/, profiles/ and tests/ of your own
    #[arg(long, value_name = "DIR")]
    pub(crate) policy_dir: Option<PathBuf>,
    /// text or json
    #[arg(long, value_enum, default_value_t = ScanFormat::Text)]
    pub(crate) format: ScanFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The control's id
    pub(crate) control: String,
    /// A folder with controls/ and profiles/ of your own
    #[arg(long, value_name = "DIR")]
    pub(crate) policy_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Endpoints to begin with
    pub(crate) targets: Vec<String>,
    /// Where to write; an existing file is never overwritten
    #[arg(long, value_name = "FILE", default_value = "probity.yaml")]
    pub(crate) out: PathBuf,
    /// The service's name
    #[arg(long, value_name = "NAME", default_value = "my-service")]
    pub(crate) service: String,
}

#[derive(Debug, Args)]
pub(crate) struct CheckConfigArgs {
    /// The inventory
    #[arg(short, long, value_name = "FILE", default_value = "probity.yaml")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WaiverCommand {
    /// Appends a waiver to a file
    Add {
        /// The file
        #[arg(long, value_name = "FILE", default_value = "waivers.yaml")]
        file: PathBuf,
        /// The control to waive
        #[arg(long, value_name = "ID")]
        control: String,
        /// Pattern over target names
        #[arg(long, value_name = "PATTERN")]
        target: String,
        /// Who answers for the risk
        #[arg(long)]
        owner: String,
        /// Who accepts it; never the owner
        #[arg(long)]
        approver: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// Where it is tracked
        #[arg(long)]
        ticket: Option<String>,
        /// Last day on which it holds (2027-01-31)
        #[arg(long, value_name = "DATE")]
        expires: String,
    },
    /// Lists waivers
    List {
        /// The file
        #[arg(long, value_name = "FILE", default_value = "waivers.yaml")]
        file: PathBuf,
        /// text or json
        #[arg(long, value_enum, default_value_t = ScanFormat::Text)]
        format: ScanFormat,
    },
    /// Says what is wrong with waivers and which have expired; exit 1 where one has
    Check {
        /// The file
        #[arg(long, value_name = "FILE", default_value = "waivers.yaml")]
        file: PathBuf,
        /// A folder with controls/ and profiles/ of your own
        #[arg(long, value_name = "DIR")]
        policy_dir: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Makes a key pair: NAME.pem (mode 0600) and NAME.pub; nothing is overwritten
    New {
        /// The name
        #[arg(long, default_value = "probity")]
        name: String,
        /// Where to
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        /// The algorithm
        #[arg(long, value_enum, default_value_t = AlgorithmArg::EcdsaP256)]
        algorithm: AlgorithmArg,
    },
    /// Shows your own key and those you trust
    Show,
    /// Trusts a public key from now on
    Trust {
        /// Its PEM file
        file: PathBuf,
        /// What to call it; default: the file's name
        #[arg(long)]
        name: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AlgorithmArg {
    EcdsaP256,
    Ed25519,
}

/// `90`, `90s`, `2m`: at least a second, at most a day.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        None => (text, "s"),
        Some(at) => text.split_at(at),
    };
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("a time such as 120s or 2m is wanted".to_owned()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    match seconds {
        Some(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err("a time between 1s and 24h is wanted".to_owned()),
    }
}

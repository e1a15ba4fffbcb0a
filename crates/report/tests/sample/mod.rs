//! A realistic assessment of an invented service, for tests and for the example that writes every format.

#![allow(dead_code, unused_imports, reason = "each test and the example use a part of it")]

mod backup;
mod evidence;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    Assessment, Citation, Clock, ControlInfo, Counts, Coverage, Digest, Finding, Gate, InputDigests, Level,
    NotLookedAt, Notice, NoticeLevel, Outcome, PolicyRef, Reason, Run, Severity, Source, TargetLine, Timestamp, Tool,
    Undeclared, Vantage, Verdict, WaiverLine, WaiverState,
};

pub(crate) use backup::{earlier, hostile_copies, many_copies};
pub(crate) use evidence::{evidence, tls_facts};

/// An instant, `2026-11-24T03:00:00Z` plus some seconds.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_489_200 + seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn control(id: &str, title: &str, severity: Severity, kinds: &[&str], line: u32) -> ControlInfo {
    let file = match id.split_once('-') {
        Some(("TLS", _)) => "controls/tls.yaml",
        Some(("BAK", _)) => "controls/backup.yaml",
        _ => "controls/host.yaml",
    };
    ControlInfo {
        id: id.into(),
        title: title.into(),
        severity,
        kinds: kinds.iter().map(|k| (*k).to_owned()).collect(),
        rationale: "Anyone on the path could read or change what is said. RFC 8996 retires these versions.".into(),
        remedy: BTreeMap::new(),
        clauses: BTreeMap::from([
            ("iso-27001-2022".into(), vec!["A.8.24".into()]),
            ("nist-800-53r5".into(), vec!["SC-8".into(), "SC-13".into()]),
            ("pci-dss-4.0.1".into(), vec!["4.2.1".into()]),
        ]),
        source: Source { file: file.into(), line, column: 3 },
    }
}

fn controls() -> BTreeMap<String, ControlInfo> {
    let mut all = vec![
        control("TLS-PROTO-LEGACY", "No TLS 1.0 or TLS 1.1", Severity::High, &["tls"], 12),
        control("TLS-PROTO-SSL", "No SSL 2.0 or SSL 3.0", Severity::Critical, &["tls"], 31),
        control("TLS-CERT-RENEWAL", "Certificates are renewed in good time", Severity::Medium, &["tls"], 58),
        control("TLS-CERT-REVOKED", "No certificate of the chain is revoked", Severity::High, &["tls"], 77),
        control("TLS-GROUPS", "Key exchange uses groups of at least 112 bits", Severity::High, &["tls"], 95),
        control("HOST-KEY-MODE", "Private keys are readable by their owner only", Severity::Critical, &["keyfile"], 9),
        control("HOST-LISTEN", "Every listening socket is declared", Severity::Medium, &["listeners"], 28),
        control("BAK-FRESH", "The newest complete copy is fresh", Severity::Critical, &["backup"], 12),
        control("BAK-GAPS", "Copies are made as often as declared", Severity::Medium, &["backup"], 97),
        control("DISK-LUKS", "Volumes with personal data are encrypted", Severity::High, &["luks"], 44),
    ];
    for c in &mut all {
        c.remedy = match c.id.as_str() {
            "TLS-PROTO-LEGACY" => BTreeMap::from([
                ("nginx".into(), "ssl_protocols TLSv1.2 TLSv1.3;".into()),
                ("apache".into(), "SSLProtocol -all +TLSv1.2 +TLSv1.3".into()),
            ]),
            "TLS-CERT-RENEWAL" => {
                BTreeMap::from([("any".into(), "Renew it, and let a timer do so: certbot renew".into())])
            }
            "HOST-KEY-MODE" => BTreeMap::from([("any".into(), "chmod 600 FILE\nchown root: FILE".into())]),
            _ => BTreeMap::new(),
        };
    }
    all.into_iter().map(|c| (c.id.clone(), c)).collect()
}

/// A finding with one reason and nothing else said.
pub(crate) fn finding(control: &str, target: &str, verdict: Verdict, severity: Severity, message: &str) -> Finding {
    let reasons = if message.is_empty() {
        vec![]
    } else {
        vec![Reason { message: message.into(), item: Some("versions[2]".into()), cites: vec![] }]
    };
    Finding {
        policy: "baseline".into(),
        control: control.into(),
        target: target.into(),
        verdict,
        severity,
        waiver: None,
        level: Some(Level::Demonstrated),
        reasons,
        wanted: None,
        evidence: vec![Digest::of(target.as_bytes())],
    }
}

fn cited(mut finding: Finding, wanted: &str) -> Finding {
    let exchanges = Digest::of(format!("exchanges of {}", finding.target).as_bytes());
    for reason in &mut finding.reasons {
        reason.cites = vec![Citation { exchanges, index: 3 }, Citation { exchanges, index: 4 }];
    }
    if !wanted.is_empty() {
        finding.wanted = Some(wanted.into());
    }
    finding
}

fn findings() -> Vec<Finding> {
    use Severity::{Critical, High, Medium};
    use Verdict::{Fail, Inconclusive, NotApplicable, Pass};
    let mut all = Vec::new();
    for edge in ["edge@203.0.113.7", "edge@203.0.113.8"] {
        let legacy = finding("TLS-PROTO-LEGACY", edge, Fail, High, "TLSv1.1 is accepted (6 suites)");
        all.push(cited(legacy, "TLSv1.2 or newer"));
        let renewal = finding("TLS-CERT-RENEWAL", edge, Fail, Medium, "9 days left, until 2026-12-03");
        all.push(cited(renewal, "30 days"));
        all.push(finding("TLS-PROTO-SSL", edge, Pass, Critical, ""));
        all.push(finding("TLS-GROUPS", edge, Pass, High, ""));
    }
    let revoked = "the OCSP responder at http://ocsp.example.org/ did not answer within 5 s";
    all.push(finding("TLS-CERT-REVOKED", "edge@203.0.113.7", Inconclusive, High, revoked));
    all.push(finding("TLS-CERT-REVOKED", "edge@203.0.113.8", Pass, High, ""));
    for control in ["TLS-PROTO-LEGACY", "TLS-PROTO-SSL", "TLS-CERT-RENEWAL", "TLS-GROUPS"] {
        all.push(finding(control, "mail", Pass, Medium, ""));
    }
    let mut key = finding(
        "HOST-KEY-MODE",
        "keyfile:/etc/ssl/private/x.key",
        Fail,
        Critical,
        "mode is 0644: everyone can read it",
    );
    key.level = Some(Level::Effective);
    key.waiver = Some("w-1a2b3c".into());
    key.wanted = Some("mode 0600 or stricter".into());
    all.push(key);
    let mut listen = finding("HOST-LISTEN", "host", Fail, Medium, "127.0.0.1:8443 (nginx) is not declared");
    listen.level = Some(Level::Effective);
    listen.wanted = Some("every listening socket in the inventory, or excluded with a reason".into());
    all.push(listen);
    for target in ["nightly", "offsite"] {
        all.push(finding("BAK-FRESH", target, Pass, Critical, ""));
    }
    let mut gaps = finding("BAK-GAPS", "nightly", Fail, Medium, "no copy of host1:/etc,/var/lib/chat for 6 d");
    gaps.level = Some(Level::Effective);
    gaps.wanted = Some("a copy every 24 h".into());
    all.push(gaps);
    let mut luks = finding("DISK-LUKS", "messaging", NotApplicable, High, "no such target: no disk is declared");
    luks.evidence.clear();
    luks.level = None;
    all.push(luks);
    all
}

fn line(name: &str, of: &str, address: &str, discovered: bool) -> TargetLine {
    let labels = if of == "edge" {
        BTreeMap::from([("data".into(), "personal".into()), ("tier".into(), "edge".into())])
    } else {
        BTreeMap::new()
    };
    let kind = match name.split_once(':') {
        Some(("keyfile", _)) => "keyfile",
        _ if name == "host" => "listeners",
        _ if ["nightly", "offsite"].contains(&name) => "backup",
        _ => "tls",
    };
    let mut evidence = BTreeMap::from([(kind.into(), Digest::of(name.as_bytes()))]);
    if name == "nightly" {
        evidence.insert("backup-read".into(), backup::read_of_this_run());
    }
    TargetLine {
        name: name.into(),
        of: of.into(),
        address: address.into(),
        labels,
        discovered,
        evidence,
        failed: name == "tls:127.0.0.1:8443",
        counts: Counts::default(),
        connections: if kind == "tls" { 21 } else { 0 },
    }
}

fn waivers() -> Vec<WaiverLine> {
    let waiver = |id: &str, control: &str, target: &str, days: i64, state, findings| WaiverLine {
        id: id.into(),
        control: control.into(),
        target: target.into(),
        owner: "j.doe".into(),
        approver: "m.roth".into(),
        reason: "The key is of a test host that holds no data; it moves to the HSM in January.".into(),
        ticket: Some("OPS-1234".into()),
        created: Some(at(-30 * 86_400)),
        expires: at(days * 86_400),
        state,
        findings,
    };
    vec![
        waiver("w-1a2b3c", "HOST-KEY-MODE", "keyfile:*", 68, WaiverState::Used, 1),
        waiver("w-77aa01", "TLS-CERT-RENEWAL", "edge*", -3, WaiverState::Expired, 0),
    ]
}

/// The policies, run and coverage around some findings; counts and gate follow from them.
pub(crate) fn assessment_of(findings: Vec<Finding>, mut targets: Vec<TargetLine>) -> Assessment {
    let add = |counts: &mut Counts, f: &Finding| {
        match f.verdict {
            Verdict::Pass => counts.pass += 1,
            Verdict::Fail => counts.fail += 1,
            Verdict::Inconclusive => counts.inconclusive += 1,
            Verdict::NotApplicable => counts.not_applicable += 1,
        }
        counts.waived += u32::from(f.waiver.is_some());
    };
    let mut counts = Counts::default();
    let mut gate = Gate { fail_on: Severity::High, outcome: Outcome::Passed, failing: 0, unproven: 0, below: 0 };
    for f in &findings {
        add(&mut counts, f);
        if let Some(line) = targets.iter_mut().find(|t| *t.name == *f.target) {
            add(&mut line.counts, f);
        }
        match (f.verdict, f.severity >= gate.fail_on, f.waiver.is_some()) {
            (Verdict::Fail, true, false) => gate.failing += 1,
            (Verdict::Fail, false, false) => gate.below += 1,
            (Verdict::Inconclusive, true, false) => gate.unproven += 1,
            _ => {}
        }
    }
    gate.outcome = match (gate.failing, gate.unproven) {
        (1.., _) => Outcome::Failed,
        (0, 1..) => Outcome::Inconclusive,
        _ => Outcome::Passed,
    };
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let discovered = number(targets.iter().filter(|t| t.discovered).count());
    let declared = number(targets.len()) - discovered;
    Assessment {
        format: Assessment::FORMAT.into(),
        service: "messaging".into(),
        hypothetical: false,
        as_of: at(12),
        run: Run {
            tool: Tool { name: "probity".into(), version: "0.1.0".into(), digest: Some(Digest::of(b"probity")) },
            vantage: Vantage {
                host: "audit1.example.org".into(),
                user: "probity".into(),
                addresses: vec!["198.51.100.4".into()],
                ci: None,
            },
            clock: Clock { error_millis: Some(200), synchronised: Some(true), source: "adjtimex".into() },
            started: at(0),
            finished: at(1),
            millis: 812,
            connections: 61,
            max_connections: 16,
            interrupted: false,
        },
        policies: ["baseline", "mozilla-intermediate"]
            .map(|name| PolicyRef {
                name: name.into(),
                version: "1".into(),
                title: "What every service on the Internet should hold to".into(),
                source: Some("https://wiki.mozilla.org/Security/Server_Side_TLS".into()),
                digest: Digest::of(name.as_bytes()),
                modified: name == "baseline",
            })
            .into(),
        controls: controls(),
        gate,
        counts,
        coverage: Coverage {
            declared,
            discovered,
            probed: number(targets.iter().filter(|t| !t.failed).count()),
            judged: number(targets.iter().filter(|t| t.counts.pass + t.counts.fail > 0).count()),
            targets,
            undeclared: vec![Undeclared { target: "tls:127.0.0.1:8443".into(), what: "nginx".into() }],
            not_looked_at: vec![NotLookedAt {
                what: "/etc/ssl/private".into(),
                why: "permission denied; run as root to look there".into(),
            }],
        },
        waivers: waivers(),
        notices: vec![Notice {
            level: NoticeLevel::Warning,
            message: "waiver w-77aa01 (TLS-CERT-RENEWAL on edge*) expired on 2026-11-21: mend it or renew the waiver"
                .into(),
        }],
        digests: InputDigests {
            policy: Digest::of(b"policy"),
            waivers: Digest::of(b"waivers"),
            inventory: Digest::of(b"inventory"),
            evidence: Digest::of(b"evidence"),
        },
        findings,
    }
}

/// The invented service.
pub(crate) fn assessment() -> Assessment {
    assessment_of(
        findings(),
        vec![
            line("edge@203.0.113.7", "edge", "chat.example.org:443", false),
            line("edge@203.0.113.8", "edge", "chat.example.org:443", false),
            line("mail", "mail", "mx.example.org:25", false),
            line("nightly", "nightly", "restic /srv/backup", false),
            line("offsite", "offsite", "restic s3:backup.example.net/messaging", false),
            line("host", "host", "audit1.example.org", false),
            line("keyfile:/etc/ssl/private/x.key", "host", "/etc/ssl/private/x.key", true),
            line("tls:127.0.0.1:8443", "tls:127.0.0.1:8443", "127.0.0.1:8443", true),
        ],
    )
}

/// Many targets of the same make, all in the same trouble.
pub(crate) fn many(targets: usize) -> Assessment {
    let names: Vec<String> = (0..targets).map(|n| format!("node-{n:04}")).collect();
    let findings = names.iter().flat_map(|name| {
        let bad = finding("TLS-PROTO-LEGACY", name, Verdict::Fail, Severity::High, "TLSv1.1 is accepted (6 suites)");
        [bad, finding("TLS-PROTO-SSL", name, Verdict::Pass, Severity::Critical, "")]
    });
    let lines = names.iter().map(|name| line(name, name, &format!("{name}.example.org:443"), false));
    assessment_of(findings.collect(), lines.collect())
}

/// The sample with one text put into every field that holds text from outside.
pub(crate) fn hostile(text: &str) -> Assessment {
    let mut a = assessment();
    let shared: Arc<str> = text.into();
    a.service = text.into();
    for f in &mut a.findings {
        f.reasons.push(Reason { message: text.into(), item: Some(text.into()), cites: vec![] });
        f.wanted = Some(text.into());
    }
    for f in a.findings.iter_mut().take(3) {
        f.target = shared.clone();
        f.control = shared.clone();
        f.policy = shared.clone();
    }
    for f in a.findings.iter_mut().filter(|f| f.waiver.is_some()) {
        f.waiver = Some(shared.clone());
    }
    for line in &mut a.coverage.targets {
        line.address = text.into();
        line.of = text.into();
        line.labels.insert(text.into(), text.into());
    }
    for policy in &mut a.policies {
        (policy.title, policy.source) = (text.into(), Some(text.into()));
    }
    for c in a.controls.values_mut() {
        (c.title, c.rationale, c.source.file) = (text.into(), text.into(), text.into());
        c.remedy.insert(text.into(), text.into());
        c.clauses.insert(text.into(), vec![text.into()]);
    }
    let mut odd = a.controls.values().next().cloned();
    if let Some(c) = &mut odd {
        c.id = text.into();
        a.controls.insert(text.into(), c.clone());
    }
    for w in &mut a.waivers {
        (w.id, w.control, w.target, w.owner) = (text.into(), text.into(), text.into(), text.into());
        (w.approver, w.reason, w.ticket) = (text.into(), text.into(), Some(text.into()));
    }
    a.notices.push(Notice { level: NoticeLevel::Note, message: text.into() });
    a.coverage.undeclared.push(Undeclared { target: text.into(), what: text.into() });
    a.coverage.not_looked_at.push(NotLookedAt { what: text.into(), why: text.into() });
    a.run.vantage =
        Vantage { host: text.into(), user: text.into(), addresses: vec![text.into()], ci: Some(text.into()) };
    a.run.tool.version = text.into();
    a.run.clock.source = text.into();
    a
}

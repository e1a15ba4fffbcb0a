//! SARIF, JUnit and annotations: what their readers demand, and that nothing from outside breaks them.

mod sample;

use model::{Assessment, Severity, Source, Verdict};
use proptest::prelude::*;
use quick_xml::events::Event;
use report::{Signature, Style, View};
use serde_json::Value;

fn view<'a>(assessment: &'a Assessment, inventory: Option<&'a Source>) -> View<'a> {
    let signature = Signature::Unsigned { why: "no key was given".into() };
    View { assessment, evidence: &|_| None, earlier: &Vec::new, signature, pack: None, bundle: None, inventory }
}

fn rendered(key: &str, assessment: &Assessment, inventory: Option<&Source>) -> String {
    let bytes = report::renderer(key).and_then(|r| (r.render)(&view(assessment, inventory), &Style::PLAIN).ok());
    String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
}

fn sarif(assessment: &Assessment, inventory: Option<&Source>) -> Value {
    serde_json::from_str(&rendered("sarif", assessment, inventory)).unwrap_or_default()
}

fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

fn results(log: &Value) -> Vec<Value> {
    at(log, "/runs/0/results").as_array().cloned().unwrap_or_default()
}

#[test]
fn each_sarif_result_has_a_place_a_print_and_the_right_kind() {
    let assessment = sample::assessment();
    let log = sarif(&assessment, None);
    let results = results(&log);
    assert_eq!(results.len(), 8, "6 failures, a waived one and one not proven: {log}");
    let mut prints = std::collections::BTreeSet::new();
    for result in &results {
        let place = at(result, "/locations/0/physicalLocation");
        assert!(at(place, "/artifactLocation/uri").as_str().is_some_and(|u| u.starts_with("controls/")), "{result}");
        assert!(at(place, "/region/startLine").as_u64().is_some_and(|n| n > 0));
        assert!(prints.insert(at(result, "/partialFingerprints/primaryLocationLineHash").to_string()));
        let (kind, level) = (at(result, "/kind").as_str(), at(result, "/level").as_str());
        assert!(matches!(
            (kind, level),
            (Some("open"), Some("none")) | (Some("fail"), Some("error" | "warning" | "note"))
        ));
        let rule = at(result, "/ruleIndex").as_u64().unwrap_or(u64::MAX);
        assert_eq!(at(&log, &format!("/runs/0/tool/driver/rules/{rule}/id")), at(result, "/ruleId"));
    }
    let waived: Vec<_> = results.iter().filter(|r| r.get("suppressions").is_some()).collect();
    assert_eq!(waived.len(), 1);
    for result in waived {
        assert_eq!(at(result, "/suppressions/0/kind"), "external");
        assert_eq!(at(result, "/suppressions/0/status"), "accepted");
        assert!(at(result, "/suppressions/0/justification").as_str().is_some_and(|j| j.contains("by m.roth")));
        assert_eq!(at(result, "/level"), "note");
    }
    assert_eq!(results.iter().filter(|r| at(r, "/kind") == "open").count(), 1);
}

#[test]
fn sarif_points_at_the_inventory_where_there_is_one() {
    let source = Source { file: "deploy/probity prod.yaml".into(), line: 4, column: 1 };
    for result in results(&sarif(&sample::assessment(), Some(&source))) {
        assert_eq!(at(&result, "/locations/0/physicalLocation/artifactLocation/uri"), "deploy/probity%20prod.yaml");
        let related = at(&result, "/relatedLocations/0/physicalLocation/artifactLocation/uri");
        assert!(related.as_str().is_some_and(|u| u.starts_with("controls/")));
    }
}

#[test]
fn sarif_rules_say_what_github_demands() {
    let log = sarif(&sample::assessment(), None);
    let rules = at(&log, "/runs/0/tool/driver/rules").as_array().cloned().unwrap_or_default();
    assert_eq!(rules.len(), sample::assessment().controls.len());
    for rule in rules {
        for required in ["/id", "/shortDescription/text", "/fullDescription/text", "/help/text"] {
            assert!(at(&rule, required).as_str().is_some_and(|t| !t.is_empty()), "{required} of {rule}");
        }
        let severity: f64 =
            at(&rule, "/properties/security-severity").as_str().and_then(|s| s.parse().ok()).unwrap_or(0.0);
        assert!((0.1..=10.0).contains(&severity));
    }
    assert_eq!(at(&log, "/runs/0/automationDetails/id"), "probity/messaging/20261124T030012Z");
}

#[test]
fn sarif_is_bounded_and_says_what_it_left_out() {
    let log = sarif(&sample::many(6_000), None);
    assert_eq!(results(&log).len(), 5_000);
    let notices = at(&log, "/runs/0/invocations/0/toolExecutionNotifications").to_string();
    assert!(notices.contains("1000 more results"), "{notices}");
}

#[test]
fn a_fingerprint_does_not_depend_on_what_was_seen() {
    let mut later = sample::assessment();
    later.findings.iter_mut().flat_map(|f| &mut f.reasons).for_each(|r| r.message.push_str(" today"));
    let prints = |a: &Assessment| {
        results(&sarif(a, None)).iter().map(|r| at(r, "/partialFingerprints").to_string()).collect::<Vec<_>>()
    };
    assert_eq!(prints(&sample::assessment()), prints(&later));
}

#[test]
fn junit_has_a_suite_per_target_and_each_case_once() {
    let xml = rendered("junit", &sample::assessment(), None);
    for wanted in [
        r#"<testsuites name="messaging" tests="20" skipped="2" failures="6" errors="1">"#,
        r#"<failure message="failure (high): TLSv1.1 is accepted (6 suites)" type="high">failure (high): TLSv1.1"#,
        r#"<error message="not proven (high): the OCSP responder"#,
        r#"<skipped message="not applicable (high): no such target: no disk is declared""#,
        r#"<skipped message="failure, waived until 2027-01-31 by m.roth (critical): mode is 0644"#,
        r#"<testcase name="TLS-PROTO-SSL: No SSL 2.0 or SSL 3.0" classname="edge@203.0.113.8 (baseline)""#,
    ] {
        assert!(xml.contains(wanted), "{wanted} is not in {xml}");
    }
    assert_eq!(xml.matches("<testsuite ").count(), 9, "eight targets and the service");
}

#[test]
fn annotations_keep_to_githubs_limits_and_end_with_a_summary() {
    let mut many = sample::many(300);
    for (n, finding) in many.findings.iter_mut().enumerate() {
        finding.verdict = if n % 5 == 0 { Verdict::Inconclusive } else { Verdict::Fail };
        finding.severity = *Severity::ALL.get(n % 5).unwrap_or(&Severity::Info);
        finding.reasons = vec![model::Reason { message: format!("reason {n}"), item: None, cites: vec![] }];
    }
    let text = rendered("github", &many, None);
    for level in ["::error ", "::warning ", "::notice "] {
        assert_eq!(text.lines().filter(|l| l.starts_with(level)).count(), 10, "{level}");
    }
    let last = text.lines().last().unwrap_or_default();
    assert!(last.contains("571 more not annotated") && last.contains("UNSIGNED: no key was given"), "{last}");
}

#[test]
fn hypothetical_ones_are_called_so_in_every_format() {
    let mut assessment = sample::assessment();
    assessment.hypothetical = true;
    for renderer in report::RENDERERS.iter().filter(|r| r.key != "json") {
        let text = rendered(renderer.key, &assessment, None);
        assert!(text.contains("HYPOTHETICAL, not an audit"), "{}", renderer.key);
    }
    for result in results(&sarif(&assessment, None)) {
        assert!(at(&result, "/message/text").as_str().is_some_and(|t| t.starts_with("Hypothetical: ")));
    }
}

/// Reads XML to its end and gives the names of its elements and attributes.
fn names(xml: &str) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut names = Vec::new();
    loop {
        match reader.read_event()? {
            Event::Eof => return Ok(names),
            Event::Start(e) | Event::Empty(e) => {
                names.push(String::from_utf8(e.name().as_ref().to_vec())?);
                for attribute in e.attributes() {
                    names.push(String::from_utf8(attribute?.key.as_ref().to_vec())?);
                }
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_text_from_outside_breaks_a_machine_format(
        any: String,
        tricks in r#"(\]\]>|<script>|"><|&#0;|%0A::error ::|\r|\n::error title=x::|[\u{0}-\u{1f}\u{fffe}\u{202e}]){0,4}"#,
    ) {
        let assessment = sample::hostile(&format!("{any}{tricks}"));
        let harmless = sample::hostile("x");

        let xml = rendered("junit", &assessment, None);
        let (read, wanted) = (names(&xml), names(&rendered("junit", &harmless, None)));
        prop_assert!(read.is_ok(), "{:?}", read);
        let kinds = |names: Vec<String>| names.into_iter().collect::<std::collections::BTreeSet<_>>();
        prop_assert!(kinds(read.unwrap_or_default()).is_subset(&kinds(wanted.unwrap_or_default())));
        prop_assert!(!xml.contains(|c: char| c != '\n' && report::escape::acts(c)));

        let annotations = rendered("github", &assessment, None);
        for line in annotations.lines() {
            prop_assert!(["::error ", "::warning ", "::notice "].iter().any(|l| line.starts_with(l)), "{}", line);
        }
        prop_assert!(!annotations.contains(|c: char| c != '\n' && report::escape::acts(c)));

        let log = sarif(&assessment, None);
        prop_assert!(!results(&log).is_empty());
        prop_assert!(!rendered("sarif", &assessment, None).contains(|c: char| c != '\n' && report::escape::acts(c)));

        for renderer in report::RENDERERS.iter().filter(|r| !["terminal", "html"].contains(&r.key)) {
            let text = rendered(renderer.key, &assessment, None);
            let breaks = if renderer.key == "csv" { "\r\n" } else { "\n" };
            prop_assert!(!text.contains(|c: char| !breaks.contains(c) && report::escape::acts(c)), "{}", renderer.key);
            prop_assert!(text.ends_with(breaks), "{}", renderer.key);
        }
        for row in rendered("csv", &assessment, None).split_terminator("\r\n") {
            prop_assert_eq!(cells(row), Some(18), "{}", row);
        }
        let lines = rendered("jsonl", &assessment, None);
        prop_assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok_and(|v| v.is_object())));
        let metrics = rendered("prometheus", &assessment, None);
        prop_assert_eq!(metrics.lines().count(), rendered("prometheus", &harmless, None).lines().count());
        prop_assert!(metrics.lines().all(is_sample), "{}", metrics);
        let markdown = rendered("markdown", &assessment, None);
        let bare = |text: &str| outside_of_spans(text).replace(|c: char| c == '–' || c.is_ascii_digit(), "");
        prop_assert_eq!(bare(&markdown), bare(&rendered("markdown", &harmless, None)), "{}", markdown);
    }
}

/// How many quoted cells a row of CSV has; none where it is no row.
fn cells(row: &str) -> Option<usize> {
    let (mut rest, mut count) = (row, 0);
    loop {
        rest = rest.strip_prefix('"')?;
        count += 1;
        loop {
            let end = rest.find('"')?;
            rest = rest.get(end + 1..)?;
            match rest.strip_prefix('"') {
                Some(more) => rest = more,
                None => break,
            }
        }
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return rest.is_empty().then_some(count),
        }
    }
}

/// Whether a line is a comment or `name{labels} number`.
fn is_sample(line: &str) -> bool {
    let value = line.rsplit_once("} ").map(|(_, value)| value.parse::<f64>().is_ok());
    line.starts_with("# HELP ") || line.starts_with("# TYPE ") || (line.starts_with("probity_") && value == Some(true))
}

/// Markdown without its code spans, by the rule of CommonMark 6.1: a span ends at as many backticks as it began with.
fn outside_of_spans(text: &str) -> String {
    let (mut bare, mut rest) = (String::new(), text);
    while let Some(start) = rest.find('`') {
        bare.push_str(rest.get(..start).unwrap_or_default());
        let from = rest.get(start..).unwrap_or_default();
        let fence = from.len() - from.trim_start_matches('`').len();
        let mut at = fence;
        let end = loop {
            let Some(next) = from.get(at..).and_then(|f| f.find('`')) else { break None };
            let run = from.get(at + next..).unwrap_or_default();
            let length = run.len() - run.trim_start_matches('`').len();
            at += next + length;
            if length == fence {
                break Some(at);
            }
        };
        rest = match end.and_then(|end| from.get(end..)) {
            Some(rest) => rest,
            None => return format!("{bare}{from}"),
        };
    }
    bare + rest
}

#[test]
fn rows_and_lines_hold_every_finding() {
    let assessment = sample::assessment();
    let count = assessment.findings.len();
    assert_eq!(rendered("csv", &assessment, None).lines().count(), count + 1);
    let lines = rendered("jsonl", &assessment, None);
    let lines: Vec<Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(lines.len(), count);
    assert_eq!(lines.iter().filter(|l| at(l, "/verdict") == "fail").count(), 7);
    let waived: Vec<_> = lines.iter().filter(|l| at(l, "/waiver").is_string()).collect();
    assert!(!waived.is_empty() && waived.iter().all(|l| at(l, "/blocks") == false));
    assert!(lines.iter().all(|l| at(l, "/fingerprint").as_str().is_some_and(|f| f.len() == 64)));
}

#[test]
fn gitlab_gets_what_it_demands() {
    let report: Value = serde_json::from_str(&rendered("gitlab", &sample::assessment(), None)).unwrap_or_default();
    let issues = report.as_array().cloned().unwrap_or_default();
    assert_eq!(issues.len(), 7, "6 failures and one not proven; the waived one is left out");
    let prints: std::collections::BTreeSet<_> = issues.iter().map(|i| at(i, "/fingerprint").to_string()).collect();
    assert_eq!(prints.len(), issues.len());
    for issue in &issues {
        assert!(at(issue, "/location/path").as_str().is_some_and(|p| p.starts_with("controls/")), "{issue}");
        assert!(at(issue, "/location/lines/begin").as_u64().is_some_and(|n| n > 0));
        let severity = at(issue, "/severity").as_str().unwrap_or_default();
        assert!(["info", "minor", "major", "critical", "blocker"].contains(&severity), "{issue}");
    }
    assert_eq!(rendered("gitlab", &sample::many(0), None).trim(), "[]");
}

#[test]
fn metrics_add_up() {
    let text = rendered("prometheus", &sample::assessment(), None);
    let sum = |name: &str| {
        let values = text.lines().filter(|l| l.starts_with(&format!("{name}{{"))).filter_map(|l| l.rsplit(' ').next());
        values.filter_map(|v| v.parse::<usize>().ok()).sum::<usize>()
    };
    assert_eq!(sum("probity_findings"), sample::assessment().findings.len());
    assert_eq!(sum("probity_finding"), 8, "{text}");
    assert_eq!(sum("probity_gate_passed"), 0);
    assert!(text.contains(r#"probity_finding{service="messaging",policy="baseline",control="TLS-PROTO-LEGACY",target="edge@203.0.113.7",severity="high",verdict="fail",waived="false"} 1"#));
}

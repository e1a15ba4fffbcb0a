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
    }
}

//! JUnit XML as GitLab and Jenkins read it: a suite per target, a case per policy and control.

use model::{Assessment, Finding, Verdict};
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite, XmlString};

use crate::escape::{plain, plain_cut};
use crate::{RenderError, Style, View, summary};

/// Most characters of one reason.
const MOST_MESSAGE: usize = 2_000;

/// Failures are failures, inconclusive ones are errors, what does not apply is skipped. A waived finding is skipped
/// too, so that it does not fail a pipeline, and its message says what it is.
///
/// # Errors
/// Where the XML can't be written.
pub fn render(view: &View<'_>, _: &Style) -> Result<Vec<u8>, RenderError> {
    let assessment = view.assessment;
    let mut report = Report::new(&*name(assessment));
    let mut suites: Vec<TestSuite> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for line in &assessment.coverage.targets {
        places.insert(line.name.as_str(), suites.len());
        let mut suite = suite(view, &line.name);
        suite.add_property(Property::new("address", &*plain(&line.address)));
        for (key, value) in &line.labels {
            suite.add_property(Property::new(format!("label {}", plain(key)), &*plain(value)));
        }
        suites.push(suite);
    }
    for finding in &assessment.findings {
        let place = *places.entry(&finding.target).or_insert(suites.len());
        if place == suites.len() {
            suites.push(suite(view, &finding.target));
        }
        if let Some(suite) = suites.get_mut(place) {
            suite.add_test_case(case(assessment, finding));
        }
    }
    report.add_test_suites(suites);
    let mut bytes = Vec::new();
    report.serialize(&mut bytes)?;
    Ok(bytes)
}

fn name(assessment: &Assessment) -> String {
    let service = plain(&assessment.service);
    if assessment.hypothetical { format!("{service} ({})", summary::HYPOTHETICAL) } else { service.into_owned() }
}

fn suite(view: &View<'_>, target: &str) -> TestSuite {
    let assessment = view.assessment;
    let hypothetical = if assessment.hypothetical { " (hypothetical)" } else { "" };
    let mut suite = TestSuite::new(format!("{}{hypothetical}", plain(target)));
    // Without a zone, as the schemas in use demand; it is UTC.
    let time = assessment.as_of.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    suite.extra.insert(XmlString::new("timestamp"), XmlString::new(time));
    suite.add_property(Property::new("policy", summary::policies(assessment)));
    suite.add_property(Property::new("signature", summary::signature(view, 64)));
    suite
}

fn case(assessment: &Assessment, finding: &Finding) -> TestCase {
    let control = assessment.controls.get(&*finding.control);
    let title = control.map(|c| format!(": {}", plain(&c.title))).unwrap_or_default();
    let mut case = TestCase::new(format!("{}{title}", plain(&finding.control)), status(assessment, finding));
    // GitLab shows the class name as the suite and keeps the first case only of each class and name.
    case.set_classname(format!("{} ({})", plain(&finding.target), plain(&finding.policy)));
    if let Some(control) = control {
        case.extra.insert(XmlString::new("file"), XmlString::new(plain(&control.source.file)));
    }
    case
}

fn status(assessment: &Assessment, finding: &Finding) -> TestCaseStatus {
    let waived = summary::waived(assessment, finding);
    let mut status = match (finding.verdict, &waived) {
        (Verdict::Pass, _) => return TestCaseStatus::success(),
        (Verdict::NotApplicable, _) | (Verdict::Fail | Verdict::Inconclusive, Some(_)) => TestCaseStatus::skipped(),
        (Verdict::Fail, None) => TestCaseStatus::non_success(NonSuccessKind::Failure),
        (Verdict::Inconclusive, None) => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    let what = match finding.verdict {
        Verdict::Inconclusive => "not proven",
        Verdict::NotApplicable => "not applicable",
        Verdict::Fail | Verdict::Pass => "failure",
    };
    let head = waived.map_or_else(|| what.to_owned(), |waived| format!("{what}, {waived}"));
    let mut reasons = finding.reasons.iter().map(|r| plain_cut(&r.message, MOST_MESSAGE));
    let first = reasons.next().unwrap_or_default();
    // GitLab shows the text, Jenkins the attribute: the reason stands in both.
    let message = format!("{} ({}): {first}", head, finding.severity);
    let mut text = vec![message.clone()];
    text.extend(reasons.map(|r| r.into_owned()));
    text.extend(finding.wanted.as_ref().map(|w| format!("wanted: {}", plain_cut(w, MOST_MESSAGE))));
    text.extend(finding.level.map(|l| format!("level: {}", l.as_str())));
    text.extend(finding.evidence.iter().map(|digest| format!("evidence: {digest}")));
    status.set_message(message).set_type(finding.severity.as_str()).set_description(text.join("\n"));
    status
}

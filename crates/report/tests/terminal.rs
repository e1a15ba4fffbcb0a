//! The terminal's layout, and that nothing from outside gets through to it.

mod sample;

use std::sync::Arc;

use proptest::prelude::*;
use report::{Signature, Style, Trust, View};

fn view(assessment: &model::Assessment) -> View<'_> {
    View {
        assessment,
        evidence: &|digest| sample::evidence(digest).map(Arc::new),
        earlier: &sample::earlier,
        signature: Signature::Signed {
            fingerprint: "SHA256:Rk3vJt0m1mVh2Zk9w8yT4c6bN5pXqLsUeDfGhIjKlMn".into(),
            label: Some("ops".into()),
            trust: Trust::Trusted,
        },
        pack: Some("packs/one"),
        bundle: None,
        inventory: None,
    }
}

fn text(view: &View<'_>, style: &Style) -> String {
    let bytes = report::terminal::render(view, style).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

#[test]
fn the_sample_reads_as_designed() {
    let text = text(&view(&sample::assessment()), &Style::PLAIN);
    for wanted in [
        "probity 0.1.0 · messaging · policy baseline (modified) + mozilla-intermediate · 2026-11-24T03:00:12Z\n\n",
        "\nedge  chat.example.org:443, 2 addresses                                 5 pass  4 fail  1 not proven\n",
        "  ✗ high     TLS-PROTO-LEGACY  TLSv1.1 is accepted (6 suites)           wanted: TLSv1.2 or newer\n",
        "             fix          Renew it, and let a timer do so: certbot renew\n",
        "             seen         203.0.113.7, 203.0.113.8, demonstrated, exchanges dfb0… f5d2…, under baseline\n",
        "             so           not proven, so not passed\n",
        "             waived       until 2027-01-31 by m.roth\n",
        "\n2 more targets, all pass: mail 4, offsite 1\n",
        "\nFAILED  2 at or above 'high', 4 below; 1 not proven (also blocks); 1 waived; 11 of 19 pass;",
        "\npack packs/one · signed by ops (SHA256:Rk3vJt0m1mVh…, trusted) · check it: probity verify packs/one\n",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in:\n{text}");
    }
}

#[test]
fn copies_have_a_line_for_each_history_and_pictures_only_on_a_terminal() {
    let assessment = sample::assessment();
    let plain = text(&view(&assessment), &Style::PLAIN);
    let wanted = "\nbackups\n  nightly  chat                      9 h 12 s old, 24 copies, complete\n";
    assert!(plain.contains(wanted), "{plain}");
    let shown = text(&view(&assessment), &Style { pictures: true, ..Style::PLAIN });
    for wanted in [
        "  nightly  chat                      ·o·o·▇·o·o·▇·o·o·▇·o·o·▇·o·o·▇  9 h 12 s old, 24 copies, complete\n",
        "  nightly  host1:/etc,/var/lib/chat  ▇▇▇▇▇▇xx▇▇▇▇▇▇▇▇▇·▇▇▇▇▇▇x▇▇▇▇▇  21 h 12 s old, 65 copies, 1 dated\n",
    ] {
        assert!(shown.contains(wanted), "{wanted:?} is not in:\n{shown}");
    }
    let narrow = text(&view(&assessment), &Style { pictures: true, width: 80, ..Style::PLAIN });
    assert!(!narrow.contains('▇') && narrow.contains("24 copies, complete"), "{narrow}");
    let none = View { evidence: &|_| None, ..view(&assessment) };
    assert!(!text(&none, &Style::PLAIN).contains("backups\n"));
}

#[test]
fn a_waived_failure_stays_in_sight() {
    let text = text(&view(&sample::assessment()), &Style::PLAIN);
    assert!(text.contains("✗ critical HOST-KEY-MODE"), "{text}");
}

#[test]
fn nothing_judged_is_not_all_pass() {
    let mut none = sample::assessment();
    none.findings.clear();
    none.counts = model::Counts::default();
    let text = text(&view(&none), &Style::PLAIN);
    assert!(text.contains("8 targets, nothing judged: edge, mail"), "{text}");
    assert!(text.contains("nothing was judged") && !text.contains("all pass"), "{text}");
}

#[test]
fn a_hypothetical_assessment_says_so_first_and_last_and_is_unsigned() {
    let mut assessment = sample::assessment();
    assessment.hypothetical = true;
    let text = text(&view(&assessment), &Style::PLAIN);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.first().is_some_and(|l| l.contains("HYPOTHETICAL, not an audit")), "{text}");
    assert!(text.contains("FAILED (HYPOTHETICAL, not an audit)"), "{text}");
    assert!(text.contains("UNSIGNED") && !text.contains("signed by ops"), "{text}");
}

#[test]
fn an_unsigned_pack_is_marked() {
    let assessment = sample::assessment();
    let view = View { signature: Signature::Unsigned { why: "no key was given".into() }, ..view(&assessment) };
    assert!(text(&view, &Style::PLAIN).contains("· UNSIGNED: no key was given ·"));
}

#[test]
fn a_thousand_targets_in_the_same_trouble_are_one_block() {
    let text = text(&view(&sample::many(1000)), &Style::PLAIN);
    assert!(text.contains("node-0000, node-0001, node-0002 and 997 more  alike, on 1000 targets"), "{text}");
    assert!(text.lines().count() < 20, "{text}");
}

#[test]
fn a_thousand_targets_in_different_trouble_are_bounded() {
    let mut many = sample::many(1000);
    for (n, finding) in many.findings.iter_mut().enumerate() {
        finding.reasons.iter_mut().for_each(|r| r.message = format!("reason {n}"));
    }
    let text = text(&view(&many), &Style::PLAIN);
    assert!(text.contains("960 more names have findings: see assessment.json in the pack"), "{text}");
    assert!(text.lines().count() < 400);
}

/// What is left once our own colours are taken out holds no control character but newlines.
fn only_our_own(text: &str) -> bool {
    let mut text = text.to_owned();
    for sgr in ["0", "1", "2", "32", "1;31", "33"] {
        text = text.replace(&format!("\u{1b}[{sgr}m"), "");
    }
    !text.contains(|c: char| c != '\n' && report::escape::acts(c))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_from_outside_acts_on_a_terminal(any: String, tricks in "[\u{1b}\u{9b}\u{7}\r\n\t\u{202e}\u{200b}\\[2Jm]{0,12}", width in 0usize..300) {
        let assessment = sample::hostile(&format!("{any}{tricks}"));
        for colour in [false, true] {
            let text = text(&view(&assessment), &Style { colour, width, pictures: colour });
            prop_assert!(only_our_own(&text), "{text:?}");
            let escapes = text.matches(char::from(0x1b)).count();
            prop_assert!(colour || escapes == 0);
        }
    }

    #[test]
    fn no_name_of_a_copy_acts_on_a_terminal(any: String, tricks in "[\u{1b}\u{9b}\u{7}\r\n\u{202e}\\[2Jm]{0,12}", width in 0usize..200) {
        let assessment = sample::assessment();
        let text = format!("{any}{tricks}");
        let evidence = sample::hostile_copies(&text);
        let view = View { evidence: &|digest| evidence(digest).map(Arc::new), ..view(&assessment) };
        let shown = self::text(&view, &Style { colour: true, width, pictures: true });
        prop_assert!(only_our_own(&shown), "{shown:?}");
        prop_assert!(shown.contains("backups"));
    }

    #[test]
    fn json_is_the_assessment_and_safe_to_show(any: String) {
        let assessment = sample::hostile(&any);
        let bytes = report::json::render(&view(&assessment), &Style::PLAIN).unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap_or_default();
        prop_assert!(!text.contains(|c: char| c != '\n' && report::escape::acts(c)));
        let read: Result<model::Assessment, _> = model::from_json(text.as_bytes());
        prop_assert_eq!(read.ok(), Some(assessment));
    }
}

#[test]
fn the_published_schema_describes_what_json_writes() {
    let schema = report::assessment_schema();
    let properties =
        schema.get("properties").and_then(|p| p.as_object()).map(|p| p.keys().cloned().collect::<Vec<_>>());
    let written = serde_json::to_value(sample::assessment()).unwrap_or_default();
    let keys = written.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>());
    assert_eq!(properties, keys);
    assert_eq!(schema.get("$schema").and_then(|s| s.as_str()), Some("https://json-schema.org/draft/2020-12/schema"));
}

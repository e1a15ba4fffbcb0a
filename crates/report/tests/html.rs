//! The page: well formed, closed to the outside, in order for every reader, and proof against what targets send.

mod sample;

use std::sync::Arc;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Assessment, Digest, Evidence};
use proptest::prelude::*;
use quick_xml::events::Event;
use report::{Signature, Style, Trust, View};

const BUNDLE: &str = "{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\",\"x\":\"</pre><script>ü\"}\n";

fn page(assessment: &Assessment) -> String {
    page_of(assessment, &sample::evidence)
}

fn page_of(assessment: &Assessment, evidence: &dyn Fn(&Digest) -> Option<Evidence>) -> String {
    let view = View {
        assessment,
        evidence: &|digest| evidence(digest).map(Arc::new),
        earlier: &sample::earlier,
        signature: Signature::Signed { fingerprint: "SHA256:abc".into(), label: None, trust: Trust::SelfMade },
        pack: Some("packs/one"),
        bundle: Some(BUNDLE),
        inventory: None,
    };
    String::from_utf8(report::html::render(&view, &Style::PLAIN).unwrap_or_default()).unwrap_or_default()
}

/// An element with its attributes.
type Element = (String, Vec<(String, String)>);

/// Reads the page as XML, which the templates keep to, and gives its elements in order.
fn elements(page: &str) -> Result<Vec<Element>, Box<dyn std::error::Error>> {
    let mut reader = quick_xml::Reader::from_str(page);
    let mut elements = Vec::new();
    loop {
        match reader.read_event()? {
            Event::Eof => return Ok(elements),
            Event::Start(e) | Event::Empty(e) => {
                let mut attributes = Vec::new();
                for attribute in e.attributes() {
                    let attribute = attribute?;
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
                    attributes.push((text(attribute.key.as_ref())?, text(&attribute.value)?));
                }
                elements.push((String::from_utf8(e.name().as_ref().to_vec())?, attributes));
            }
            _ => {}
        }
    }
}

fn attribute<'a>(element: &'a Element, name: &str) -> Option<&'a str> {
    element.1.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[test]
fn it_loads_nothing_and_runs_nothing() -> Result<(), Box<dyn std::error::Error>> {
    let page = page(&sample::assessment());
    for element in elements(&page)? {
        assert!(!["script", "link", "img", "iframe", "object", "embed", "form", "base"].contains(&&*element.0));
        for (key, value) in &element.1 {
            assert!(!key.starts_with("on") && key != "style" && key != "src", "{key}");
            assert!(key != "href" || value.starts_with('#'), "{value}");
        }
    }
    let style = page.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>")).map(|(style, _)| style);
    let style = style.ok_or("no style sheet")?;
    assert!(!style.contains("url(") && !style.contains("@import"));
    let hash = STANDARD.encode(Digest::of(style.as_bytes()).as_bytes());
    let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'");
    assert!(page.contains(&policy), "the policy does not allow the style sheet that is there");
    Ok(())
}

#[test]
fn it_reads_in_order() -> Result<(), Box<dyn std::error::Error>> {
    let elements = elements(&page(&sample::assessment()))?;
    let mut last = 0;
    for (name, _) in &elements {
        if let Some(level) = name.strip_prefix('h').and_then(|n| n.parse::<u32>().ok()) {
            assert!(level <= last + 1, "h{level} follows h{last}");
            last = level;
        }
    }
    for landmark in ["header", "nav", "main", "footer", "h1"] {
        let wanted = elements.iter().filter(|(name, _)| name == landmark).count();
        assert!(wanted == 1 || landmark == "header", "{wanted} {landmark}");
    }
    assert!(elements.iter().filter(|(name, _)| name == "th").all(|th| attribute(th, "scope").is_some()));
    let ids: Vec<&str> = elements.iter().filter_map(|e| attribute(e, "id")).collect();
    let distinct: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len(), "an id occurs twice");
    for link in elements.iter().filter_map(|e| attribute(e, "href")) {
        assert!(distinct.contains(link.trim_start_matches('#')), "{link} leads nowhere");
    }
    assert!(elements.iter().any(|(name, a)| name == "html" && a.contains(&("lang".into(), "en".into()))));
    Ok(())
}

#[test]
fn it_says_what_matters() {
    let page = page(&sample::assessment());
    for wanted in [
        "2 findings fail and 1 finding is not proven at severity high or above.",
        r##"<a href="#finding-2">No TLS 1.0 or TLS 1.1</a>"##,
        "Fails, waived",
        "waived until 2027-01-31 by m.roth",
        "Expired: it waives nothing",
        "ssl_protocols TLSv1.2 TLSv1.3;",
        "attested by the host only",
        "0xcca9 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "not proven: 0x0005, reset twice after a canary succeeded",
        "Could not look (timeout).",
        "permission denied; run as root to look there",
        "Other clients, other addresses and other times may be served differently.",
        "probity on audit1.example.org",
        "(self-made)",
    ] {
        let escaped = wanted.replace('/', "&#x2f;");
        assert!(page.contains(wanted) || page.contains(&escaped), "{wanted} is not in the page");
    }
}

#[test]
fn copies_are_drawn_and_told_in_words() -> Result<(), Box<dyn std::error::Error>> {
    let page = page(&sample::assessment());
    for wanted in [
        r##"<a href="#backups">Backups <span>2</span></a>"##,
        "Expected: a copy every 24 h, the newest no older than 26 h",
        "65 copies, newest 21 h 12 s old, complete, 1 dated in the future. From 2026-09-15 to 2026-11-23.",
        "Gaps: no copy for 6 d",
        "32 complete, 30 not proven complete, 3 incomplete",
        "the job&#x27;s log names 212 files that could not be read",
        "2026-11-15, read: 1 part damaged, 141.1 MiB read",
        "restored 4 GiB, canary lost, 20 of 20 samples equal, in 6 min 52 s",
        "and 15 more, all intact or equal; their evidence lies in the pack.",
    ] {
        let escaped = wanted.replace("&#x27;", "'").replace('/', "&#x2f;").replace('\'', "&#x27;");
        assert!(page.contains(wanted) || page.contains(&escaped), "{wanted} is not in the page");
    }
    // A mark for each copy, by form: bars, bars with a dot, bars with a cross, dots alone.
    let elements = elements(&page)?;
    let of = |class: &str| {
        let paths = elements.iter().filter(|e| attribute(e, "class") == Some(class));
        paths
            .filter_map(|e| attribute(e, "d"))
            .filter(|d| d.len() > 60)
            .map(|d| d.matches('M').count())
            .collect::<Vec<_>>()
    };
    assert_eq!((of("copy"), of("doubt"), of("dot known")), (vec![8, 32, 41], vec![30], vec![16]));
    for svg in elements.iter().filter(|e| attribute(e, "class") == Some("lane")) {
        assert_eq!(attribute(svg, "role"), Some("img"));
        let ids = attribute(svg, "aria-labelledby").ok_or("no label")?;
        assert!(ids.split(' ').all(|id| elements.iter().any(|e| attribute(e, "id") == Some(id))), "{ids}");
    }
    assert!(elements.iter().any(|e| attribute(e, "class") == Some("beyond")), "the future has no place");
    Ok(())
}

#[test]
fn ten_thousand_copies_are_thinned_out_and_the_page_says_so() {
    let page = page_of(&sample::assessment(), &sample::many_copies(10_000));
    let drawn =
        "2161 copies, 392 drawn: of those that fall together the one that is least complete, then the smallest.";
    assert!(page.contains(drawn), "what is left out is not said");
    assert!(page.contains("◂ 7839 older copies, 2025-10-03 to 2026-08-26, are not on the line."));
    assert!(page.contains("10000 copies, newest 12 s old, complete"));
    assert!(page.len() < 400_000, "{} bytes", page.len());
}

#[test]
fn unsigned_and_hypothetical_pages_say_so() {
    let assessment = sample::assessment();
    let view = View {
        assessment: &assessment,
        evidence: &|_| None,
        earlier: &Vec::new,
        signature: Signature::Unsigned { why: "no key was given".into() },
        pack: None,
        bundle: None,
        inventory: None,
    };
    let unsigned = report::html::render(&view, &Style::PLAIN).unwrap_or_default();
    assert!(String::from_utf8_lossy(&unsigned).contains(r#"<span class="seal bad">UNSIGNED: no key was given</span>"#));

    let hypothetical = Assessment { hypothetical: true, ..assessment };
    let page = page(&hypothetical);
    assert!(page.contains("<title>HYPOTHETICAL, not an audit: messaging: FAILED"));
    assert!(page.contains("(HYPOTHETICAL, not an audit)") && page.contains("seal bad") && !page.contains("SHA256:abc"));
}

#[test]
fn the_attestation_can_be_taken_out_byte_for_byte() -> Result<(), Box<dyn std::error::Error>> {
    let page = page(&sample::assessment());
    let mark = r#"<pre class="bundle" id="assessment-bundle">"#;
    let parts: Vec<&str> = page.split(mark).collect();
    let [_, rest] = parts.as_slice() else { return Err("the mark stands not exactly once".into()) };
    let (text, _) = rest.split_once("</pre>").ok_or("no end")?;
    assert_eq!(STANDARD.decode(text)?, BUNDLE.as_bytes());
    Ok(())
}

#[test]
fn a_large_assessment_stays_a_page() {
    let mut many = sample::many(2_000);
    for (n, finding) in many.findings.iter_mut().enumerate() {
        finding.reasons.iter_mut().for_each(|r| r.message = format!("reason {n}"));
    }
    let page = page(&many);
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    assert!(page.contains("1700 more findings that fail or are not proven stand in"), "what is left out is not said");
    assert!(page.contains("and 1500 more in"), "the table of targets does not say what it leaves out");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_name_of_a_copy_becomes_markup(
        any: String,
        tricks in r#"(</svg>|</title>|</desc>|<script>|"/><image href=x>|' onload='|\]\]>|&lt;|[\u{0}-\u{1f}\u{202e}\u{9b}]|a{900}){1,4}"#,
    ) {
        let assessment = sample::assessment();
        let names = |page: &str| -> Result<Vec<String>, String> {
            elements(page).map(|e| e.into_iter().map(|(name, _)| name).collect()).map_err(|e| e.to_string())
        };
        static HARMLESS: std::sync::OnceLock<Result<Vec<String>, String>> = std::sync::OnceLock::new();
        let harmless = HARMLESS.get_or_init(|| names(&page_of(&assessment, &sample::hostile_copies("x"))));
        let page = page_of(&assessment, &sample::hostile_copies(&format!("{any}{tricks}")));
        let hostile = names(&page);
        prop_assert!(hostile.is_ok(), "{:?}", hostile);
        prop_assert!(hostile == *harmless, "other elements");
        let body = page.split_once("</style>").map(|(_, body)| body).unwrap_or_default();
        prop_assert!(!body.contains(|c: char| c != '\n' && report::escape::acts(c)));
    }

    #[test]
    fn no_text_from_outside_becomes_markup(
        any: String,
        tricks in r#"(<script>alert\(1\)</script>|"><img src=x onerror=y>|' onload='|</style>|</pre>|\]\]>|&lt;|\{\{ x \}\}|[\u{0}-\u{1f}\u{202e}\u{9b}]){1,4}"#,
    ) {
        let harmless = elements(&page(&sample::hostile("x"))).unwrap_or_default();
        let hostile = page(&sample::hostile(&format!("{any}{tricks}")));
        let read = elements(&hostile);
        prop_assert!(read.is_ok(), "{:?}", read);
        // Sorted, because the order of what is listed depends on the text.
        let names = |elements: Vec<Element>| {
            let mut names: Vec<_> = elements.into_iter().map(|(name, _)| name).collect();
            names.sort_unstable();
            names
        };
        let (read, wanted) = (names(read.unwrap_or_default()), names(harmless));
        prop_assert!(read == wanted, "{} elements for {}", read.len(), wanted.len());
        let body = hostile.split_once("</style>").map(|(_, body)| body).unwrap_or_default();
        prop_assert!(!body.contains(|c: char| c != '\n' && report::escape::acts(c)));
    }
}

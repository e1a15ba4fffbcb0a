//! What the linter says, all at once and each at its place.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use common::{control, kinds, sources};
use policy::{Diagnostics, Library, policies_from_yaml, policies_to_yaml};

fn lint(files: &[(&str, &str)]) -> Diagnostics {
    Library::load(&sources(files), &kinds()).err().unwrap_or_default()
}

/// `line:column code` of each complaint, and its message.
fn said(found: &Diagnostics) -> Vec<String> {
    found.iter().map(|d| format!("{}:{} {}: {}", d.line, d.column, d.code, d.message)).collect()
}

#[test]
fn all_errors_of_all_files_come_at_once_each_at_its_place() {
    let first = "\
controls:
  - id: A-ONE
    title: t
    sevrity: hihg
    severity: hihg
    evidence: { kind: tsl }
    violates: true
    message: m
    wanted: w
    rationale: r
  - id: A-TWO
    title: t
    severity: low
    evidence: { kind: tls }
    params: { forbidden: [TLSv1.1, TLSv9.9] }
    over: versions[*].suites[*]
    where: >-
      parent.nmae == \"x\" &&
      parent.outcome == \"acepted\" && item.bits < \"3\"
    violates: parent.name in params.forbiden || parent.name in params.forbidden
    message: \"{{ item.idd }} {{ parent.name }}\"
    wanted: '{{ params.forbidden | frobnicate }}'
    rationale: r
";
    let second = "profile: p\nversion: 6.0\ntitle: t\ncontrols: [A-ONE]\n";
    let found = lint(&[("controls/a.yaml", first), ("profiles/p.yaml", second), ("README.md", ":")]);
    let want = [
        "4:5 unknown-field: unknown field 'sevrity' in a control",
        "5:15 unknown-word: 'hihg' is no severity",
        "6:23 unknown-kind: there is no kind of evidence 'tsl'",
        "7:15 wrong-type: 'violates' must be a string; this is a boolean",
        "15:36 unknown-word: 'TLSv9.9' is none of the values that parameter 'forbidden' is compared with",
        "18:14 unknown-path: there is no field 'nmae'",
        "19:25 unknown-word: 'acepted' is none of the values that this can have",
        "19:38 cel-type: an integer or null is compared with a string",
        "20:37 unknown-path: there is no parameter 'forbiden'",
        "21:18 unknown-path: there is no field 'idd'",
        "22:36 template: there is no filter 'frobnicate'",
        "2:10 wrong-type: 'version' must be a string; this is a number with a fraction",
    ];
    assert_eq!(said(&found), want);
    let help: Vec<&str> = found.iter().filter_map(|d| d.help.as_deref()).collect();
    for wanted in [
        "did you mean 'severity'?",
        "did you mean 'high'?",
        "did you mean 'tls'?",
        "did you mean 'name'?",
        "did you mean 'accepted'?",
        "did you mean 'forbidden'?",
        "put it in quotes",
    ] {
        assert!(help.contains(&wanted), "{wanted} not in {help:?}");
    }
}

#[test]
fn a_complaint_looks_as_a_compiler_would_print_it() {
    let text = control("over: versions[*]\nviolates: 'item.outcome == \"acepted\"'");
    let files = [("controls/a.yaml", text.as_str())];
    let out = lint(&files).render(&sources(&files), false);
    let want = "\
error[unknown-word]: 'acepted' is none of the values that this can have
  --> controls/a.yaml:10:30
   |
10 |   violates: 'item.outcome == \"acepted\"'
   |                              ^^^^^^^^^
   |
   = help: did you mean 'accepted'?
";
    assert_eq!(out, want);
}

#[test]
fn expressions_are_checked_one_by_one() {
    for (fields, wanted) in [
        ("violates: item.outcome = 3", "9:26 cel-syntax"),
        (
            "violates: facts.versions.exists(v, v.suites.exists(s, s.idx == 'a'))",
            "unknown-path: there is no field 'idx'",
        ),
        ("violates: facts.versions.filter(v, v.outcome == 'refsed').size() > 0", "9:51 unknown-word"),
        ("violates: facts.versions == []", "cel-type: lists and objects can't be compared"),
        ("violates: facts.versions.size()", "cel-type: this is an integer; a boolean is wanted"),
        ("violates: size(facts.expires) > 3 && facts.expires", "cel-type: this is a string; a boolean is wanted here"),
        ("violates: days_lft(facts.expires) < 3", "cel-function: there is no function 'days_lft'"),
        ("violates: days_left(facts.versions) < 3", "cel-type: this is a list; a string is wanted here"),
        ("violates: facts.expires.matches('(')", "cel-regex"),
        ("violates: itm.x == 1", "unknown-name: 'itm' is not known here"),
        ("violates: facts.asked.x == 1", "unknown-path: a string or a list has no field"),
        ("violates: facts.versions[0].nope == 1", "unknown-path: there is no field 'nope'"),
        ("violates: '{\"a\": 1}.a == 1'", "cel-function: objects can't be written here"),
        ("violates: timestamp(facts.expires) > timestamp(facts.expires)", "cel-function"),
        ("violates: '[1].all(a, [1].all(b, [1].all(c, true)))'", "cel-size"),
        ("over: version[*]", "unknown-path: there is no field 'version'"),
        ("over: versions", "unknown-path: 'versions' is a list"),
        ("over: versions[*].name[*]", "unknown-path: 'name' is a string, not a list"),
        ("over: versions[0]", "path-syntax"),
        ("over: versions[*]\ncover: facts.x", "unknown-name: 'facts' is not known here"),
        ("over: versions[*]\ncover: params.n\nparams: { n: 3 }", "a list of strings is wanted"),
        ("cover: [a]", "missing-field: 'cover' names items of lists"),
        ("asks: some", "wrong-type: 'asks' must be a mapping"),
        ("asks: { versions: params.x }", "unknown-path: there is no parameter 'x'"),
        ("applicable: 'true'", "missing-field: 'applicable' and 'otherwise'"),
        ("unproven: 'true'", "missing-field: 'unproven' and 'because'"),
        ("unproven: collected\nbecause: b", "cel-type: this is a string; a boolean is wanted"),
        ("applicable: item.x\notherwise: o", "unknown-name: 'item' is not known here"),
        ("params: { Bad: 1 }", "param-name"),
        ("params: { bad: { a: 1 } }", "wrong-type: parameter 'bad' must be"),
        ("over: versions[*]\nwhere: item.name in params.n\nparams: { n: [TLSv9] }", "unknown-word: 'TLSv9' is none"),
        ("message: '{{ item.asked'", "template"),
        ("message: '{% for x in facts.versions %}x{% endfor %}'", "template: only"),
        ("wanted: '{{ facts.asked }}'", "unknown-name: 'facts' is not known here"),
        ("evidence: { kinds: [tls, key] }", "evidence-scope"),
        ("evidence: { kind: tls, max_age: 1 day }", "time-span"),
        ("evidence: { kind: tls, level: efective }", "unknown-word: 'efective' is no level"),
        ("source: { file: x, line: 1, column: 1 }", "unknown-field: unknown field 'source'"),
    ] {
        let mut text = control(fields);
        if !fields.contains("violates") {
            text = text.replace("item.outcome == 'accepted'", "'true'");
        }
        if !fields.contains("message") {
            text = text.replace("'{{ item.name }}'", "m");
        }
        let found = said(&lint(&[("controls/a.yaml", &text)]));
        assert!(found.iter().any(|f| f.contains(wanted)), "{fields}: wanted {wanted}, got {found:#?}");
    }
}

#[test]
fn columns_are_right_in_every_style_of_yaml() {
    for (style, line, column) in [
        ("violates: item.a && item.nope == 1", 9, 28),
        ("violates: 'item.a && item.nope == 1'", 9, 29),
        ("violates: \"item.\\u0061 && item.nope == 1\"", 9, 34),
        ("violates: >-\n  item.a &&\n  item.nope == 1", 11, 10),
        ("violates: |\n  item.a\n  && item.nope == 1", 11, 13),
        ("violates: item.a &&\n  item.nope == 1", 10, 10),
    ] {
        let text = control(style).replace("'{{ item.name }}'", "m");
        let found = lint(&[("controls/a.yaml", &text)]);
        let nope = found.iter().find(|d| d.message.contains("'nope'")).map(|d| (d.line, d.column));
        assert_eq!(nope, Some((line, column)), "{style}: {found}");
    }
}

#[test]
fn profiles_are_checked_against_controls() {
    let text = control("params: { days: 14, names: [a] }")
        .replace("item.outcome == 'accepted'", "'true'")
        .replace("'{{ item.name }}'", "m");
    let profile = |name: &str, rest: &str| format!("profile: {name}\nversion: '1'\ntitle: t\n{rest}\n");
    let lint = |rest: &str| {
        let (a, b) = (profile("a", rest), profile("b", "extends: [c]"));
        let c = profile("c", "extends: [b]\ncontrols: [TEST]");
        let files = [
            ("controls/t.yaml", text.as_str()),
            ("profiles/a.yaml", &a),
            ("profiles/b.yaml", &b),
            ("profiles/c.yaml", &c),
        ];
        let with_cycle = rest.contains("[b]");
        said(&lint(if with_cycle { &files } else { &files[..2] }))
    };
    assert_eq!(lint("controls: [TEST]"), Vec::<String>::new());
    assert_eq!(lint("controls: [TSET]"), ["4:12 unknown-control: there is no control 'TSET'"]);
    assert_eq!(lint("extends: [bee]\ncontrols: [TEST]"), ["4:11 unknown-profile: there is no profile 'bee'"]);
    assert_eq!(
        lint("controls: [{ id: TEST, params: { day: 3 } }]"),
        ["4:34 unknown-param: control 'TEST' has no parameter 'day'"]
    );
    let wrong = "4:34 wrong-type: parameter 'days' of 'TEST' is an integer; this is a string";
    assert_eq!(lint("controls: [{ id: TEST, params: { days: x } }]"), [wrong]);
    assert_eq!(lint("controls: [{ id: TEST, params: { names: [] } }]"), Vec::<String>::new());
    assert_eq!(
        lint("controls: [TEST]\ndrop: [{ control: TEST }]"),
        ["5:10 missing-field: what is dropped has no 'reason'"]
    );
    assert!(lint("controls: [{ id: TEST, severity: low }]")[0].contains("unknown field 'severity'"));
    assert_eq!(lint("requires: [tsl]\ncontrols: [TEST]"), ["4:12 unknown-kind: there is no kind of evidence 'tsl'"]);
    let cycles = lint("extends: [b]");
    assert!(cycles.iter().any(|c| c.contains("profiles extend each other: b → c → b")), "{cycles:?}");
}

#[test]
fn bombs_and_garbage_are_refused() {
    let mut bomb = String::from("controls:\n- &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        bomb.push_str(&format!("- &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", ")));
    }
    let long = format!("controls: [{}]", "x,".repeat(2 << 20));
    for text in
        [bomb.as_str(), long.as_str(), "controls: {", "\u{0}", "controls: [1, null, [], {}]", "", "x", "- controls"]
    {
        let found = lint(&[("controls/a.yaml", text)]);
        assert!(found.has_errors(), "{text:.40}");
    }
    let bytes = policy::SourceFile { bytes: vec![0xff, 0xfe].into(), shipped: false };
    assert!(Library::load(&[("controls/a.yaml".to_owned(), bytes)].into(), &kinds()).is_err());
}

#[test]
fn resolved_policies_are_read_back_the_same() {
    let fields = "params: { forbidden: [TLSv1.0], days: 14, on: true, text: '1_000', none: [], ports: [1, 2] }\nover: versions[*]\n\
        where: |\n  item.name in params.forbidden\n  && true\ncover: params.forbidden\nasks: { versions: params.forbidden, more: ['no'] }\n\
        remedy: { nginx: \"a: b # c\\n  d\", any: 'yes' }\nclauses: { x: ['4.2', '0x1f'] }\napplicable: facts.versions.size() > 0\notherwise: 'null'\n\
        unproven: collected == 'never'\nbecause: '{{ collected }}'";
    let policies = common::policies(&control(fields));
    let bytes = policies_to_yaml(&policies).unwrap();
    let again = policies_from_yaml("policy.yaml", &bytes, &kinds()).map_err(|e| e.to_string()).unwrap();
    assert_eq!(policies_to_yaml(&again).unwrap(), bytes);
    assert_eq!(again[0].digest, policies[0].digest);
    assert_eq!(again[0].controls[0].written, policies[0].controls[0].written);
    assert_eq!(again[0].controls[0].source, policies[0].controls[0].source);
    let other = String::from_utf8(bytes).unwrap().replace("probity.policy/v1", "probity.policy/v9");
    assert!(
        policies_from_yaml("policy.yaml", other.as_bytes(), &kinds())
            .unwrap_err()
            .to_string()
            .contains("'probity.policy/v9'")
    );
}

#[test]
fn what_was_shipped_and_changed_is_marked() {
    let control = control("params: { days: 14 }")
        .replace("item.outcome == 'accepted'", "'true'")
        .replace("'{{ item.name }}'", "m");
    let profile = "profile: p\nversion: '1'\ntitle: t\ncontrols: [TEST]\n";
    let mut files = sources(&[("shipped/controls/a.yaml", &control), ("shipped/profiles/p.yaml", profile)]);
    files.values_mut().for_each(|f| f.shipped = true);
    let resolve = |files: &policy::Sources| Library::load(files, &kinds()).unwrap().resolve(&["p"]).unwrap().remove(0);
    assert!(!resolve(&files).modified);
    let mine = control.replace("days: 14", "days: 15");
    files.extend(sources(&[("mine/controls/a.yaml", &mine)]));
    let changed = resolve(&files);
    assert!(changed.modified);
    assert_eq!(changed.controls[0].source.file, "mine/controls/a.yaml");
    let error = Library::load(&files, &kinds()).unwrap().resolve(&["q"]).unwrap_err();
    assert_eq!(error.to_string(), "there is no policy 'q' (did you mean 'p'?)");
}

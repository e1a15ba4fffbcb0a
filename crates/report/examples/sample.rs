//! Writes an invented assessment in every format to a folder: `cargo run -p report --example sample -- DIR`.

#[path = "../tests/sample/mod.rs"]
mod sample;

use std::sync::Arc;

use std::path::PathBuf;

use report::{RENDERERS, Signature, Style, Trust, View};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("name the folder to write to")?;
    std::fs::create_dir_all(&folder)?;
    let assessment = sample::assessment();
    let view = View {
        assessment: &assessment,
        evidence: &|digest| sample::evidence(digest).map(Arc::new),
        earlier: &sample::earlier,
        signature: Signature::Signed {
            fingerprint: "SHA256:Rk3vJt0m1mVh2Zk9w8yT4c6bN5pXqLsUeDfGhIjKlMn".into(),
            label: Some("ops".into()),
            trust: Trust::SelfMade,
        },
        pack: Some("probity-packs/messaging-20261124T030000Z"),
        bundle: Some("{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\"}\n"),
        inventory: None,
    };
    for renderer in RENDERERS {
        let name = if renderer.file.is_empty() { format!("{}.txt", renderer.key) } else { renderer.file.to_owned() };
        let terminal = renderer.key == "terminal";
        let style = Style { colour: terminal, pictures: terminal, ..Style::PLAIN };
        std::fs::write(folder.join(name), (renderer.render)(&view, &style)?)?;
    }
    let files: Vec<&str> = RENDERERS.iter().map(|r| r.file).filter(|f| !f.is_empty()).collect();
    std::fs::write(folder.join("VERIFY.md"), report::verify_md(&view, &files))?;
    let facts = sample::tls_facts();
    std::fs::write(
        folder.join("scan.txt"),
        report::scan("chat.example.org:443", "203.0.113.7:443", &facts, &Style::PLAIN),
    )?;
    let controls = assessment.controls.values().map(|c| report::policy_explain(c, &Style::PLAIN));
    std::fs::write(folder.join("explain.txt"), controls.collect::<String>())?;
    Ok(())
}

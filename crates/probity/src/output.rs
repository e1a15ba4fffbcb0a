//! Where results go: standard output or files. A closed pipe is no error and changes no exit code.

use std::fs;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::path::PathBuf;

use audit::Error;
use report::{RENDERERS, Renderer, Style, View};

/// One `--format K[=FILE]`.
#[derive(Clone)]
pub(crate) struct Wanted {
    renderer: &'static Renderer,
    file: Option<PathBuf>,
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={:?}", self.renderer.key, self.file)
    }
}

/// Reads `K` or `K=FILE`.
pub(crate) fn parse_format(text: &str) -> Result<Wanted, String> {
    let (key, file) = match text.split_once('=') {
        Some((key, file)) if !file.is_empty() => (key, Some(PathBuf::from(file))),
        Some(_) => return Err("a file name is wanted after '='".to_owned()),
        None => (text, None),
    };
    let renderer = report::renderer(key).ok_or_else(|| {
        let known: Vec<&str> = RENDERERS.iter().map(|r| r.key).collect();
        format!("no format of that name; there are {}", known.join(", "))
    })?;
    Ok(Wanted { renderer, file })
}

/// Checks, before any work is done, that at most one format goes to standard output and that files can be written.
pub(crate) fn check(formats: &[Wanted]) -> Result<(), Error> {
    if formats.iter().filter(|w| w.file.is_none()).count() > 1 {
        return Err(Error::Config(
            "only one --format can go to standard output; give the others a file: K=FILE".into(),
        ));
    }
    for file in formats.iter().filter_map(|w| w.file.as_deref()) {
        let fail = |why: String| Error::Write { path: file.display().to_string(), why };
        fs::OpenOptions::new().append(true).create(true).open(file).map_err(|e| fail(e.to_string()))?;
    }
    Ok(())
}

/// Renders to where each format goes; without any, text for people to standard output.
pub(crate) fn render(view: &View<'_>, formats: &[Wanted]) -> Result<(), Error> {
    let terminal = [Wanted { renderer: RENDERERS.first().ok_or_else(no_renderer)?, file: None }];
    let formats = if formats.is_empty() { &terminal } else { formats };
    for wanted in formats {
        let style = if wanted.file.is_none() { stdout_style() } else { Style::PLAIN };
        let bytes = (wanted.renderer.render)(view, &style).map_err(|e| Error::Defect(e.to_string()))?;
        match &wanted.file {
            None => stdout(&bytes)?,
            Some(file) => fs::write(file, &bytes)
                .map_err(|e| Error::Write { path: file.display().to_string(), why: e.to_string() })?,
        }
    }
    Ok(())
}

fn no_renderer() -> Error {
    Error::Defect("there is no renderer".into())
}

/// Whether people read standard output, that is, nothing but the terminal format goes there.
pub(crate) fn is_for_people(formats: &[Wanted]) -> bool {
    formats.iter().all(|w| w.file.is_some() || w.renderer.key == "terminal")
}

/// Colours and width of standard output, and whether it is a terminal.
pub(crate) fn stdout_style() -> Style {
    let stdout = io::stdout();
    let colour = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
    let terminal = stdout.is_terminal();
    let width =
        if terminal { rustix::termios::tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_col)) } else { 0 };
    Style { colour, width: if width == 0 { Style::PLAIN.width } else { width.min(140) }, pictures: terminal }
}

/// Whether standard error is a terminal that shows colours.
pub(crate) fn stderr_colour() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// Writes a result.
pub(crate) fn stdout(bytes: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Write { path: "standard output".to_owned(), why: e.to_string() })
        }
        _ => Ok(()),
    }
}

/// Says something to the person who runs this. What can't be said is no error.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A value as JSON for people.
pub(crate) fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<(), Error> {
    stdout(&model::pretty_json(value).map_err(|e| Error::Defect(e.to_string()))?)
}

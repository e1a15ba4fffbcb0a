//! The clients of the drill: one takes the marker, another must give it back. Either is a command or an HTTP API.

use std::path::Path;
use std::time::Duration;

use model::Failure;
use probe::{Command, Cx};

use super::canary::failed;
use super::http;
use super::target::{Read, Write};

/// How often the reading client is asked, a second apart.
const ASKS: u32 = 5;

/// Gives the marker to the client, which must end with 0, or answer with a status of 2xx. What it says is not looked at: the
/// second client tells what arrived.
pub(super) async fn send(write: &Write, marker: &str, scratch: &Path, cx: &Cx) -> Result<Result<(), String>, Failure> {
    let within = cx.remaining() / 3;
    let argv = match write {
        Write::Command(argv) => argv,
        Write::Http { http } => return Ok(http::send(http, marker, within, cx).await),
    };
    let stdin = scratch.join("marker");
    cx.plant_file(&stdin, format!("{marker}\n").as_bytes()).await.map_err(|e| failed(&e))?;
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let command = Command { stdin: Some(&stdin), redact: &[marker], within, ..Command::new(&argv) };
    let ran = cx.command(command).await;
    // The scratch folder may lie in a store.
    cx.plant_file(&stdin, b"").await.map_err(|e| failed(&e))?;
    Ok(match ran {
        Ok(output) if output.exit == Some(0) => Ok(()),
        Ok(output) => Err(match output.exit {
            Some(code) => format!("the client ended with {code}"),
            None => "a signal ended the client".to_owned(),
        }),
        Err(failure) => Err(failure.message),
    })
}

/// Asks the second client until the marker is in what it gives.
pub(super) async fn receive(read: Option<&Read>, marker: &str, cx: &Cx) -> Result<(), String> {
    let Some(read) = read else {
        return Err("no 'read' is given, so that nothing shows that the message arrived".to_owned());
    };
    let mut why = String::new();
    for at in 0..ASKS {
        if at > 0 {
            tokio::time::sleep(Duration::from_secs(1).min(cx.remaining())).await;
        }
        match ask(read, marker, cx).await {
            Ok(bytes) if holds(&bytes, marker) => return Ok(()),
            Ok(_) => "the second client does not give the marker".clone_into(&mut why),
            Err(failed) => why = failed,
        }
    }
    Err(why)
}

async fn ask(read: &Read, marker: &str, cx: &Cx) -> Result<Vec<u8>, String> {
    let within = cx.remaining() / 3;
    match read {
        Read::Command(argv) => {
            let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
            let command = Command { redact: &[marker], within, ..Command::new(&argv) };
            cx.command(command).await.map(|output| output.stdout).map_err(|failure| failure.message)
        }
        Read::Http { http } => http::get(http, within, cx).await,
    }
}

fn holds(bytes: &[u8], marker: &str) -> bool {
    bytes.windows(marker.len()).any(|window| window == marker.as_bytes())
}

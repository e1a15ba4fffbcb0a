//! The protocol of Redis and Valkey, version 2 (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).

use model::{Failure, FailureClass};
use probe::BoxFuture;
use zeroize::Zeroizing;

use super::super::link::Link;

/// Most lists in lists.
const MOST_DEPTH: usize = 4;
/// Most entries of one list.
const MOST_ENTRIES: usize = 20_000;

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A text.
    Text(String),
    /// An error: its first word is its kind.
    Error(String),
    /// Nothing.
    Null,
    /// A list.
    List(Vec<Value>),
}

impl Value {
    /// The texts of a list, or the text alone.
    pub(crate) fn texts(self) -> Vec<String> {
        match self {
            Self::Text(text) => vec![text],
            Self::List(items) => items.into_iter().flat_map(Self::texts).collect(),
            Self::Error(_) | Self::Null => Vec::new(),
        }
    }
}

/// A command.
pub(crate) fn command(words: &[&str]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    bytes.extend(format!("*{}\r\n", words.len()).bytes());
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend(word.bytes());
        bytes.extend(b"\r\n");
    }
    bytes
}

/// The next answer.
pub(crate) async fn read(link: &mut Link) -> Result<Value, Failure> {
    nested(link, MOST_DEPTH).await
}

fn nested(link: &mut Link, depth: usize) -> BoxFuture<'_, Result<Value, Failure>> {
    Box::pin(async move {
        let line = link.line().await?;
        let garbage = |link: &Link| {
            let what = "what it said is not the protocol of Redis; is it the sort of server that the inventory says?";
            link.failure(FailureClass::Protocol, what)
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let Some((kind, rest)) = line.split_first() else { return Err(garbage(link)) };
        let count = || std::str::from_utf8(rest).ok()?.parse::<i64>().ok();
        match kind {
            b'+' | b':' => Ok(Value::Text(text(rest))),
            b'-' => Ok(Value::Error(text(rest).chars().take(500).collect())),
            b'$' => {
                let Some(count) = count() else { return Err(garbage(link)) };
                let Ok(count) = usize::try_from(count) else { return Ok(Value::Null) };
                let mut bytes = link.exact(count.saturating_add(2)).await?;
                bytes.truncate(count);
                Ok(Value::Text(text(&bytes)))
            }
            b'*' => {
                let Some(count) = count() else { return Err(garbage(link)) };
                let Ok(count) = usize::try_from(count) else { return Ok(Value::Null) };
                if depth == 0 || count > MOST_ENTRIES {
                    return Err(garbage(link));
                }
                let mut items = Vec::new();
                for _ in 0..count {
                    items.push(nested(link, depth - 1).await?);
                }
                Ok(Value::List(items))
            }
            _ => Err(garbage(link)),
        }
    })
}

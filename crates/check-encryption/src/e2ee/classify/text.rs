//! Whether bytes are text that somebody can read. Ciphertext in an unusual encoding is text too, and not readable: what
//! counts is words.

/// Three letters in a row that are frequent in English, German, French, Spanish, Italian, Portuguese and Dutch.
const TRIGRAMS: &str = "the and ing ion ent tha her for tio ere hat ati his ver all ter ith res ess ons one you not are our \
    sch ein ich der und die den che nde cht gen ung eit ine ber que les ait des ous est ant men com con ado ade dos ara \
    sta pre per nte ell tra ato non del een van het aan oor eer lij mes ssa age sag ome out thi was wit hav ave rea \
    ret ecr sec ord ell llo hel lle ght igh ate ted ist ers sen ren ste ach";
/// The least text that is told.
const LEAST: usize = 12;
/// Bytes that a run of printable ones in otherwise unknown bytes must have, and more the longer those are.
const RUN: usize = 30;
/// Bytes that are looked at.
const MOST: usize = 256 * 1024;

/// The bytes as text: UTF-8 (or UTF-16 in ASCII's range is none) without control characters. Where only a beginning was
/// read, a character that is cut at its end is left out.
pub(super) fn of(bytes: &[u8], whole: bool) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) if !whole && e.error_len().is_none() => std::str::from_utf8(bytes.get(..e.valid_up_to())?).ok()?,
        Err(_) => return None,
    };
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}');
    (!text.is_empty() && !text.contains(control)).then_some(text)
}

/// What is readable in the bytes, without any of it; none where nothing surely is.
pub(super) fn readable(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.get(..bytes.len().min(MOST)).unwrap_or(bytes);
    if let Some(text) = of(bytes, false) {
        return is_language(text).then(|| format!("UTF-8 text, {} bytes", bytes.len()));
    }
    if let Some(narrow) = narrow(bytes) {
        return is_language(&narrow).then(|| format!("UTF-16 text, {} bytes", bytes.len()));
    }
    let least = RUN + usize::try_from(bytes.len().checked_ilog2()?).unwrap_or_default();
    let mut begin = 0;
    for end in 0..=bytes.len() {
        let printable = bytes.get(end).is_some_and(|b| matches!(b, b' '..=b'~' | b'\n' | b'\r' | b'\t'));
        if !printable {
            let run = bytes.get(begin..end).unwrap_or_default();
            if run.len() >= least && std::str::from_utf8(run).is_ok_and(is_language) {
                return Some(format!("{} bytes of text at offset {begin}", run.len()));
            }
            begin = end + 1;
        }
    }
    None
}

/// UTF-16 of which every second byte is zero.
fn narrow(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_prefix(&[0xff, 0xfe]).or_else(|| bytes.strip_prefix(&[0xfe, 0xff])).unwrap_or(bytes);
    let of = |high: usize| {
        let pairs = bytes.chunks_exact(2);
        let plain: Option<Vec<u8>> =
            pairs.map(|p| (p.get(high) == Some(&0)).then(|| p.get(1 - high).copied()).flatten()).collect();
        plain.filter(|p| p.len() >= LEAST)
    };
    String::from_utf8(of(1).or_else(|| of(0))?).ok()
}

/// Whether a text has words of a language. Random text of any alphabet has none.
pub(super) fn is_language(text: &str) -> bool {
    if text.trim().len() < LEAST {
        return false;
    }
    // Characters beyond Latin: no encoding of bytes is made of them, and random bytes hardly make eight in a row.
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let beyond = text.chars().filter(|c| c.is_alphabetic() && *c > '\u{24f}').count();
    if beyond >= 8 && beyond * 2 > letters {
        return true;
    }
    let visible = text.chars().filter(|c| !c.is_whitespace()).count();
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|w| is_word(w));
    let (count, covered) = words.fold((0, 0), |(n, sum), word| (n + 1, sum + word.chars().count()));
    let spaces = text.chars().filter(|c| c.is_whitespace()).count();
    let (hits, of) = trigrams(text);
    let covers = count >= 3 && covered * 100 >= visible * 45;
    // Words between spaces, or fewer of them with the sounds of a language.
    covers && (spaces * 20 >= text.chars().count() && hits >= 1 || hits >= 3 && hits * 12 >= of) || is_fluent(text)
}

/// Whether letters in a row can't but be a language's, with no space between its words: of 20 random trigrams eight are frequent ones
/// with a chance of one in a hundred thousand million.
pub(super) fn is_fluent(text: &str) -> bool {
    let (hits, of) = trigrams(text);
    hits >= 8 && hits * 4 >= of
}

/// Whether letters in a row may be a language's: a few in a hundred thousand random texts may be as well.
pub(super) fn may_be_fluent(text: &str) -> bool {
    let (hits, of) = trigrams(text);
    hits >= 4 && hits * 100 >= of * 15
}

/// Letters of one case, or with the first one large, among them a vowel.
fn is_word(word: &str) -> bool {
    let mut letters = word.chars();
    let first = letters.next().unwrap_or(' ');
    let rest = || word.chars().skip(1);
    (2..=20).contains(&word.chars().count())
        && first.is_alphabetic()
        && (rest().all(|c| c.is_lowercase()) || first.is_uppercase() && rest().all(|c| c.is_uppercase()))
        && word.chars().any(|c| matches!(c.to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o' | 'u' | 'y') || !c.is_ascii())
}

/// How many frequent trigrams are in a text, and how many trigrams of letters there are.
fn trigrams(text: &str) -> (usize, usize) {
    let frequent: std::collections::BTreeSet<[u8; 3]> =
        TRIGRAMS.split_whitespace().filter_map(|t| t.as_bytes().try_into().ok()).collect();
    let lower = text.to_ascii_lowercase();
    let of_letters = lower.as_bytes().windows(3).filter(|w| w.iter().all(u8::is_ascii_lowercase));
    of_letters.fold((0, 0), |(hits, all), w| {
        (hits + usize::from(<[u8; 3]>::try_from(w).is_ok_and(|w| frequent.contains(&w))), all + 1)
    })
}

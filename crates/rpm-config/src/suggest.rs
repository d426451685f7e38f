//! "Did you mean": the nearest of the words that would have been right.

/// The longest word worth comparing; no key or name is that long, and the comparison is quadratic.
const MAX_COMPARED_BYTES: usize = 64;

/// The word of `known` nearest to `word`: at most a third of its letters wrong, the first on a tie.
/// Case does not count.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() || word.len() > MAX_COMPARED_BYTES {
        return None;
    }
    let lower = word.to_lowercase();
    let most_wrong = (lower.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), known))
        .filter(|(wrong, known)| *wrong <= most_wrong && *wrong < known.chars().count())
        .min_by_key(|(wrong, _)| *wrong)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word() {
        let known = ["instances", "instance_var", "name", "cwd", "env", "killTimeout"];
        let table = [
            ("instnaces", Some("instances")),
            ("instance", Some("instances")),
            ("Name", Some("name")),
            ("nmae", Some("name")),
            ("killTimout", Some("killTimeout")),
            ("cw", Some("cwd")),
            ("x", None),
            ("banana", None),
            ("", None),
        ];
        for (word, want) in table {
            assert_eq!(nearest(word, known), want, "{word}");
        }
        assert_eq!(nearest(&"a".repeat(MAX_COMPARED_BYTES + 1), known), None);
    }
}
